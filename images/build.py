"""Build the images of the stages, and push them.

    python -m images.build images --accelerator cpu
    python -m images.build images --stage train --accelerator cuda
    python -m images.build push --registry registry.example/team

`make images` and `make push` call this. The client is `docker`, or what the environment variable DOCKER names;
DOCKER_HOST is heeded.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from images.engine import Engine, Failure, engine, hint
from images.names import (
    ACCELERATORS,
    LOCK_FILE,
    PROJECT,
    STAGES,
    TORCH_STAGES,
    Lock,
    key,
    read_lock,
    tagged,
    version,
    write_lock,
)

ROOT = Path(__file__).parents[1]
DOCKERFILE = Path(__file__).parent / "Dockerfile"
#: Settings of pip that a build heeds; an index may hold a password, which is why they travel as a secret.
_PIP_SETTINGS = ("index-url", "extra-index-url", "proxy", "retries", "timeout", "default-timeout", "trusted-host")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
#: Where the Dockerfile mounts the certificates.
_CERTIFICATES = "/tmp/build/ca.crt"
#: What a revision ends with where files were not as committed, and the base that the tests make for themselves.
DIRTY, TESTS_BASE = "-dirty", f"{PROJECT}/base"
_LABEL = "org.opencontainers.image."
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})\b")


@dataclass(frozen=True)
class Plan:
    """How images are built.

    ``base`` names the image to stand on, ``wheels`` a folder with torch's CPU build, ``source`` the address for the
    label of that name, and ``options`` go to `docker build` as they are.
    """

    accelerator: str = "cpu"
    registry: str = ""
    base: str = ""
    wheels: Path | None = None
    source: str = ""
    platform: str = ""
    options: Sequence[str] = ()
    jobs: int = 2
    log: Path = field(default=ROOT / "build" / "images")


def build(stages: Sequence[str], plan: Plan, at: Engine) -> dict[str, str]:
    """Build the images of ``stages`` and return their names by stage.

    Raises:
        Failure: a build failed; what it printed stands in a log below ``plan.log``.
    """
    at.insist()
    plan.log.mkdir(parents=True, exist_ok=True)
    with _inputs(plan, at) as inputs, ThreadPoolExecutor(plan.jobs) as pool:
        return dict(zip(stages, pool.map(lambda stage: _build(stage, plan, inputs, at), stages), strict=True))


def _build(stage: str, plan: Plan, inputs: Sequence[str], at: Engine) -> str:
    name = tagged(stage, plan.accelerator)
    names = [name] if not plan.registry else [name, tagged(stage, plan.accelerator, plan.registry)]
    given = {"STAGE": stage, "ACCELERATOR": plan.accelerator, "VERSION": version(), "SOURCE": plan.source}
    given |= dict(zip(("REVISION", "CREATED"), _commit(), strict=True))
    arguments = ["build", "--file", str(DOCKERFILE), "--target", "image", *inputs, *plan.options]
    arguments += [f"--platform={plan.platform}"] if plan.platform else []
    arguments += [part for tag in names for part in ("--tag", tag)]
    arguments += [part for item in given.items() for part in ("--build-arg", "=".join(item))]
    log = plan.log / f"{key(stage, plan.accelerator).replace('/', '-')}.log"
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        done = at.run(*arguments, str(ROOT), capture=False, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        told = log.read_text(encoding="utf-8")
        raise Failure(f"{name} was not built; {log} has all of this:\n{told[-3000:]}{hint(told)}")
    print(f"{name}  built in {time.monotonic() - started:.0f} s", flush=True)
    return name


@contextmanager
def _inputs(plan: Plan, at: Engine) -> Iterator[list[str]]:
    """Yield the options that hand a build what is this machine's: base image, wheels, certificates, pip's settings."""
    options = ["--build-arg", f"BASE_IMAGE={plan.base}"] if plan.base else []
    for name in (*_PROXIES, *map(str.upper, _PROXIES)):
        if os.environ.get(name):
            options += ["--build-arg", name]
    settings = pip_settings()
    if plan.accelerator == "cpu":
        wheels = _cpu_wheels(plan.wheels, settings)
        if wheels:
            options += ["--build-arg", f"WHEELS_IMAGE={_image_of(wheels, at)}"]
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"{name} = {settings[name]}" for name in _PIP_SETTINGS if settings.get(name)]
        certificates = Path(settings.get("cert", ""))
        if certificates.is_file():
            lines.append(f"cert = {_CERTIFICATES}")
            options += ["--secret", f"id=ca_bundle,src={certificates}"]
        if lines:
            file = Path(folder) / "pip.conf"
            file.touch(mode=0o600)
            file.write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
            options += ["--secret", f"id=pip_conf,src={file}"]
        yield options


def pip_settings() -> dict[str, str]:
    """Return the settings of pip on this machine by their names; what leads to files here is left out of indexes."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"images: {sys.executable} has no pip to ask for settings: builds go without", file=sys.stderr)
    found: dict[str, str] = {}
    for line in sorted(
        done.stdout.splitlines(), key=lambda line: line.startswith(":env:")
    ):  # the environment comes first
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = " ".join(str(ast.literal_eval(value)).split())
    for name in ("index-url", "extra-index-url"):
        addresses = [address for address in found.get(name, "").split() if not address.startswith("file:")]
        found[name] = " ".join(addresses)
    return found


