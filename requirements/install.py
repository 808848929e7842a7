"""Install a lock file and torch into the environment of the Python that runs this: ``install.py run|dev``."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

HERE = Path(__file__).parent


def install(name: str, *more: str, check: bool = True) -> bool:
    """Install what one lock file lists, and nothing else; tell whether it went well."""
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", *more)
    command = [sys.executable, "-m", "pip", "install", *options, "-r", str(HERE / name)]
    return subprocess.run(command, check=check, capture_output=not check).returncode == 0


def main() -> None:
    """Install the lock file asked for, torch, and what a CUDA build of torch needs."""
    print(f"installing requirements/{sys.argv[1]}.txt and torch", flush=True)
    install(f"{sys.argv[1]}.txt")
    # A build at hand in pip's find-links, such as one for the CPU alone, comes before the index's, which is
    # large. pip would not choose so by itself, because a local file shows its hash only when it is read.
    if not install("torch.txt", "--no-index", check=False):
        install("torch.txt")
    if any("nvidia" in requirement for requirement in requires("torch") or []):
        install("cuda.txt")


if __name__ == "__main__":
    main()
