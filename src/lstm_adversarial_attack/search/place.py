"""Where a study is kept, and what keeps the workers on it from getting in each other's way."""

from __future__ import annotations

import fcntl
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from lstm_adversarial_attack.search.trials import MedianSoFar, Retry, running, try_again

#: Name of the note on a trial that says who is at it.
WORKER = "worker"


class Place(ABC):
    """A study's place.

    Looking how many trials are finished or under way and beginning another is one step, ``claim``, that one worker
    takes at a time; so no more trials are begun than were asked for.
    """

    @abstractmethod
    def open(self, name: str, say: Callable[[str], None] = lambda _text: None) -> optuna.Study:
        """Return the study, made if it is not there.

        Raises:
            UserError: the place cannot be reached or written.
        """

    @abstractmethod
    def claim(self, study: optuna.Study) -> AbstractContextManager[Callable[[], bool]]:
        """Keep others from claiming while the block runs; what it yields tells whether they still are kept."""

    def tidy(self, study: optuna.Study) -> None:
        """Put the trials of workers that are gone back into the queue. To be called within a claim."""
        self.revive(study, lambda trial: WORKER not in trial.user_attrs)

    def revive(self, study: optuna.Study, is_dead: Callable[[FrozenTrial], bool]) -> None:
        """Put those trials back into the queue that run and are dead. To be called within a claim."""
        for trial in running(study):
            if is_dead(trial):
                try_again(study, trial, Retry())

    def sign(self, trial: optuna.Trial, worker: str) -> None:
        """Note who is at the trial. Until then it counts as one whose worker is gone. To be called within a claim."""
        trial.set_user_attr(WORKER, worker)

    def give_up(self, study: optuna.Study, trial: optuna.Trial) -> None:
        """Leave a trial to others, because this worker ends."""
        with self.claim(study):
            self.revive(study, lambda other: other.number == trial.number)

    def beating(self, study: optuna.Study, trial: optuna.Trial) -> AbstractContextManager[None]:  # noqa: ARG002
        """Tell others that the trial's worker lives, as long as the block runs."""
        return nullcontext()


@dataclass(frozen=True)
class Journal(Place):
    """A journal file, for workers of one command on one machine.

    ``alone`` says that nobody else is at the study: then trials that a kill has cut off are dropped and drawn anew,
    so that the search ends with the trials of one that was not killed.
    """

    file: Path
    alone: bool = True

    def open(self, name: str, say: Callable[[str], None] = lambda _text: None) -> optuna.Study:  # noqa: ARG002
        """Return the study, made if it is not there."""
        with _locked(self._claim_file) if not self.alone else nullcontext(), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            lock = _JournalLock(self.file)
            lock.acquire()  # what a kill has cut off must be gone before the file is read
            lock.release()
            return make_study(name, JournalStorage(JournalFileBackend(str(self.file), lock_obj=lock)))

    @property
    def _claim_file(self) -> Path:
        return self.file.with_suffix(".claim")

    @contextmanager
    def claim(self, study: optuna.Study) -> Iterator[Callable[[], bool]]:  # noqa: ARG002
        """Keep others from claiming while the block runs."""
        with nullcontext() if self.alone else _locked(self._claim_file):
            yield lambda: True

    def tidy(self, study: optuna.Study) -> None:
        """Drop what was cut off, where nobody else is at the study; else put it back into the queue."""
        if not self.alone:
            super().tidy(study)
            return
        for trial in running(study):
            study.tell(trial.number, state=TrialState.FAIL)

    def sign(self, trial: optuna.Trial, worker: str) -> None:
        """Note who is at the trial, where it could be another."""
        if not self.alone:
            super().sign(trial, worker)

    def give_up(self, study: optuna.Study, trial: optuna.Trial) -> None:
        """Leave a trial to others; where there are none, it is dropped when the search goes on."""
        if not self.alone:
            super().give_up(study, trial)


def make_study(name: str, storage: BaseStorage) -> optuna.Study:
    """Return the study of that name, made if it is not there."""
    return optuna.create_study(
        study_name=name, storage=storage, direction="maximize", pruner=MedianSoFar(), load_if_exists=True
    )


class _JournalLock(JournalFileOpenLock):
    """A lock that the system takes back from who is killed; Optuna's is a file that stays.

    Who gets it drops a line at the journal's end that a kill or a full disk has cut off.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self._journal = journal
        self._held: IO[bytes] | None = None

    def acquire(self) -> bool:
        self._held = self._journal.with_suffix(".lock").open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        _mend(self._journal)
        return True

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def _mend(journal: Path) -> None:
    if not journal.is_file() or journal.stat().st_size == 0:
        return
    with journal.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        whole = stream.read() == b"\n"
    if not whole:
        os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
