"""Points of the curves that a report draws."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.metrics.bootstrap import Floats
from lstm_adversarial_attack.metrics.ranking import checked, ranking_of


class Curve(msgspec.Struct, frozen=True):
    """Points of a curve, ordered along it."""

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
    """Keep at most ``points`` points, both ends among them, evenly spread along the curve's length."""
    if x.size > points:
        length = np.cumsum(np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])))
        wanted = np.linspace(0, length[-1], points)
        keep = np.unique(np.append(np.searchsorted(length, wanted[:-1]), x.size - 1))
        x, y = x[keep], y[keep]
    return Curve(tuple(x.tolist()), tuple(y.tolist()))
