"""What processes that run tests at once share, and what they must not take from each other."""

from __future__ import annotations

import fcntl
import os
import random
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

#: Ports of tests begin here, and come in blocks; the same block this much higher is a server's too, if it wants it.
#: All lie below those that a system gives to whoever connects somewhere, which could take one that was just seen free.
FIRST_PORT, BLOCK, HIGHER = 10_000, 5, 10_000
#: So many processes share the blocks, each having its own.
_SHARERS = 16
_given: set[int] = set()


def number() -> int:
    """Return which one of the processes that run tests at once this is."""
    return int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)


def free_port() -> int:
    """Return a port on loopback that nobody listens at, and that no other process that runs tests will ask for."""
    return free_ports([0])


def free_ports(offsets: list[int]) -> int:
    """Return a port such that it is free with each of ``offsets`` added, within a block or the one ``HIGHER`` up."""
    own = range(FIRST_PORT + BLOCK * (number() % _SHARERS), FIRST_PORT + HIGHER, BLOCK * _SHARERS)
    for first in random.sample(own, len(own)):
        if first in _given:
            continue
        try:
            with ExitStack() as probes:
                for offset in offsets:
                    probe = probes.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        _given.add(first)
        return first
    raise RuntimeError("no free ports")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep out every other process that asks for the same lock."""
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that ``make`` has filled, in whichever process asked first; the others wait for it.

    What is in it is for all tests to read, and for none to change.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / f"shared-{name}", base / f"shared-{name}.done"
    with alone(base / f"shared-{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what another process has failed to finish
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
