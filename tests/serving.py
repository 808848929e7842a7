"""Programs that show something in a browser, started for a test until they show it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

#: Where a program answers, and what its answer holds when it shows what it was started for.
_ANSWERS = {
    "mlflow": ("/health", "OK"),
    "tensorboard": ("/data/runs", "train"),
    "optuna-dashboard": ("/api/studies", "study_name"),
}
_LONGEST_START_S = 180


@contextmanager
def serving(words: list[str], port: int, folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Start a program of this environment in ``folder``, wait until it shows what it is for, and end all of it."""
    path, expected = _ANSWERS[words[0]]
    log = folder / f"{words[0]}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [Path(sys.executable).with_name(words[0]), *words[1:]],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _LONGEST_START_S
        while expected not in (said := answer(port, path)):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{words[0]} answers {said!r}\n{log.read_text()[-3000:]}")
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answer(port: int, path: str) -> str:
    """Return what is answered on loopback, or why nothing is."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.read().decode() if response.status == http.HTTPStatus.OK else str(response.status)
    except OSError as error:
        return str(error)
