"""The stages' side of tracking: what they tell is put in line for the process that logs it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

#: The folder beside the artifacts in which the local store and TensorBoard's files lie.
FOLDER = "tracking"
#: Without an address these stages are left out: they last seconds, and making the local store takes longer.
_TOO_SHORT = ("extract", "preprocess")
_MOST_MESSAGES = 10_000
#: The worker ends itself earlier; this is for one that does not.
_LONGEST_WAIT_S = 130.0

Say = Callable[[str], None]


class StageTracker:
    """What a stage tells of itself while it works; without a sender it tells nobody."""

    def __init__(self, send: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._send = send

    def metrics(self, values: Mapping[str, float | None], step: int) -> None:
        """Log figures of a step, such as an epoch; None is left out.

        Names are without the stage's, which is put before them: ``validation_auprc`` becomes
        ``train/validation_auprc``. It returns at once.
        """
        told = {name: float(value) for name, value in values.items() if value is not None}
        if self._send and told:
            self._send({"do": "metrics", "step": step, "values": told, "time_ms": time.time_ns() // 1_000_000})

    def finish(self, artifact: Path) -> None:
        """Log what the sealed artifact says: settings, digests, figures and, where it is one, the model."""
        if self._send:
            self._send({"do": "finish", "artifact": str(artifact)})


class Tracker:
    """Hands what stages tell to the process that logs it, which is started when the first has something to tell.

    Use it as a context: at the end it waits, for a bounded time, until all is logged. Nothing here raises because of
    tracking.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Take addresses from ``environ``, by default those of this process."""
        self._environ = dict(os.environ if environ is None else environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: queue.Queue[bytes | None] = queue.Queue(_MOST_MESSAGES)
        self._threads: list[threading.Thread] = []
        self._say: Say = lambda _line: None
        self._said: set[str] = set()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @contextmanager
    def stage(self, name: str, out: Path, say: Say) -> Iterator[StageTracker]:
        """Yield the tracker of stage ``name``, which writes ``out``; ``say`` prints a line."""
        self._say = say
        if not self._wanted(name) or out.name == FOLDER:
            yield StageTracker()
            return
        self._start()
        self._send({"do": "begin", "stage": name, "folder": str(out.parent / FOLDER)})
        try:
            yield StageTracker(self._send)
        except BaseException:
            self._send({"do": "fail"})
            raise

    def _wanted(self, stage: str) -> bool:
        where = self._environ.get("LSTM_AA_TRACKING")
        if where == "off":
            return False
        if self._environ.get("MLFLOW_TRACKING_URI"):
            if find_spec("mlflow"):
                return True
            self._say_once(
                "tracking: MLFLOW_TRACKING_URI is set, but mlflow is not installed; install it, or this package with "
                "its extra 'tracking'"
            )
        if where == "server":  # as in an image, which holds what speaks with a server and not what keeps a store
            return False
        return stage not in _TOO_SHORT and bool(find_spec("mlflow") or find_spec("tensorboard"))

    def _start(self) -> None:
        if self._process is not None:
            return
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [package, self._environ.get("PYTHONPATH")]))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lstm_adversarial_attack.tracking.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environ | {"PYTHONPATH": path},
                start_new_session=True,  # an interrupt is for this process, which then tells the other
            )
        except OSError as error:
            self._say_once(f"tracking: its process could not be started ({error.strerror}); going on without")
            return
        for target in (self._write, self._listen):
            self._threads.append(threading.Thread(target=target, args=[self._process], daemon=True))
            self._threads[-1].start()

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(queue.Full):  # it reads as fast as it can; where it does not, it is stuck
            self._messages.put_nowait(msgspec.json.encode(message) + b"\n")

    def _write(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        with suppress(OSError), process.stdin as pipe:
            while (line := self._messages.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._say_once(f"tracking: {line.decode(errors='replace').strip()}")

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    def _close(self) -> None:
        process = self._process
        if process is None:
            return
        with suppress(queue.Full):
            self._messages.put_nowait(None)
        try:
            if process.wait(_LONGEST_WAIT_S) != 0:
                self._say_once("tracking: its process ended before its time; not everything was logged")
        except subprocess.TimeoutExpired:
            self._say_once("tracking: its process hangs and was ended; not everything was logged")
        finally:
            process.kill()
            process.wait()
            for thread in self._threads:
                thread.join(timeout=1)
