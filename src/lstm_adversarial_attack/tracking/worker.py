"""The process that logs: it reads messages, a line of JSON each, and says problems, a line each.

TensorBoard's files are written as messages come in; MLflow, which may be slow, works in a thread of its own. The
process ends when its input does and all is logged, or after a bounded time.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import msgspec

from lstm_adversarial_attack.tracking.board import Board

#: How MLflow speaks with a server, unless the environment says otherwise; trying again is done here.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
#: The last try, when the stages have ended and the server was silent before.
_LAST_TRY = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "3", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
}
_PAUSE_S = 10.0
_SERVER_ERROR_PAUSE_S = 2.0
_MOST_TRIES_OF_A_SERVER = 3
#: Between two requests with live figures.
_BATCH_EVERY_S = 1.0
_MOST_WAITING = 100_000
#: After the stages have ended: longest time for one part of the work on a server, and for all of it.
_LONGEST_STEP_S = 40.0
_LONGEST_END_S = 120.0

Message = dict[str, Any]


class MlflowThread(threading.Thread):
    """Takes messages in their order to a store of MLflow."""

    def __init__(self, folder: Path, say: Any) -> None:
        """Log to the store that the environment names, else one below ``folder``; ``say`` tells a problem."""
        super().__init__(daemon=True)
        self._say = say
        self._folder = folder
        self._waiting: deque[Message] = deque()
        self._change = threading.Condition()
        self._ended = threading.Event()
        self._store: Any = None
        self._address = ""
        self._said_unreachable = False
        self._skipping = False
        self.last_progress = time.monotonic()

    @property
    def address_is_remote(self) -> bool:
        """Whether the store can fall silent; one in a local file can only be slow."""
        return not self._address.startswith("sqlite:")

    def put(self, message: Message) -> None:
        """Put a message in line; figures are dropped where too many wait."""
        with self._change:
            if message["do"] != "metrics" or len(self._waiting) < _MOST_WAITING:
                self._waiting.append(message)
                self._change.notify()

    def end(self) -> None:
        """Say that nothing more will come."""
        with self._change:
            self._ended.set()
            self._change.notify()

    def run(self) -> None:
        """Do what is in line until the end, or until the end has come and the store cannot be reached."""
        try:
            from lstm_adversarial_attack.tracking.problems import shown
            from lstm_adversarial_attack.tracking.store import Store

            self._store = Store(self._folder)
            self._address = shown(self._store.address)
        except Exception as error:
            self._say(f"MLflow cannot be used ({type(error).__name__}); the stage goes on without")
            return
        while (messages := self._next()) is not None:
            for step in self._steps(messages):
                if not self._tried(step, begins=messages[0]["do"] == "begin"):
                    return

    def _next(self) -> list[Message] | None:
        """Return the next message, with the figures that wait behind it where it holds some; None at the end."""
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._ended.is_set())
            if not self._waiting:
                return None
            messages = [self._waiting.popleft()]
            while messages[0]["do"] == "metrics" and self._waiting and self._waiting[0]["do"] == "metrics":
                messages.append(self._waiting.popleft())
            return messages

    def _steps(self, messages: list[Message]) -> list[Any]:
        """Return what the messages ask for, in parts."""
        from lstm_adversarial_attack.tracking.contents import sealed

        (first, *_), store = messages, self._store
        if first["do"] == "begin":
            self._skipping = False
            return [lambda: store.begin(first["stage"]), lambda: _prepare(first["stage"])]
        if self._skipping:
            return []
        if first["do"] == "metrics":
            points = [(m["step"], m["time_ms"], m["values"]) for m in messages]
            return [lambda: store.metrics(points), lambda: self._ended.wait(_BATCH_EVERY_S)]
        if first["do"] == "finish":
            try:
                steps: list[Any] = store.steps(sealed(Path(first["artifact"])))
            except Exception as error:
                self._say(f"the artifact could not be read to log it ({type(error).__name__})")
                steps = [lambda: store.end("FINISHED")]
            return steps
        return [lambda: store.end("FAILED" if first["do"] == "fail" else "KILLED")]

    def _tried(self, step: Any, *, begins: bool) -> bool:
        """Do a part of the work, again where its problem may pass; return whether to go on."""
        from lstm_adversarial_attack.tracking.problems import explain

        tries = 0
        while True:
            last = self._ended.is_set()
            try:
                step()
            except Exception as caught:
                error, problem, tries = caught, explain(caught), tries + 1
            else:
                self.last_progress = time.monotonic()
                return True
            if problem.unreachable:
                if not self._said_unreachable:
                    self._said_unreachable = True
                    self._say(f"{self._address} {problem.words}; the stage goes on without, unless it comes back")
                if last:
                    return False
                if self._ended.wait(_PAUSE_S):
                    os.environ.update(_LAST_TRY)
            elif problem.server_error and tries < _MOST_TRIES_OF_A_SERVER:
                self._ended.wait(_SERVER_ERROR_PAUSE_S)
            else:
                self._say(self._told(error, problem))
                self._skipping = self._skipping or begins
                return True

    def _told(self, error: Exception, problem: Any) -> str:
        from lstm_adversarial_attack.tracking.store import Unregistered

        if isinstance(error, Unregistered):
            return f"alias champion is not set: {error}"
        return f"{self._address} {problem.words}; the stage goes on without logging this"


def _prepare(stage: str) -> None:
    """Load what logging a model needs while the stage is still training it: it takes seconds."""
    if stage == "train":
        import_module("lstm_adversarial_attack.tracking.figures")
        import_module("lstm_adversarial_attack.models.calibration")


def main() -> None:
    """Read messages until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.dont_write_bytecode = True  # else it is logged beside the model's code
    voice = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # MLflow prints
        os.dup2(nowhere, stream)
    for name, value in (_PATIENCE | _QUIET).items():
        os.environ.setdefault(name, value)
    _follow(sys.stdin.buffer, voice)
    os._exit(0)  # not through exit handlers of others, which may wait for a server