def _cpu_wheels(folder: Path | None, settings: dict[str, str]) -> list[Path]:
    """Return the wheels of torch's CPU build in the folder given, else in those that pip looks into anyway."""
    if folder and not folder.is_dir():
        raise Failure(f"no folder {folder}; name one with the wheel of torch's CPU build")
    folders = [folder] if folder else [Path(place) for place in settings.get("find-links", "").split()]
    found = sorted(wheel for place in folders if place.is_dir() for wheel in place.glob("torch-*+cpu-*.whl"))
    if folder and not found:
        raise Failure(f"{folder} holds no wheel of torch's CPU build (torch-*+cpu-*.whl)")
    return found


def _image_of(wheels: Sequence[Path], at: Engine) -> str:
    """Put wheels into an image, by which BuildKit lets a build see them without copying them into it."""
    seen = "".join(f"{wheel.name}{wheel.stat().st_size}{wheel.stat().st_mtime_ns}" for wheel in wheels)
    name = f"{PROJECT}/wheels:{hashlib.sha256(seen.encode()).hexdigest()[:12]}"
    if at.inspect(name) is None:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "wheels.tar"
            with tarfile.open(archive, "w") as tar:
                for wheel in wheels:
                    tar.add(wheel, wheel.name)
            at.must("import", str(archive), name)
    return name


def _commit() -> tuple[str, str]:
    """Return the commit that is checked out and its time; nothing where this is no clone."""
    shown = _git("log", "-1", "--format=%H %cI")
    if not shown:
        return "", ""
    revision, _, created = shown.partition(" ")
    changed = _git("status", "--porcelain", "--", ".", f":!{LOCK_FILE.relative_to(ROOT)}")
    return (f"{revision}{DIRTY}" if changed else revision), created


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def built(at: Engine, *, complete: bool = False) -> dict[str, str]:
    """Return the names of this version's images that the engine has, by `key`.

    Raises:
        Failure: there are none; or, where they have to be ``complete``, some stages are missing for an accelerator for
            which others are there.
    """
    found: dict[str, str] = {}
    for accelerator in ACCELERATORS:
        there = {stage: tagged(stage, accelerator) for stage in STAGES if at.inspect(tagged(stage, accelerator))}
        missing = [stage for stage in STAGES if stage not in there]
        if complete and missing and not there.keys().isdisjoint(TORCH_STAGES):
            raise _not_built(accelerator, missing)
        if not missing or not complete:
            found |= {key(stage, accelerator): name for stage, name in there.items()}
    if not found:
        raise _not_built("cpu", STAGES)
    return found


def _revision(images: Mapping[str, str], at: Engine) -> str:
    """Return the commit of which all images were built.

    Raises:
        Failure: they are of several, of changed files, not of the commit that is checked out, or on the tests' base.
    """
    labels = {name: (at.inspect(image) or {}).get("Config", {}).get("Labels") or {} for name, image in images.items()}
    revisions = {name: label.get(f"{_LABEL}revision", "") for name, label in labels.items()}
    head = _git("log", "-1", "--format=%H")
    for name, revision in revisions.items():
        if revision != head or not revision:
            reason = "changed files" if revision == f"{head}{DIRTY}" else f"commit {revision[:12] or 'unknown'}"
            raise Failure(f"{images[name]} was built of {reason}, not of {head[:12]}; build it again, or say --anyway")
        if labels[name].get(f"{_LABEL}base.name", "").startswith(TESTS_BASE):
            raise Failure(f"{images[name]} stands on the base that the tests make; build it again, or say --anyway")
    return head


