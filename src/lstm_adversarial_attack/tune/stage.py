"""The artifact layer of ``tune``: a ``dataset`` in, ``hyperparameters`` out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import optuna
from threadpoolctl import threadpool_limits

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.devices import derive_seed, describe, is_mixed, prepare
from lstm_adversarial_attack.models.training import DivergedError, Epoch, fit
from lstm_adversarial_attack.search import JOURNAL, Attempt, Objective, Plan, place_of, search, workers_of
from lstm_adversarial_attack.settings import Execution, TrainSettings, TuneSettings
from lstm_adversarial_attack.stage import Context, Stage
from lstm_adversarial_attack.tune.folds import Fold, folds_of
from lstm_adversarial_attack.tune.space import as_settings, defaults, suggest

OBJECTIVE = "validation_auprc"
#: Of folds inside the training split, the mean over them.
FOLDS_OBJECTIVE = "folds_auprc"
#: Epochs of a fit before which it is not pruned.
_WARM_UP = 3
#: Share of the parameters that trials of the start-up draw anew, so that few trials stay near the defaults.
_VARY = 0.4


def run(context: Context) -> None:
    """Search on the training split, and the validation split where there are no folds; never on test samples."""
    settings: TuneSettings = context.settings
    execution = context.execution
    progress = context.progress

    def tell(so_far: Search) -> None:
        context.checkpoints.put(JOURNAL)
        progress.reach(len(so_far.trials), f"best AUPRC {so_far.best_value:.3f}" if so_far.best else "")

    found = search(
        partial(objective_of, context.inputs["dataset"], settings, execution),
        Plan(
            name=f"tune-{context.draft.work.name}",
            trials=settings.trials,
            seed=settings.seed,
            first=defaults(settings.space),
            vary=_VARY,
            max_minutes=settings.max_minutes,
        ),
        place_of(execution, context.draft.work),
        objective=FOLDS_OBJECTIVE if settings.folds else OBJECTIVE,
        workers=workers_of(execution),
        settings_of=as_settings,
        on_start=lambda done: progress.start("trials", settings.trials, done),
        on_trial=tell,
        say=progress.say,
    )
    events = context.inputs["dataset"].manifest.inputs["events"]
    context.draft.write_json("search.json", msgspec.structs.replace(found, events=events))
    context.draft.rows["trials"] = len(found.trials)
    context.draft.environment["device"] = describe(prepare(execution))
    progress.say(f"best of {len(found.trials)} trials: AUPRC {found.best_value:.3f}")


def objective_of(artifact: Artifact, settings: TuneSettings, execution: Execution) -> Objective:
    """Return the score of a trial: the best AUPRC of its fit, or the mean over folds."""
    device = prepare(execution)
    mixed_precision = is_mixed(execution, device)
    threadpool_limits(execution.threads)
    folds = folds_of(load_dataset(artifact, device), settings.folds, settings.seed)

    def objective(attempt: Attempt) -> float:
        chosen = TrainSettings(
            max_epochs=settings.max_epochs,
            patience=settings.patience,
            seed=derive_seed(settings.seed, "trial", attempt.number),
            **suggest(attempt.trial, settings.space),
        )
        try:
            return mean_score(folds, chosen, attempt.report, mixed_precision=mixed_precision)
        except DivergedError as error:
            raise optuna.TrialPruned from error

    return objective


def mean_score(
    folds: list[Fold], settings: TrainSettings, report: Callable[..., None], *, mixed_precision: bool = False
) -> float:
    """Fit on each fold and return the mean of their best scores.

    ``report`` is told after every epoch. Its steps go on from fold to fold, by as many as a fit may have epochs; the
    value is the mean of the folds so far, with the best of each.
    """
    best: list[float] = []
    for number, fold in enumerate(folds):
        best.append(float("-inf"))

        def tell(epoch: Epoch, first_step: int = number * settings.max_epochs) -> None:
            best[-1] = max(best[-1], epoch.score)
            report(sum(best) / len(best), first_step + epoch.epoch, may_prune=epoch.epoch > _WARM_UP)

        taught = fold.lesson if settings.distillation else None
        fit(fold.train, fold.validation, settings, taught=taught, mixed_precision=mixed_precision, on_epoch=tell)
    return sum(best) / len(best)


STAGE = Stage(name="tune", makes="hyperparameters", takes=("dataset",), run=run)
