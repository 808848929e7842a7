"""Several workers on one machine: processes of their own, watched, and replaced where one is killed."""

from __future__ import annotations

import multiprocessing
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.processes import end_with_parent
from lstm_adversarial_attack.search.place import WORKER, Journal, Place
from lstm_adversarial_attack.search.trials import Clock, Objective, Plan, finished, running
from lstm_adversarial_attack.search.worker import is_over, work

_LOOK_EVERY_S = 0.5
#: Each worker may be killed once and so many beside, with no trial finished between, until the search gives up.
_FURTHER_DEATHS = 2
_USER_ERROR = 3


class Crew:
    """The workers of one command. Leaving the block ends them, and leaves their trials to others."""

    def __init__(
        self, place: Place, plan: Plan, prepare: Callable[[], Objective], size: int, say: Callable[[str], None]
    ) -> None:
        self._place, self._plan, self._prepare, self._size, self._say = place, plan, prepare, size, say
        self._team = secrets.token_hex(4)
        self._workers: dict[str, tuple[BaseProcess, Connection]] = {}
        self._begun = self._deaths = 0

    def work(self, study: optuna.Study, clock: Clock, on_trial: Callable[[], None]) -> None:
        """Have the workers search until all of them have come to the end.

        Raises:
            UserError: what one of them met that a user can mend, or they are killed again and again.
        """
        done = len(finished(study))
        try:
            self._revive(study)  # a command that was killed here before may have left some
            for _ in range(self._size):
                self._start(clock)
            while self._workers:
                wait([process.sentinel for process, _ in self._workers.values()], _LOOK_EVERY_S)
                for name in [name for name, (process, _) in self._workers.items() if not process.is_alive()]:
                    self._ended(name, study, clock)
                if len(finished(study)) > done:
                    done, self._deaths = len(finished(study)), 0
                    on_trial()
        finally:
            self._end(study)

    def _start(self, clock: Clock) -> None:
        name = f"{self._team}-{self._begun}"
        self._begun += 1
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_main, args=(self._place, self._plan, self._prepare, name, clock.deadline, theirs), name=name
        )
        with _interrupts_ignored():
            process.start()
        theirs.close()
        self._workers[name] = process, mine

    def _ended(self, name: str, study: optuna.Study, clock: Clock) -> None:
        process, pipe = self._workers.pop(name)
        process.join()
        if process.exitcode == 0:
            return
        if process.exitcode == _USER_ERROR:
            raise UserError(pipe.recv())
        if process.exitcode is None or process.exitcode > 0:
            raise RuntimeError("a worker of the search has failed; what it met stands above")
        self._deaths += 1
        self._say(f"a worker was ended by signal {-process.exitcode}; its trial is tried again")
        if self._deaths > self._size + _FURTHER_DEATHS:
            raise UserError(
                "workers are killed again and again and no trial ends; give fewer --workers, or more memory to each"
            )
        self._revive(study)
        if not is_over(study, self._plan, clock):
            self._start(clock)

    def _revive(self, study: optuna.Study) -> None:
        """Put the trials back into the queue that no living worker of this command is at, but should be."""

        def is_dead(trial: FrozenTrial) -> bool:
            worker = trial.user_attrs.get(WORKER, "")
            ours = isinstance(self._place, Journal) or worker.startswith(f"{self._team}-")
            return ours and worker not in self._workers

        if any(is_dead(trial) for trial in running(study)):
            with self._place.claim(study):
                self._place.revive(study, is_dead)

    def _end(self, study: optuna.Study) -> None:
        for process, _ in self._workers.values():
            process.terminate()
        for process, _ in self._workers.values():
            process.join()
        if self._workers:
            self._workers.clear()
            with suppress(OptunaError, UserError):
                self._revive(study)


def _main(
    place: Place, plan: Plan, prepare: Callable[[], Objective], name: str, deadline: float | None, pipe: Connection
) -> None:
    """Work in a process of its own; a user's error goes to the parent in words."""
    end_with_parent()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = place.open(plan.name)
        work(place, study, plan, prepare(), worker=name, clock=Clock(plan, deadline))
    except UserError as error:
        pipe.send(str(error))
        raise SystemExit(_USER_ERROR) from None


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes begun here ignore Ctrl-C, which reaches all of a terminal: the parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
