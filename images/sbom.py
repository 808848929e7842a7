"""List what is in the images (SBOM), and ask which of it has known vulnerabilities.

    python -m images.sbom

writes, for every image that was built, to build/sbom:

    STAGE[-ACCELERATOR].python.cdx.json   the Python packages of the image's environment, by cyclonedx-py
    STAGE[-ACCELERATOR].debian.cdx.json   the Debian packages of its base, by debsbom
    STAGE[-ACCELERATOR].audit.json        vulnerabilities of the Python packages, by pip-audit; what it could not ask
                                          about is listed as skipped, and nothing is written where it reached nobody

Files that no package owns, such as the Python of an official base image, are in neither list.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.build import ROOT, built
from images.engine import HARDENED, NO_NETWORK, Engine, Failure, engine

FOLDER = ROOT / "build" / "sbom"
#: Run in the image: what its environment and its Debian packages say of themselves, as an archive.
_COLLECT = """
import pathlib, sys, sysconfig, tarfile
site = pathlib.Path(sysconfig.get_path("purelib"))
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    for folder in sorted(site.glob("*.dist-info")):
        archive.add(folder, f"site/{folder.name}")
    for file in ("/var/lib/dpkg/status", "/etc/os-release", "/usr/lib/os-release", "/etc/debian_version"):
        if pathlib.Path(file).is_file():
            archive.add(pathlib.Path(file).resolve(), f"root{file}")
"""


@dataclass(frozen=True)
class Found:
    """What was found in an image: counts, and vulnerabilities by package, or None where nobody could be asked."""

    python: int
    debian: int
    vulnerable: Mapping[str, Sequence[str]] | None
    not_audited: int = 0


def write(name: str, image: str, at: Engine, folder: Path = FOLDER, *, audit: bool = True) -> Found:
    """Write the lists of one image, ``name`` being its `key`, and return what they hold.

    Raises:
        Failure: a generator could not be run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / name.replace("/", "-")
    with tempfile.TemporaryDirectory() as place:
        inside = Path(place)
        _collect(image, at, inside)
        python = _python_packages(inside, stem.with_name(f"{stem.name}.python.cdx.json"))
        debian = _debian_packages(inside, stem.with_name(f"{stem.name}.debian.cdx.json"))
        asked = _audit(inside, stem.with_name(f"{stem.name}.audit.json")) if audit else None
    return Found(python, debian, *(asked or (None,)))


def _collect(image: str, at: Engine, place: Path) -> None:
    done = at.run("run", "--rm", *HARDENED, *NO_NETWORK, image, "python", "-c", _COLLECT, text=False)
    if done.returncode != 0:
        raise Failure(f"{image} cannot be read: {done.stderr.decode(errors='replace')}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(place, filter="data")


def _python_packages(place: Path, out: Path) -> int:
    """Let cyclonedx-py list them; it asks an interpreter for its path, and here one answers with the image's."""
    interpreter = place / "python"
    interpreter.write_text(f"#!/bin/sh\necho '{json.dumps([str(place / 'site')])}'\n", encoding="utf-8")
    interpreter.chmod(0o755)
    _tool("cyclonedx_py", "environment", "--output-reproducible", "--output-file", str(out), str(interpreter))
    return len(json.loads(out.read_text(encoding="utf-8"))["components"])


def _debian_packages(place: Path, out: Path) -> int:
    release = (place / "root" / "usr" / "lib" / "os-release").read_text(encoding="utf-8")
    version = re.search(r'^VERSION_ID="?([^"\n]+)', release, flags=re.M)
    options = ["--distro-version", version[1]] if version else []
    _tool("debsbom.cli", "generate", "--root", str(place / "root"), "--sbom-type", "cdx", *options, "--out", str(out))
    listed = json.loads(out.read_text(encoding="utf-8"))["components"]
    return sum("arch=source" not in component.get("purl", "") for component in listed)  # sources are listed beside them


def _audit(place: Path, out: Path) -> tuple[dict[str, list[str]], int] | None:
    """Ask pip-audit; return vulnerabilities by package and how many packages it could not ask about, or None."""
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pip_audit", "--path", str(place / "site"), "--format", "json"]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"images: pip-audit: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}", file=sys.stderr)
        return None
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return None
    out.write_text(json.dumps(packages, indent=1), encoding="utf-8")
    bad = {package["name"]: [each["id"] for each in package["vulns"]] for package in asked if package["vulns"]}
    return bad, len(packages) - len(asked)


def _tool(module: str, *arguments: str) -> None:
    try:
        subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise Failure(f"{module} failed: {error.stderr.strip()}; is it installed (make setup-dev)?") from None


def shown(found: Found) -> str:
    """Return what was found in a line."""
    counts = f"{found.python} Python packages, {found.debian} Debian packages"
    if found.vulnerable is None:
        return f"{counts}; vulnerabilities: not known, pip-audit reached no service that knows these packages"
    named = "; ".join(f"{name}: {', '.join(ids)}" for name, ids in found.vulnerable.items()) or "none known"
    return f"{counts}; vulnerabilities: {named}; {found.not_audited} packages could not be asked about"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the lists of all images that were built."""
    parser = argparse.ArgumentParser("images.sbom", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder; default: build/sbom")
    given = parser.parse_args(arguments)
    at = engine()
    try:
        at.insist()
        for name, image in built(at).items():
            print(f"{name}: {shown(write(name, image, at, given.out))}", flush=True)
    except Failure as failure:
        print(f"images: error: {failure}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
