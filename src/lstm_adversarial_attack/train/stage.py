"""The artifact layer of ``train``: a ``dataset`` (and ``hyperparameters``) in, a ``model`` out."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from lstm_adversarial_attack.artifacts.contents import ModelCard, Search
from lstm_adversarial_attack.datasets import LoadedDataset, load_dataset
from lstm_adversarial_attack.devices import describe, prepare
from lstm_adversarial_attack.frames import HISTORY, PREDICTIONS, SPLITS
from lstm_adversarial_attack.metrics import Estimate, best_f1_threshold, prediction_metrics
from lstm_adversarial_attack.models import Classifier, death_probability, predict_logits, save_weights
from lstm_adversarial_attack.models.training import EnsembleFit, Epoch, fit_ensemble
from lstm_adversarial_attack.settings import TrainSettings, as_manifest, with_found
from lstm_adversarial_attack.stage import Context, Stage


def run(context: Context) -> None:
    """Train on the dataset's training split."""
    settings: TrainSettings = context.settings
    if "hyperparameters" in context.inputs:
        settings = with_found(settings, context.inputs["hyperparameters"].json("search.json", Search).best)
    device = prepare(context.execution)
    dataset = load_dataset(context.inputs["dataset"], device)
    progress, draft = context.progress, context.draft

    def tell(epoch: Epoch) -> None:
        progress.advance(1, f"validation AUPRC {epoch.score:.3f}")

    fitted = fit_ensemble(
        dataset.tensors[dataset.of_split("train")],
        dataset.tensors[dataset.of_split("validation")],
        settings,
        checkpoint=lambda member: draft.work / f"checkpoint-{member}.safetensors",
        on_start=lambda done: progress.start("epochs", settings.ensemble * settings.max_epochs, done),
        on_epoch=tell,
    )
    progress.start("intervals")
    predictions = predict(fitted.model, dataset)
    threshold = _threshold(predictions)
    metrics = judge(predictions, threshold, resamples=settings.resamples, seed=settings.seed)
    save_weights(fitted.model, draft.path / "weights.safetensors")
    card = ModelCard(
        architecture=fitted.architecture,
        features=dataset.features.names,
        threshold=threshold,
        best_epochs=tuple(member.best.epoch for member in fitted.members),
        epochs=sum(len(member.history) for member in fitted.members),
        settings=as_manifest(settings),
    )
    draft.write_json("model.json", card)
    draft.write_json("metrics.json", metrics)
    draft.write_frame("predictions.parquet", predictions, PREDICTIONS)
    draft.write_frame("history.parquet", _history_frame(fitted), HISTORY)
    draft.environment["device"] = describe(device)
    test = metrics["test"]
    progress.say(
        f"{card.epochs} epochs, best {', '.join(map(str, card.best_epochs))}; held out: AUROC {_shown(test['auroc'])}, "
        f"AUPRC {_shown(test['auprc'])}, F1 {_shown(test['f1'])}"
    )


def predict(model: Classifier, dataset: LoadedDataset) -> pl.DataFrame:
    """Return the model's predictions for every sample (`frames.PREDICTIONS`)."""
    probability = death_probability(predict_logits(model, dataset.tensors)).cpu().numpy()
    return dataset.samples.select(
        pl.int_range(pl.len(), dtype=pl.Int32).alias("sample"),
        "split",
        "subject_id",
        "label",
        pl.Series("probability", probability, dtype=pl.Float64),
    )


def _threshold(predictions: pl.DataFrame) -> float:
    validation = predictions.filter(pl.col("split") == "validation")
    return best_f1_threshold(validation["label"].to_numpy(), validation["probability"].to_numpy())


def judge(predictions: pl.DataFrame, threshold: float, *, resamples: int, seed: int) -> dict[str, dict[str, Estimate]]:
    """Return the figures of each split; those of ``test`` are the held-out ones."""
    figures = {}
    for split in SPLITS:
        part = predictions.filter(pl.col("split") == split)
        figures[split] = prediction_metrics(
            part["label"].to_numpy(),
            part["probability"].to_numpy(),
            part["subject_id"].to_numpy(),
            threshold=threshold,
            resamples=resamples,
            seed=seed,
        )
    return figures


def _history_frame(fitted: EnsembleFit) -> pl.DataFrame:
    epochs = [msgspec.structs.asdict(epoch) for member in fitted.members for epoch in member.history]
    return pl.DataFrame(epochs, schema=dict(HISTORY))


def _shown(estimate: Estimate) -> str:
    values = [np.nan if x is None else x for x in (estimate.value, estimate.low, estimate.high)]
    return "{:.3f} [{:.3f}, {:.3f}]".format(*values)


STAGE = Stage(name="train", makes="model", takes=("dataset",), may_take=("hyperparameters",), run=run)
