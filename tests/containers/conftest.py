"""What tests of containers need: an engine, the images, artifacts of all stages, and a way to run a stage hardened.

Fixtures, all of the session:

``engine``
    An engine that answers: the one that DOCKER_HOST or the default socket leads to, by the client that DOCKER names;
    where none answers, a private one, ended with the session. DOCKER_HOST and DOCKER are set in ``os.environ``.
``base_image``
    The name of the image to build on: ``python:3.11-slim-bookworm`` if it is there or can be pulled, else one made of
    Debian packages.
``images``
    Stage to the name of its image for the CPU, all built from this checkout.
``made``
    A folder with the artifacts of all stages, made on the host by the commands in `small_stages`.
``contained``
    Runs a command in a hardened container of a stage.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from images.build import TESTS_BASE, Plan, build
from images.engine import HARDENED, NO_NETWORK, Engine
from images.engine import engine as usual_engine
from images.names import STAGES
from private_engine import make_base, running_dockerd
from small_stages import REPOSITORY, USERS, Contained, command, on_host

OFFICIAL_BASE = "python:3.11-slim-bookworm"
OWN_BASE = f"{TESTS_BASE}:bookworm"
CACHE = REPOSITORY / "build" / "containers"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine that answers; DOCKER_HOST and DOCKER lead to it."""
    there = usual_engine()
    if there.answers():
        yield there
        return
    folder = Path(tempfile.mkdtemp(prefix="lstm-aa-engine-"))
    try:
        with running_dockerd(folder) as private, pytest.MonkeyPatch.context() as patched:
            patched.setenv("DOCKER_HOST", private.environ["DOCKER_HOST"])
            patched.setenv("DOCKER", private.client)
            yield private
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def base_image(engine: Engine) -> str:
    """The official base image, or one that takes its place where no registry can be reached."""
    if engine.inspect(OFFICIAL_BASE):
        return OFFICIAL_BASE
    with suppress(subprocess.TimeoutExpired):
        if engine.run("pull", "--quiet", OFFICIAL_BASE, timeout=300).returncode == 0:
            return OFFICIAL_BASE
    if engine.inspect(OWN_BASE) is None:
        make_base(OWN_BASE, CACHE, engine)
    return OWN_BASE


@pytest.fixture(scope="session")
def images(engine: Engine, base_image: str) -> dict[str, str]:
    """The images of all stages for the CPU, by stage."""
    # A private engine has no network of its own for containers.
    bridged = engine.run("network", "inspect", "bridge").returncode == 0
    options = [] if bridged else ["--network=host"]
    return build(STAGES, Plan(base=base_image, options=options), engine)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of all stages, made on the host."""
    folder = tmp_path_factory.mktemp("made")
    folder.chmod(0o755)  # pytest makes it for its own user alone
    for stage in STAGES:
        done = on_host(*command(stage, folder, folder))
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def contained(engine: Engine, images: dict[str, str]) -> Contained:
    """Run words in a hardened container: ``contained(stage, *words, mounts={folder: place}, user=..., network=...)``.

    What is mounted at ``/in...`` may only be read. ``more`` are further options of `docker run`.
    """

    def call(
        stage: str,
        *words: str,
        mounts: dict[Path, str] | None = None,
        user: str = USERS[0],
        network: tuple[str, ...] = NO_NETWORK,
        more: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        volumes = [
            part
            for folder, place in (mounts or {}).items()
            for part in ("--volume", f"{folder}:{place}{':ro' if place.startswith('/in') else ''}")
        ]
        options = ["--rm", *HARDENED, *network, "--user", user, "--pids-limit", "256", *volumes, *more]
        return engine.run("run", *options, images[stage], *words)

    return call


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that any user of group 0 may write to, and where tests are not run by that group, anybody."""
    folder = tmp_path / "out"
    folder.mkdir()
    folder.chmod(0o777 if os.getegid() else 0o775)
    return folder
