"""Figures of prediction at a threshold and without one; weighted, they agree with scikit-learn's ``sample_weight``."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.metrics.bootstrap import (
    Estimate,
    Floats,
    Integers,
    estimate_of,
    numbered,
    patient_sums,
    weight_blocks,
)
from lstm_adversarial_attack.metrics.ranking import Ranking, checked, ranked_figures, ranking_of

FIGURES = ("auroc", "auprc", "f1", "precision", "recall", "specificity", "accuracy", "brier", "prevalence")


class Confusion(msgspec.Struct, frozen=True):
    """Samples by label and prediction; positive is death."""

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int

    def rows(self) -> list[list[int]]:
        """Return the matrix: a row for each label, a column for each prediction, survival before death."""
        return [[self.true_negative, self.false_positive], [self.false_negative, self.true_positive]]


def best_f1_threshold(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Return the threshold that maximises F1, where the prediction is ``probability >= threshold``.

    Every threshold between two neighbouring scores predicts the same; the midpoint is returned, because it
    is the least likely to change sides on other data or in other arithmetic. Below the lowest score stands
    0. Where several cuts share the best F1, the highest is taken: it raises the fewest alarms.

    Raises:
        ValueError: the labels hold one class, or the inputs do not fit together.
    """
    y, p = checked(labels, probabilities)
    if y.all() or not y.any():
        raise ValueError("labels hold one class; a threshold needs both")
    ranking = ranking_of(y, p)
    true_positive = np.cumsum(ranking.positives)
    predicted = np.cumsum(ranking.positives + ranking.negatives)
    f1 = 2 * true_positive / (predicted + y.sum())
    best = int(np.argmax(f1))
    score = ranking.scores[best]
    below = ranking.scores[best + 1] if best + 1 < ranking.scores.size else 0.0
    middle = float(score + below) / 2
    return middle if middle > below else float(score)


def prediction_metrics(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: npt.ArrayLike,
    *,
    threshold: float,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return each of `FIGURES` with its interval.

    ``auprc`` is average precision (no interpolation), ``brier`` the mean squared error of the probability,
    ``prevalence`` the share of deaths. A figure whose denominator is zero is undefined, and so are ``auroc``
    and ``auprc`` where the labels hold one class. Resamples in which a figure is undefined are left out of
    its interval; where they are more than half, or there are fewer than two patients, there is no interval.

    Args:
        labels: 0 or 1 (died), ``[sample]``.
        probabilities: of death, ``[sample]``.
        patients: who the sample belongs to, any whole numbers, ``[sample]``.
        threshold: the prediction is death where ``probability >= threshold``.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: lengths differ, a label is not 0 or 1, or a probability is outside [0, 1].
    """
    y, p = checked(labels, probabilities)
    patient, count = numbered(patients, y.size)
    if y.size == 0:
        return dict.fromkeys(FIGURES, Estimate(None, None, None))
    sums = _threshold_sums(y, p, threshold, patient, count)
    ranking = ranking_of(y, p)
    blocks = [_figures(weights, sums, ranking, patient) for weights in weight_blocks(count, resamples, seed, y.size)]
    return {name: estimate_of(np.concatenate([b[name] for b in blocks]), count) for name in FIGURES}


def confusion(labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float) -> Confusion:
    """Count samples by label and prediction; the prediction is death where ``probability >= threshold``."""
    y, p = checked(labels, probabilities)
    predicted = p >= threshold
    return Confusion(
        true_negative=int((~y & ~predicted).sum()),
        false_positive=int((~y & predicted).sum()),
        false_negative=int((y & ~predicted).sum()),
        true_positive=int((y & predicted).sum()),
    )


def _threshold_sums(y: npt.NDArray[np.bool_], p: Floats, threshold: float, patient: Integers, patients: int) -> Floats:
    """Return sums over the samples of each patient, ``[patient, 5]``: TP, FP, FN, TN, squared error."""
    predicted = p >= threshold
    columns = (y & predicted, ~y & predicted, y & ~predicted, ~y & ~predicted, (p - y) ** 2)
    return patient_sums(np.column_stack(columns), patient, patients)


def _figures(weights: Floats, sums: Floats, ranking: Ranking, patient: Integers) -> dict[str, Floats]:
    """Return every figure for each row of ``weights`` ``[resample, patient]``; NaN where undefined."""
    tp, fp, fn, tn, squared_error = (weights @ sums).T
    total = tp + fp + fn + tn
    with np.errstate(divide="ignore", invalid="ignore"):
        auroc, auprc = ranked_figures(weights, ranking, patient)
        return {
            "auroc": auroc,
            "auprc": auprc,
            "f1": 2 * tp / (2 * tp + fp + fn),
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "accuracy": (tp + tn) / total,
            "brier": squared_error / total,
            "prevalence": (tp + fn) / total,
        }
