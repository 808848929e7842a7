"""A search from its beginning to what it found."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from lstm_adversarial_attack.artifacts.contents import Search, Trial
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search.crew import Crew
from lstm_adversarial_attack.search.place import Place
from lstm_adversarial_attack.search.trials import Clock, Objective, Plan, finished
from lstm_adversarial_attack.search.worker import work

#: Complete trials from which on it is said what mattered how much.
_FEWEST_FOR_IMPORTANCE = 4
_DECIMALS = 6


def search(
    prepare: Callable[[], Objective],
    plan: Plan,
    place: Place,
    *,
    objective: str,
    workers: int = 1,
    settings_of: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    on_start: Callable[[int], None] = lambda _done: None,
    on_trial: Callable[[Search], None] = lambda _so_far: None,
    say: Callable[[str], None] = lambda _text: None,
) -> Search:
    """Maximise an objective until the plan's trials are finished or its time is up.

    With a journal and one worker the trials are the same however often the search is killed and taken up again. With
    several workers, or in a database, which trials are drawn depends on who finishes first.

    Args:
        prepare: makes the objective. With several workers each calls it in a process of its own, so it has to survive
            pickling.
        plan: what is searched for.
        place: where the study is kept.
        objective: what the score is, in a word.
        workers: processes that search on this machine; one searches in this process.
        settings_of: turns a trial's parameters into settings of the stage.
        on_start: told how many trials are finished already.
        on_trial: told of the search so far when trials have finished.
        say: told what a user should know.

    Raises:
        UserError: every trial was pruned; or the place cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    clock = Clock(plan)
    study = place.open(plan.name, say)
    on_start(len(finished(study)))

    def tell() -> None:
        on_trial(_summary(objective, study, settings_of))

    if workers == 1:
        work(place, study, plan, prepare(), worker=secrets.token_hex(4), clock=clock, on_trial=tell)
    else:
        Crew(place, plan, prepare, workers, say).work(study, clock, tell)
    found = _summary(objective, study, settings_of, with_importances=True)
    if not found.best:
        raise UserError(f"none of {len(found.trials)} trials came to an end; give more --trials or look at the data")
    return found


def _summary(
    objective: str,
    study: optuna.Study,
    settings_of: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    with_importances: bool = False,
) -> Search:
    trials = [
        Trial(number, trial.state.name, trial.value, settings_of(trial.params))
        for number, trial in enumerate(finished(study))
    ]
    complete = [trial for trial in trials if trial.state == "COMPLETE"]
    if not complete:
        return Search(objective, {}, float("-inf"), trials)
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    importances = _importances(study, settings_of) if with_importances else {}
    return Search(objective, best.settings, float(best.value or 0.0), trials, importances)


def _importances(study: optuna.Study, settings_of: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, float]:
    """Return each setting's share of what made good trials good, by PED-ANOVA; none of too few or equal trials.

    Watanabe et al., PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces, IJCAI 2023.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < _FEWEST_FOR_IMPORTANCE or len({trial.value for trial in complete}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that with so few trials they are unsure
        shares = optuna.importance.get_param_importances(study)
    if not any(shares.values()):
        return {}
    importances: dict[str, float] = {}
    for name, share in shares.items():
        setting = _setting(complete, name, settings_of)
        importances[setting] = round(importances.get(setting, 0.0) + float(share), _DECIMALS)
    return importances


def _setting(
    complete: list[FrozenTrial], parameter: str, settings_of: Callable[[dict[str, Any]], dict[str, Any]]
) -> str:
    """Return the setting that a parameter gives."""
    value = next(trial.params[parameter] for trial in complete if parameter in trial.params)
    return next(iter(settings_of({parameter: value})))
