"""The artifact layer of ``tune``: a ``dataset`` in, ``hyperparameters`` out."""

from __future__ import annotations

from typing import Any

import optuna

from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.devices import derive_seed, describe, prepare
from lstm_adversarial_attack.models.training import DivergedError, Epoch, fit
from lstm_adversarial_attack.search import search
from lstm_adversarial_attack.settings import TrainSettings, TuneSettings
from lstm_adversarial_attack.stage import Context, Stage

OBJECTIVE = "validation_auprc"
#: The defaults of `TrainSettings` as parameters of a trial; the first one tries them.
DEFAULTS = {
    "log2_hidden_units": TrainSettings().hidden_units.bit_length() - 1,
    "dropout": TrainSettings().dropout,
    "lr": TrainSettings().lr,
    "weight_decay": TrainSettings().weight_decay,
    "log2_batch_size": TrainSettings().batch_size.bit_length() - 1,
}


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Draw the hyperparameters of a trial."""
    return as_settings(
        {
            "log2_hidden_units": trial.suggest_int("log2_hidden_units", 5, 7),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "lr": trial.suggest_float("lr", 5e-4, 1e-2, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
            "log2_batch_size": trial.suggest_int("log2_batch_size", 5, 8),
        }
    )


def as_settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a trial's parameters as fields of `TrainSettings`."""
    settings = dict(parameters)
    for name in ("hidden_units", "batch_size"):
        settings[name] = 2 ** settings.pop(f"log2_{name}")
    return settings


def run(context: Context) -> None:
    """Search on the training and validation splits; test samples are never looked at."""
    settings: TuneSettings = context.settings
    device = prepare(context.execution)
    dataset = load_dataset(context.inputs["dataset"], device)
    train = dataset.tensors[dataset.of_split("train")]
    validation = dataset.tensors[dataset.of_split("validation")]
    progress = context.progress

    def objective(trial: optuna.Trial, number: int) -> float:
        def report(epoch: Epoch) -> None:
            trial.report(epoch.score, epoch.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        chosen = TrainSettings(
            max_epochs=settings.max_epochs,
            patience=settings.patience,
            seed=derive_seed(settings.seed, "trial", number),
            **suggest(trial),
        )
        try:
            return fit(train, validation, chosen, on_epoch=report).best.score
        except DivergedError as error:
            raise optuna.TrialPruned from error

    def tell(so_far: Search) -> None:
        progress.advance(1, f"best validation AUPRC {so_far.best_value:.3f}")

    found = search(
        objective,
        name=OBJECTIVE,
        journal=context.draft.work / "journal.log",
        trials=settings.trials,
        seed=settings.seed,
        first=DEFAULTS,
        settings_of=as_settings,
        on_start=lambda done: progress.start("trials", settings.trials, done),
        on_trial=tell,
    )
    context.draft.write_json("search.json", found)
    context.draft.rows["trials"] = len(found.trials)
    context.draft.environment["device"] = describe(device)
    progress.say(f"best of {len(found.trials)} trials: validation AUPRC {found.best_value:.3f}")


STAGE = Stage(name="tune", makes="hyperparameters", takes=("dataset",), run=run)
