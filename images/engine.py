"""The container engine, spoken to through its command-line client."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What hardened means here: nothing may be written but /tmp and what is mounted, and no right can be gained.
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL", "--security-opt", "no-new-privileges")
NO_NETWORK = ("--network", "none")
_NO_BUILDKIT = ("unknown flag: --secret", "requires BuildKit", "buildx component is missing")


class Failure(Exception):  # noqa: N818 - for whoever typed the command
    """Something that the user can mend; its text says how."""


@dataclass(frozen=True)
class Engine:
    """An engine and its client; `environ` is what the client is run with, DOCKER_HOST included."""

    client: str = "docker"
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, *arguments: str, capture: bool = True, **more: Any) -> subprocess.CompletedProcess[Any]:
        """Run the client and return how it ended, whatever that was; output is text unless ``text=False``.

        Raises:
            Failure: there is no such client.
        """
        environ = {**self.environ, "DOCKER_BUILDKIT": "1"}
        options = {"text": True, "capture_output": capture, **more}
        try:
            return subprocess.run([self.client, *arguments], env=environ, check=False, **options)
        except FileNotFoundError:
            raise Failure(f"no client {self.client!r}; install Docker, or name another with DOCKER=PATH") from None

    def must(self, *arguments: str, **more: Any) -> str:
        """Run the client and return what it prints, without the line's end.

        Raises:
            Failure: it ended with an error, which is told.
        """
        done = self.run(*arguments, **more)
        if done.returncode != 0:
            told = (done.stderr or "").strip()
            raise Failure(f"{self.client} {' '.join(arguments[:2])} failed ({done.returncode})\n{told}{hint(told)}")
        return (done.stdout or "").strip()

    def answers(self) -> bool:
        """Tell whether there is an engine behind the client."""
        try:
            return self.run("version", "--format", "{{.Server.Version}}").returncode == 0
        except Failure:
            return False

    def insist(self) -> None:
        """See that an engine answers.

        Raises:
            Failure: none does.
        """
        done = self.run("version", "--format", "{{.Server.Version}}")
        if done.returncode != 0:
            where = self.environ.get("DOCKER_HOST") or "its default socket"
            raise Failure(
                f"no container engine answers {self.client} at {where}: start Docker, or say where it is with "
                f"DOCKER_HOST\n{done.stderr.strip()}"
            )

    def inspect(self, image: str) -> dict[str, Any] | None:
        """Return what the engine knows of a local image, or None where there is none of that name."""
        done = self.run("image", "inspect", image)
        if done.returncode != 0:
            return None
        found: dict[str, Any] = json.loads(done.stdout)[0]
        return found


def engine() -> Engine:
    """Return the engine that DOCKER_HOST names, by the client that DOCKER names, or by those that are usual."""
    return Engine(os.environ.get("DOCKER") or "docker")


def hint(told: str) -> str:
    """Return what to do about a message of the client, where it is known; else nothing."""
    if any(sign in told for sign in _NO_BUILDKIT):
        return "\nThe client needs BuildKit: Docker 20.10 has it, newer ones with buildx. DOCKER=PATH names another."
    return ""