def _follow(lines: Any, voice: TextIO) -> None:
    def say(line: str) -> None:
        voice.write(line + "\n")

    thread: MlflowThread | None = None
    board: Board | None = None
    working = False
    told: set[tuple[int, str]] = set()
    for line in lines:
        message: Message = msgspec.json.decode(line)
        if message["do"] == "begin":
            working, told = True, set()
            board = Board(Path(message["folder"]) / "tensorboard", message["stage"])
            thread = thread or _started(Path(message["folder"]), say)
        elif message["do"] == "finish":
            for missing in _not_told(message, told):
                _take(missing, board, thread, told)
        _take(message, board, thread, told)
        if message["do"] in ("finish", "fail"):
            working = False
            if board:
                board.close()
    if thread is None:
        return
    if working:  # the stage was killed
        thread.put({"do": "killed"})
    _wait(thread, say)


def _started(folder: Path, say: Any) -> MlflowThread | None:
    if find_spec("mlflow") is None:
        return None
    thread = MlflowThread(folder, say)
    thread.start()
    return thread


def _take(message: Message, board: Board | None, thread: MlflowThread | None, told: set[tuple[int, str]]) -> None:
    if message["do"] == "metrics":
        told |= {(message["step"], name) for name in message["values"]}
        if board:
            board.add(message["values"], message["step"], message["time_ms"])
    if thread:
        thread.put(message)


def _not_told(message: Message, told: set[tuple[int, str]]) -> list[Message]:
    """Return figures of the artifact's curves that were not told live, such as epochs from before a kill."""
    from lstm_adversarial_attack.tracking.contents import curves, sealed

    try:
        curve = curves(sealed(Path(message["artifact"])))
    except Exception:
        return []  # told when the artifact is logged
    now = time.time_ns() // 1_000_000
    missing = [(step, {n: v for n, v in values.items() if (step, n) not in told}) for step, values in curve]
    return [{"do": "metrics", "step": step, "values": values, "time_ms": now} for step, values in missing if values]


def _wait(thread: MlflowThread, say: Any) -> None:
    """Wait for the thread as long as it gets on, within bounds."""
    thread.end()
    ended = thread.last_progress = time.monotonic()
    while thread.is_alive():
        thread.join(timeout=0.2)
        now = time.monotonic()
        stuck = thread.address_is_remote and now - thread.last_progress > _LONGEST_STEP_S
        if stuck or now - ended > _LONGEST_END_S:
            say("logging takes too long and was ended; not everything was logged")
            return


if __name__ == "__main__":
    main()
