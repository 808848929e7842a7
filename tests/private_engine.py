"""An engine of the tests' own: Debian's dockerd on a socket in a folder, and a base image made of Debian packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from images.engine import Engine

#: Debian packages that the tests need where no engine answers, and where the base image cannot be pulled.
PACKAGES = "docker.io mmdebstrap docker-registry"
_START_S = 60
#: What the official image of this name holds, as far as it matters here: Python and pip in /usr/local.
_BASE = (
    "--variant=minbase",
    "--include=python3-venv,ca-certificates",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    '--customize-hook=chroot "$1" python3 -m venv /usr/local',
    "bookworm",
)
_BASE_ENV = ("LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")


def need(program: str) -> str:
    """Return the path of a program of `PACKAGES`; the test fails where it is missing, and says what to install."""
    path = shutil.which(program)
    if path is None:
        pytest.fail(f"no {program}: start Docker, or on Debian run apt-get install --no-install-recommends {PACKAGES}")
    return path


@contextmanager
def running_dockerd(folder: Path) -> Iterator[Engine]:
    """Start an engine that keeps everything below ``folder``, and end it by its process id."""
    daemon = Path(need("dockerd"))
    if os.geteuid() != 0:
        pytest.fail("no engine answers, and only root can start one: start Docker, or set DOCKER_HOST")
    socket = folder / "socket"  # short: the path of a socket has at most 107 characters
    places = ("--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid")
    network = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "overlay2")
    command = [daemon, *places, "--host", f"unix://{socket}", *network]
    # The client beside it: another one, earlier on PATH, may lack BuildKit.
    engine = Engine(
        str(daemon.resolve().parent.parent / "bin" / "docker"), os.environ | {"DOCKER_HOST": f"unix://{socket}"}
    )
    log = folder / "dockerd.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + _START_S
        while not engine.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"dockerd does not answer:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield engine
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()


def make_base(name: str, cache: Path, engine: Engine) -> None:
    """Make a base image of Debian packages; the archive that it is made of stays in ``cache`` for the next time."""
    archive = cache / "python-3.11-bookworm.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = cache / f"unfinished-{os.getpid()}.tar"
        done = subprocess.run(
            [need("mmdebstrap"), *_BASE, str(unfinished)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"mmdebstrap failed:\n{done.stderr[-3000:]}"
        unfinished.rename(archive)
    changes = ['CMD ["python3"]', *(f"ENV {each}" for each in _BASE_ENV)]
    engine.must("import", *(part for change in changes for part in ("--change", change)), str(archive), name)
