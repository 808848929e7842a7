"""What the Kubeflow UI draws of a report, as the metadata of its artifacts: finite numbers alone.

``scalars`` is for an artifact of type system.Metrics, ``classification_metrics`` for one of type
system.ClassificationMetrics, in the form that the SDK's ``log_roc_curve`` and ``log_confusion_matrix`` give it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from lstm_adversarial_attack.evaluate.classification import KIND, OUTCOMES
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.metrics import Estimate

_DECIMALS = 6
_TEST_FIGURES = ("auroc", "auprc", "f1", "precision", "recall", "specificity", "accuracy", "prevalence")
_CALIBRATED_FIGURES = ("brier", "ece")
_ATTACKED_FIGURES = ("auroc", "accuracy")
_DEFINITIONS = {
    "clean": "The {split} split as it is.",
    "attacked": f"The {{split}} split after the attack: a sample for which an example was found has the probability of "
    f"its perturbed input (kind {KIND}); every other sample keeps its clean one.",
}


def scalars(metrics: Metrics) -> dict[str, float]:
    """Return the main figures by flat names, such as ``test_auroc`` and ``median_cells_0_to_1``; none undefined."""
    return {name: value for name, value in _named(metrics) if value is not None}


def classification_metrics(metrics: Metrics, roc: pl.DataFrame, condition: str) -> dict[str, Any]:
    """Return ROC curve and confusion matrix of the attacked split in one condition, ``clean`` or ``attacked``.

    Args:
        metrics: the numbers.
        roc: table ``classification_roc``, at most 200 points a condition. Where the split holds one class it is empty,
            and ``confidenceMetrics`` is left out.
        condition: one of `classification.CONDITIONS`.
    """
    counts = metrics.classification[condition].confusion
    points = [
        {
            "confidenceThreshold": threshold,
            "recall": round(recall, _DECIMALS),
            "falsePositiveRate": round(false_positive_rate, _DECIMALS),
        }
        for threshold, false_positive_rate, recall in roc.filter(pl.col("condition") == condition)
        .select("threshold", "false_positive_rate", "true_positive_rate")
        .sort("threshold", descending=True)
        .rows()
    ]
    return {
        "definition": _DEFINITIONS[condition].format(split=metrics.attacked_split),
        "confusionMatrix": {
            "annotationSpecs": [{"displayName": outcome} for outcome in OUTCOMES],
            "rows": [{"row": row} for row in counts.rows()],
        },
        **({"confidenceMetrics": points} if points else {}),
    }


def _named(metrics: Metrics) -> Iterator[tuple[str, float | None]]:
    yield "gate_passed", float(metrics.gate.passed)
    for name in _TEST_FIGURES:
        yield from _estimate(f"test_{name}", metrics.prediction["test"][name])
    for name in _CALIBRATED_FIGURES:
        yield from _estimate(f"test_{name}_calibrated", metrics.calibration.calibrated[name])
    for name in _ATTACKED_FIGURES:
        for condition, found in metrics.classification.items():
            yield f"{condition}_{name}", found.figures[name].value
    for direction, attack in metrics.attack.items():
        yield f"attacked_samples_{direction}", attack.attacked
        yield from _estimate(f"success_rate_{direction}", attack.kinds["first"].success_rate)
        yield f"median_cells_{direction}", attack.kinds["sparsest"].l0.median
        yield f"median_l1_{direction}", attack.kinds["smallest"].l1.median


def _estimate(name: str, estimate: Estimate) -> Iterator[tuple[str, float | None]]:
    yield name, estimate.value
    yield f"{name}_low", estimate.low
    yield f"{name}_high", estimate.high
