"""The model as a classifier of the attacked split, clean and attacked.

``clean`` is what the model says of the samples as they are. ``attacked`` is what it says after the attack, each sample
on its own: a sample for which an example was found has the probability of its perturbed input, of kind ``smallest``;
one that was not attacked, that the attack failed on, or that the model gets wrong already, keeps its clean one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.results import Classification
from lstm_adversarial_attack.metrics import confusion, prediction_metrics, roc_at_thresholds
from lstm_adversarial_attack.settings import EvaluateSettings

#: The kind of example whose probability stands for the attacked sample.
KIND = "smallest"
CONDITIONS = ("clean", "attacked")
#: Names of the labels, in their order.
OUTCOMES = ("survived", "died")

ROC_SCHEMA: dict[str, type[pl.DataType]] = {
    "condition": pl.String,
    "threshold": pl.Float64,
    "false_positive_rate": pl.Float64,
    "true_positive_rate": pl.Float64,
}


def classifications(inputs: EvaluationInputs, settings: EvaluateSettings) -> dict[str, Classification]:
    """Return figures and confusion matrix of the attacked split, by condition."""
    split = inputs.attacked_predictions
    found = {}
    for condition, probabilities in _probabilities(inputs).items():
        figures = prediction_metrics(
            split["label"],
            probabilities,
            split["subject_id"],
            threshold=inputs.threshold,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        found[condition] = Classification(figures, confusion(split["label"], probabilities, inputs.threshold))
    return found


def classification_roc(inputs: EvaluationInputs) -> pl.DataFrame:
    """Return both ROC curves at round thresholds: condition, threshold, false and true positive rate."""
    rows: list[tuple[object, ...]] = []
    for condition, probabilities in _probabilities(inputs).items():
        curve = roc_at_thresholds(inputs.attacked_predictions["label"], probabilities, inputs.threshold)
        rows += [(condition, *point) for point in zip(curve.thresholds, curve.x, curve.y, strict=True)]
    return pl.DataFrame(rows, schema=ROC_SCHEMA, orient="row")


def _probabilities(inputs: EvaluationInputs) -> Mapping[str, npt.ArrayLike]:
    """Return the probability of each sample of the attacked split, by condition."""
    turned = inputs.examples.filter("success", pl.col("kind").cast(pl.String) == KIND)
    joined = inputs.attacked_predictions.join(
        turned.select("sample", attacked="probability"), on="sample", how="left", maintain_order="left"
    )
    both = (joined["probability"], joined["attacked"].fill_null(joined["probability"]))
    return dict(zip(CONDITIONS, both, strict=True))
