"""Points of the curves that a report draws."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.metrics.bootstrap import Floats, Integers
from lstm_adversarial_attack.metrics.ranking import checked, ranking_of

#: Thresholds of `roc_at_thresholds` between 0 and 1.
_THRESHOLD_STEPS = 1000


class Curve(msgspec.Struct, frozen=True):
    """Points of a curve, ordered along it."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class ThresholdCurve(msgspec.Struct, frozen=True):
    """Points of a curve with the thresholds that give them, by rising threshold."""

    thresholds: tuple[float, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]


def roc_curve_points(labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, points: int = 200) -> Curve:
    """Return at most ``points`` of the ROC curve: false positive rate, true positive rate, from (0, 0).

    Empty where the labels hold one class.
    """
    y, p = checked(labels, probabilities)
    if y.all() or not y.any():
        return Curve((), ())
    ranking = ranking_of(y, p)
    false_positive = np.cumsum(ranking.negatives) / np.sum(ranking.negatives)
    true_positive = np.cumsum(ranking.positives) / np.sum(ranking.positives)
    return _thinned(np.append(0.0, false_positive), np.append(0.0, true_positive), points)


def roc_at_thresholds(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, decision: float, *, points: int = 200
) -> ThresholdCurve:
    """Return at most ``points`` of the ROC curve with their thresholds: from (1, 1) at 0 to (0, 0).

    A threshold is a whole number of thousandths or the model's own, ``decision``, whose point is always there. Of those
    that give the same point it is the lowest. So it is exact for what it says, finite, and no sample's probability.
    Empty where the labels hold one class.
    """
    y, p = checked(labels, probabilities)
    if y.all() or not y.any():
        return ThresholdCurve((), (), ())
    # One beyond 1, at which nobody is called dead even where a probability is 1.
    thresholds = np.unique(np.append(np.arange(_THRESHOLD_STEPS + 2) / _THRESHOLD_STEPS, decision))
    x, y_rate = (1 - np.searchsorted(np.sort(p[side]), thresholds) / side.sum() for side in (~y, y))
    steps = np.append(True, (np.diff(x) != 0) | (np.diff(y_rate) != 0))
    thresholds, x, y_rate = thresholds[steps], x[steps], y_rate[steps]
    own = np.searchsorted(thresholds, decision, side="right") - 1
    keep = np.union1d(_spread(x, y_rate, points - 1), own)
    return ThresholdCurve(*(tuple(values[keep].tolist()) for values in (thresholds, x, y_rate)))


def precision_recall_points(labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, points: int = 200) -> Curve:
    """Return at most ``points`` of the precision-recall curve: recall, precision, by rising recall.

    Precision at recall 0 is undefined (nothing is predicted positive), so the curve starts at the highest
    score. Empty where the labels hold one class.
    """
    y, p = checked(labels, probabilities)
    if y.all() or not y.any():
        return Curve((), ())
    ranking = ranking_of(y, p)
    true_positive = np.cumsum(ranking.positives)
    predicted = np.cumsum(ranking.positives + ranking.negatives)
    return _thinned(true_positive / true_positive[-1], true_positive / predicted, points)


def _thinned(x: Floats, y: Floats, points: int) -> Curve:
    keep = _spread(x, y, points)
    return Curve(tuple(x[keep].tolist()), tuple(y[keep].tolist()))


def _spread(x: Floats, y: Floats, points: int) -> Integers:
    """Return which points to keep: at most ``points``, both ends among them, evenly spread along the curve's length."""
    if x.size <= points:
        return np.arange(x.size)
    length = np.cumsum(np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])))
    wanted = np.linspace(0, length[-1], points)
    return np.unique(np.append(np.searchsorted(length, wanted[:-1]), x.size - 1))