def _not_built(accelerator: str, stages: Sequence[str]) -> Failure:
    return Failure(
        f"not built for {accelerator}, version {version()}: {', '.join(stages)}; "
        f"run make images ACCELERATOR={accelerator} first"
    )


def push(registry: str, at: Engine, lock: Path = LOCK_FILE, *, anyway: bool = False) -> Lock:
    """Push what was built, and write the digests by which the registry serves it to ``lock``.

    Digests of an accelerator that was not built here stay, if they are of this version and commit in this registry.
    ``anyway`` pushes images of other commits and of changed files too; the lock then names no commit.

    Raises:
        Failure: something was not built, or the registry refused it; the lock is left as it was.
    """
    at.insist()
    registry = registry.rstrip("/")
    digests: dict[str, str] = {}
    images = built(at, complete=True)
    revision = "" if anyway else _revision(images, at)
    for name, local in images.items():
        stage, _, accelerator = name.partition("/")
        remote = tagged(stage, accelerator or "cpu", registry)
        at.must("tag", local, remote)
        answer = _DIGEST.search(at.must("push", remote))
        if answer is None:
            raise Failure(f"{remote} was pushed, but the registry answered no digest")
        # What the client prints it has reckoned itself; that the registry serves the image by it is what counts.
        at.must("pull", "--quiet", f"{remote}@{answer[1]}")
        digests[name] = answer[1]
        print(f"{remote}  {answer[1]}", flush=True)
    before = read_lock(lock)
    if before and (before.registry, before.version, before.revision) == (registry, version(), revision):
        digests = {**before.digests, **digests}
    written = Lock(registry, version(), digests, revision)
    write_lock(written, lock)
    return written


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    machine = platform.machine()
    main = argparse.ArgumentParser("images.build", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = main.add_subparsers(dest="command", required=True)
    images = commands.add_parser("images", help="build the images of the stages")
    images.add_argument("--stage", choices=STAGES, action="append", help="one stage; may be repeated; default: all")
    images.add_argument("--accelerator", choices=ACCELERATORS, default="cpu", help="default: %(default)s")
    images.add_argument("--registry", default="", help="tag the images for this registry too, as in host:5000/team")
    images.add_argument("--base", default="", help="image to stand on; default: python:3.11-slim-bookworm")
    images.add_argument(
        "--wheels", type=Path, help="folder with the wheel of torch's CPU build; default: pip's find-links"
    )
    images.add_argument("--source", default="", help="address of this source, for the images' label")
    images.add_argument("--platform", default="", help=f"as in linux/arm64; default: the engine's; this is {machine}")
    images.add_argument("--jobs", type=int, default=2, help="images built at once; default: %(default)s")
    images.add_argument("--option", action="append", default=[], help="for docker build, as in --option=--network=host")
    pushing = commands.add_parser("push", help="push what was built, and lock its digests")
    pushing.add_argument("--registry", required=True, help="where to, as in host:5000/team")
    pushing.add_argument(
        "--anyway", action="store_true", help="images of another commit, of changed files or on the tests' base too"
    )
    pushing.add_argument("--lock", type=Path, default=LOCK_FILE, help="default: images/images.lock.yaml")
    return main


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit with 2 and a message where the user can mend it."""
    given = parser().parse_args(arguments)
    try:
        if given.command == "push":
            if not given.registry:
                raise Failure("say where to push: make push REGISTRY=host:5000/team")
            push(given.registry, engine(), given.lock, anyway=given.anyway)
        else:
            plan = Plan(
                accelerator=given.accelerator,
                registry=given.registry,
                base=given.base,
                wheels=given.wheels,
                source=given.source,
                platform=given.platform,
                options=given.option,
                jobs=given.jobs,
            )
            build(given.stage or STAGES, plan, engine())
    except (Failure, ValueError) as failure:
        print(f"images: error: {failure}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
