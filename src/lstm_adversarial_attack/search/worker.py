"""A worker: takes trial after trial until the study has all it should have."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import optuna
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.trial import TrialState

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search.place import Place
from lstm_adversarial_attack.search.trials import (
    Attempt,
    Clock,
    Objective,
    OutOfTimeError,
    Plan,
    draw,
    finished,
    finished_or_running,
)

#: Seconds between two looks at a study whose last trials others are at.
_WAIT_S = 1.0


def is_over(study: optuna.Study, plan: Plan, clock: Clock) -> bool:
    """Tell whether no trial is to begin any more, though some may be under way."""
    return len(finished(study)) >= plan.trials or clock.over(study)


def work(
    place: Place,
    study: optuna.Study,
    plan: Plan,
    objective: Objective,
    *,
    worker: str,
    clock: Clock,
    on_trial: Callable[[], None] = lambda: None,
) -> None:
    """Take trials until the study has all it should have, or the time is up.

    Where others are at the last trials, it waits for them: one of them may be killed.
    """
    while True:
        attempt = None
        with place.claim(study) as still_mine:
            place.tidy(study)
            if is_over(study, plan, clock):
                return
            number = len(finished_or_running(study))
            if number < plan.trials:
                trial = draw(study, plan, number)
                with suppress(UpdateFinishedTrialError):  # who has claimed meanwhile took it for one without a worker
                    if still_mine():  # else whoever claims next will
                        place.sign(trial, worker)
                        attempt = Attempt(trial, number, lambda: clock.over(study))
        if attempt is None:
            time.sleep(_WAIT_S)
        else:
            _carry_out(place, study, attempt, objective)
            on_trial()


def _carry_out(place: Place, study: optuna.Study, attempt: Attempt, objective: Objective) -> None:
    score, state = None, TrialState.COMPLETE
    try:
        with place.beating(study, attempt.trial):
            score = objective(attempt)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except OutOfTimeError:
        state = TrialState.FAIL
    except UpdateFinishedTrialError:  # taken for dead, and so tried again by another
        return
    except (Exception, KeyboardInterrupt):
        with suppress(OptunaError, UserError):
            place.give_up(study, attempt.trial)
        raise
    with suppress(UpdateFinishedTrialError):
        study.tell(attempt.trial, score, state=state, skip_if_finished=True)
