"""The artifact layer of ``cross-validate``: a ``dataset`` (and ``hyperparameters``) in, a ``cross-validation`` out."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.cross_validate.core import Plan, carry_out, labels_and_patients, tasks_of
from lstm_adversarial_attack.cross_validate.folds import folds
from lstm_adversarial_attack.cross_validate.result import LSTM, summarise, table
from lstm_adversarial_attack.cross_validate.settings import REFERENCE, CrossValidateSettings
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import Schema
from lstm_adversarial_attack.models.baselines import BASELINES
from lstm_adversarial_attack.settings import CrossValidateExecution, with_found
from lstm_adversarial_attack.stage import Context, Stage

REFERENCE_NETWORK = "reference-network"

#: One row for each sample and method: what was predicted while the sample was held out.
HELD_OUT: Schema = {
    "sample": pl.Int32,
    "fold": pl.Int16,
    "subject_id": pl.Int64,
    "label": pl.Int8,
    "method": pl.String,
    "probability": pl.Float64,
}


def run(context: Context) -> None:
    """Repeat the training over folds and seeds."""
    settings: CrossValidateSettings = context.settings
    execution = context.execution
    assert isinstance(execution, CrossValidateExecution)
    dataset = context.inputs["dataset"]
    check_preprocessing(dataset)
    train = settings.train
    if "hyperparameters" in context.inputs:
        found_by = context.inputs["hyperparameters"]
        found = found_by.json("search.json", Search)
        if found.events == dataset.manifest.inputs["events"]:
            raise UserError(
                f"{found_by.path}: these hyperparameters were found on patients of {dataset.path}, whom a fold holds "
                "out; give those found on other events, or settings as --train.NAME options"
            )
        train = with_found(train, found.best)
    methods = {LSTM: train}
    members = {LSTM: settings.seeds}
    if settings.compare:
        methods[REFERENCE_NETWORK] = REFERENCE
        members |= {REFERENCE_NETWORK: 1, **dict.fromkeys(BASELINES, 1)}
    plan = Plan(dataset.path, settings.folds, settings.seed, methods, execution, settings.refit)
    labels, patients = labels_and_patients(load_dataset(dataset, torch.device("cpu")))
    parts = folds(labels, patients, settings.folds, settings.seed)
    tasks = tasks_of(plan, members)
    results = carry_out(
        plan,
        tasks,
        work=context.draft.work,
        workers=execution.workers,
        on_start=lambda done: context.progress.start("fits", len(tasks), done),
        on_task=lambda task: context.progress.advance(1, f"fold {task.fold + 1}, {task.method}"),
    )
    context.progress.start("intervals")
    figures, held_out = summarise(plan, results, labels, patients, resamples=settings.resamples)
    fold_of = np.empty(len(labels), np.int16)
    for fold in parts:
        fold_of[fold.test] = fold.number
    frames = [
        pl.DataFrame(
            {
                "sample": np.arange(len(labels), dtype=np.int32),
                "fold": fold_of,
                "subject_id": patients,
                "label": labels.astype(np.int8),
                "method": [name] * len(labels),
                "probability": probability,
            }
        )
        for name, probability in held_out.items()
    ]
    context.draft.write_frame("predictions.parquet", pl.concat(frames), HELD_OUT)
    context.draft.write_json("metrics.json", figures)
    (context.draft.path / "table.txt").write_text("\n".join(table(figures)) + "\n", encoding="utf-8")


def check_preprocessing(dataset: Artifact) -> None:
    """See that what the dataset's preparation learned of its patients can be taken back fold by fold.

    Means and standard deviations can, and are (`folds.in_units_of`). What was filled in or cut off by the figures of
    patients whom a fold holds out stays so.

    Raises:
        UserError: it was filled or clipped so.
    """
    made = dataset.manifest.settings
    for name, kept in (("imputation", "forward-fill"), ("scaling", "standard")):
        if made[name] != kept:
            raise UserError(
                f"{dataset.path}: made with --{name} {made[name]}, which has learned from patients whom a fold holds "
                f"out; preprocess the events with --{name} {kept}"
            )


STAGE = Stage(
    name="cross-validate", makes="cross-validation", takes=("dataset",), may_take=("hyperparameters",), run=run
)
