"""Searching settings with Optuna, so that a search that was killed ends like one that was not."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from lstm_adversarial_attack.artifacts.contents import Search, Trial
from lstm_adversarial_attack.devices import derive_seed
from lstm_adversarial_attack.errors import UserError

#: Takes a trial and the number of trials finished before it; returns its score, or raises
#: `optuna.TrialPruned`.
Objective = Callable[[optuna.Trial, int], float]

_START_UP_TRIALS = 5


def search(
    objective: Objective,
    *,
    name: str,
    journal: Path,
    trials: int,
    seed: int,
    first: dict[str, Any] | None = None,
    settings_of: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    on_start: Callable[[int], None] = lambda _done: None,
    on_trial: Callable[[Search], None] = lambda _so_far: None,
) -> Search:
    """Maximise ``objective`` until ``trials`` trials are finished.

    Finished trials are kept in ``journal``. The sampler draws from a seed that depends on how many trials
    are finished, not on how often the search was taken up, and a trial cut off by a kill is dropped and drawn
    anew, so the trials are the same whether or not the search was killed on the way.

    Args:
        objective: the score of a trial.
        name: name of the study.
        journal: file that outlives a kill.
        trials: finished trials (complete or pruned) to end with.
        seed: of the sampler.
        first: parameters of the first trial, such as the defaults, which a search should not end below.
        settings_of: turns a trial's parameters into settings of the stage.
        on_start: told how many trials are finished already.
        on_trial: told of the search so far after each trial.

    Raises:
        UserError: every trial was pruned.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = _open_study(name, journal)
    for cut_off in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(cut_off.number, state=TrialState.FAIL)
    on_start(len(_finished(study)))
    while len(_finished(study)) < trials:
        _one_trial(study, objective, seed, first)
        on_trial(_summary(name, study, settings_of))
    found = _summary(name, study, settings_of)
    if not found.best:
        raise UserError(f"none of {trials} trials came to an end; give more --trials or look at the data")
    return found


def _mend(journal: Path) -> None:
    """Drop a line that a kill or a full disk has cut off, and the lock of who was killed.

    Nobody else is at the journal: the artifact's own lock sees to that.
    """
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if journal.is_file():
        os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)


def _open_study(name: str, journal: Path) -> optuna.Study:
    _mend(journal)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        backend = JournalFileBackend(str(journal), lock_obj=JournalFileOpenLock(str(journal)))
        return optuna.create_study(
            study_name=name,
            storage=JournalStorage(backend),
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_START_UP_TRIALS, n_warmup_steps=3),
            load_if_exists=True,
        )


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _one_trial(study: optuna.Study, objective: Objective, seed: int, first: dict[str, Any] | None) -> None:
    number = len(_finished(study))
    if first and number == 0 and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(first)
    study.sampler = optuna.samplers.TPESampler(
        seed=derive_seed(seed, "sampler", number) % 2**32, n_startup_trials=_START_UP_TRIALS
    )
    trial = study.ask()
    try:
        score = objective(trial, number)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, score)


def _summary(name: str, study: optuna.Study, settings_of: Callable[[dict[str, Any]], dict[str, Any]]) -> Search:
    finished = _finished(study)
    trials = [
        Trial(number, trial.state.name, trial.value, settings_of(trial.params)) for number, trial in enumerate(finished)
    ]
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    if not complete:
        return Search(name, {}, float("-inf"), trials)
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    return Search(name, best.settings, float(best.value or 0.0), trials)
