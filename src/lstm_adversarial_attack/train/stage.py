"""The artifact layer of ``train``: a ``dataset`` (and ``hyperparameters``) in, a ``model`` out."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from lstm_adversarial_attack.artifacts.contents import Calibration, ModelCard, Search
from lstm_adversarial_attack.datasets import LoadedDataset, load_dataset
from lstm_adversarial_attack.devices import describe, is_mixed, prepare
from lstm_adversarial_attack.frames import BASELINE_PREDICTIONS, HISTORY, PREDICTIONS, SPLITS, typed
from lstm_adversarial_attack.metrics import Estimate, best_f1_threshold, prediction_metrics
from lstm_adversarial_attack.models import Classifier, death_probability, predict_logits, save_weights
from lstm_adversarial_attack.models.baselines import BASELINES, fit_baseline, lesson
from lstm_adversarial_attack.models.calibration import calibrated, fit_calibration
from lstm_adversarial_attack.models.training import EnsembleFit, Epoch, fit_ensemble
from lstm_adversarial_attack.progress import StageProgress
from lstm_adversarial_attack.settings import TrainSettings, as_manifest, with_found
from lstm_adversarial_attack.stage import Context, Stage
from lstm_adversarial_attack.tracking.contents import epoch_metrics


def run(context: Context) -> None:
    """Train on the dataset's training split."""
    settings: TrainSettings = context.settings
    if "hyperparameters" in context.inputs:
        settings = with_found(settings, context.inputs["hyperparameters"].json("search.json", Search).best)
    device = prepare(context.execution)
    threadpool_limits(context.execution.threads)  # sums of scikit-learn must not depend on the machine's cores
    dataset = load_dataset(context.inputs["dataset"], device)
    progress, draft = context.progress, context.draft

    def checkpoint_of(member: int) -> Path:
        return draft.work / f"checkpoint-{member}.safetensors"

    def tell(epoch: Epoch) -> None:
        context.checkpoints.put(checkpoint_of(epoch.member).name)
        context.tracker.metrics(*epoch_metrics(msgspec.structs.asdict(epoch)))
        progress.advance(1, f"validation AUPRC {epoch.score:.3f}")

    train = dataset.tensors[dataset.of_split("train")]
    taught = None
    if settings.distillation:
        progress.start("second target")
        taught = lesson(train, _patients(dataset), settings.seed)
    fitted = fit_ensemble(
        train,
        dataset.tensors[dataset.of_split("validation")],
        settings,
        taught=taught,
        mixed_precision=is_mixed(context.execution, device),
        checkpoint=checkpoint_of,
        on_start=lambda done: progress.start("epochs", settings.ensemble * settings.max_epochs, done),
        on_epoch=tell,
    )
    baselines = _baselines(dataset, settings, progress)
    progress.start("intervals")
    predictions, calibration = predict(fitted.model, dataset, settings.calibration)
    threshold = _threshold(predictions)
    metrics = judge(predictions, threshold, resamples=settings.resamples, seed=settings.seed)
    save_weights(fitted.model, draft.path / "weights.safetensors")
    card = ModelCard(
        architecture=fitted.architecture,
        features=dataset.features.names,
        threshold=threshold,
        calibration=calibration,
        best_epochs=tuple(member.best.epoch for member in fitted.members),
        epochs=sum(len(member.history) for member in fitted.members),
        settings=as_manifest(settings),
    )
    draft.write_json("model.json", card)
    draft.write_json("metrics.json", metrics)
    draft.write_frame("predictions.parquet", predictions, PREDICTIONS)
    draft.write_frame("baselines.parquet", baselines, BASELINE_PREDICTIONS)
    draft.write_frame("history.parquet", _history_frame(fitted), HISTORY)
    draft.environment["device"] = describe(device)
    test = metrics["test"]
    progress.say(
        f"{card.epochs} epochs, best {', '.join(map(str, card.best_epochs))}; held out: AUROC {_shown(test['auroc'])}, "
        f"AUPRC {_shown(test['auprc'])}, F1 {_shown(test['f1'])}"
    )


def predict(
    model: Classifier, dataset: LoadedDataset, calibration_method: str = "none"
) -> tuple[pl.DataFrame, Calibration]:
    """Return the model's predictions for every sample (`frames.PREDICTIONS`), and their calibration.

    ``calibration_method`` is one of `fit_calibration`, which sees the validation split.
    """
    probability = death_probability(predict_logits(model, dataset.tensors)).cpu().numpy()
    validation = (dataset.samples["split"] == "validation").to_numpy()
    labels = dataset.samples["label"].to_numpy()
    calibration = fit_calibration(calibration_method, probability[validation], labels[validation])
    predictions = dataset.samples.select(
        pl.int_range(pl.len(), dtype=pl.Int32).alias("sample"),
        "split",
        "subject_id",
        "label",
        pl.Series("probability", probability, dtype=pl.Float64),
        pl.Series("calibrated", calibrated(calibration, probability), dtype=pl.Float64),
    )
    return predictions, calibration


def _baselines(dataset: LoadedDataset, settings: TrainSettings, progress: StageProgress) -> pl.DataFrame:
    """Fit the baselines, where they are asked for, and return their predictions (`frames.BASELINE_PREDICTIONS`).

    They are calibrated in the way of the model.
    """
    predicted = [pl.DataFrame(schema=dict(BASELINE_PREDICTIONS))]
    if settings.baselines:
        train, patients = dataset.tensors[dataset.of_split("train")], _patients(dataset)
        progress.start("baselines", len(BASELINES))
        for name in BASELINES:
            predictions, _ = predict(fit_baseline(name, train, patients, settings.seed), dataset, settings.calibration)
            predicted.append(typed(predictions.with_columns(model=pl.lit(name)), BASELINE_PREDICTIONS))
            progress.advance(1, name)
    return pl.concat(predicted)


def _patients(dataset: LoadedDataset) -> npt.NDArray[np.int64]:
    """Return whom each training sample belongs to [sample of train]."""
    return dataset.samples.filter(pl.col("split") == "train")["subject_id"].to_numpy()


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
