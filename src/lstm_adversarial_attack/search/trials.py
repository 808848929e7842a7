"""One trial of a search: what it is told, how it is drawn, when it is pruned, and how it is tried again."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Any

import optuna
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from lstm_adversarial_attack.devices import derive_seed

#: Trials before the sampler leans on the scores, and complete trials before any is pruned.
START_UP_TRIALS = 5
#: Times that a trial is tried again whose worker was killed; it may be the trial that kills it, as by its memory.
_MOST_RETRIES = 3


@dataclass(frozen=True)
class Plan:
    """What is searched for, whoever does it.

    Attributes:
        name: of the study; who shares a study gives the same name.
        trials: finished trials (complete or pruned) to end with.
        seed: of the sampler.
        first: parameters of the first trial, such as the defaults, which a search should not end below.
        vary: share of these that each further trial of the start-up draws anew; the others it keeps.
        max_minutes: time after which no trial begins and those that run are cut off, once one is complete; 0 for any.
    """

    name: str
    trials: int
    seed: int
    first: dict[str, Any] = field(default_factory=dict)
    vary: float = 1.0
    max_minutes: float = 0.0


class OutOfTimeError(Exception):
    """The search's time is up: the trial is dropped."""


@dataclass(frozen=True)
class Attempt:
    """A trial that is being tried.

    Attributes:
        trial: suggests parameters.
        number: how many trials were finished or under way when it began.
        over: whether the search's time is up.
    """

    trial: optuna.Trial
    number: int
    over: Callable[[], bool] = lambda: False

    def report(self, value: float, step: int, *, may_prune: bool = True) -> None:
        """Tell the best value so far, at a step that means the same in every trial.

        Raises:
            optuna.TrialPruned: it is worse than half of the complete trials were at that step.
            OutOfTimeError: the search's time is up.
        """
        self.trial.report(value, step)
        if may_prune and self.trial.should_prune():
            raise optuna.TrialPruned
        if self.over():
            raise OutOfTimeError


#: Returns the score of a trial, or raises `optuna.TrialPruned`.
Objective = Callable[[Attempt], float]


class Clock:
    """Tells when a search is over by its time.

    ``deadline`` is of `time.monotonic`, which all processes of a machine share; None for never.
    """

    def __init__(self, plan: Plan, deadline: float | None = None) -> None:
        begun = time.monotonic() + plan.max_minutes * 60 if plan.max_minutes else None
        self.deadline = begun if deadline is None else deadline

    def over(self, study: optuna.Study) -> bool:
        """Tell whether the time is up and a trial is complete."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return False
        return bool(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


class MedianSoFar(optuna.pruners.BasePruner):
    """Prunes a trial whose value is below the median of the complete trials' values at the same step.

    Values are the best so far, so a trial that ended before the step counts with its last one. (Optuna's own median
    pruner leaves such trials out, and compares a trial's best of all steps.)
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Tell whether ``trial`` should end here."""
        step = trial.last_step
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if step is None or len(complete) < START_UP_TRIALS:
            return False
        others = [at for other in complete if (at := _value_at(other, step)) is not None]
        return bool(others) and trial.intermediate_values[step] < median(others)


def _value_at(trial: FrozenTrial, step: int) -> float | None:
    reached = [known for known in trial.intermediate_values if known <= step]
    return trial.intermediate_values[max(reached)] if reached else None


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count, in their order."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def running(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that were begun and have not ended."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def finished_or_running(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count or are under way, of one moment: between two looks one may come to its end."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    return study.get_trials(deepcopy=False, states=states)


def draw(study: optuna.Study, plan: Plan, number: int) -> optuna.Trial:
    """Begin a trial: one that waits, or one drawn anew.

    The seed depends on its number, on how many trials were given up, and on nothing before it.
    """
    given_up = _given_up(study)
    place = (number, given_up) if given_up else (number,)
    if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        fixed = _fixed(plan, *place)
        if fixed:
            study.enqueue_trial(fixed)
    study.sampler = optuna.samplers.TPESampler(
        seed=derive_seed(plan.seed, "sampler", *place) % 2**32, n_startup_trials=START_UP_TRIALS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that nobody writes heartbeats: `Database` does
        return study.ask()


def _given_up(study: optuna.Study) -> int:
    """Return how many trials have killed their worker as often as they are tried, so that others take their place."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return sum(len(trial.system_attrs.get("retry_history", ())) >= _MOST_RETRIES for trial in failed)


def _fixed(plan: Plan, number: int, *given_up: int) -> dict[str, Any]:
    """Return the parameters that the trial does not draw. Where trials were given up, the first draws like others."""
    if number == 0 and not given_up:
        return plan.first
    if number >= START_UP_TRIALS or not plan.first:
        return {}
    names = list(plan.first)
    random = Random(derive_seed(plan.seed, "start-up", number, *given_up))
    drawn = set(random.sample(names, max(1, round(plan.vary * len(names)))))
    return {name: value for name, value in plan.first.items() if name not in drawn}


class Retry(RetryHeartbeatStaleTrialCallback):
    """Puts a trial whose worker is gone back into the queue, without what that worker noted on it."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(max_retry=_MOST_RETRIES)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Queue the parameters of ``trial``."""
        trial.user_attrs = {}
        super().__call__(study, trial)


def try_again(study: optuna.Study, trial: FrozenTrial, retry: Retry) -> None:
    """End a trial whose worker is gone, and put it back into the queue; one that has ended meanwhile is left alone."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        return
    retry(study, study.get_trials(deepcopy=True)[trial.number])
