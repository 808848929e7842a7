"""Figures of prediction, with intervals from a bootstrap over patients.

Stays of one patient resemble each other, so the bootstrap draws patients, not samples: each resample gives
every patient a whole-number weight, and a figure is computed from the weighted samples. Weighted figures
agree with scikit-learn's ``sample_weight``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FIGURES = ("auroc", "auprc", "f1", "precision", "recall", "specificity", "accuracy", "brier", "prevalence")

#: Samples times resamples held at once: 16 MiB for each array of a block.
_BLOCK_CELLS = 2**21
_LEAST_IN_BIN = 10
_INTERVAL_PERCENT = (2.5, 97.5)


class Estimate(msgspec.Struct, frozen=True):
    """A figure and its 95 % percentile interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None


class Curve(msgspec.Struct, frozen=True):
    """Points of a curve, ordered along it."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class CalibrationBin(msgspec.Struct, frozen=True):
    """Samples of neighbouring predicted probability: what was predicted, and how often it came true."""

    mean_predicted: float
    observed: float
    count: int


class Confusion(msgspec.Struct, frozen=True):
    """Samples by label and prediction; positive is death."""

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int


def best_f1_threshold(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Return the threshold that maximises F1, where the prediction is ``probability >= threshold``.

    Every threshold between two neighbouring scores predicts the same; the midpoint is returned, because it
    is the least likely to change sides on other data or in other arithmetic. Below the lowest score stands
    0. Where several cuts share the best F1, the highest is taken: it raises the fewest alarms.

    Raises:
        ValueError: the labels hold one class, or the inputs do not fit together.
    """
    y, p = _checked(labels, probabilities)
    if y.all() or not y.any():
        raise ValueError("labels hold one class; a threshold needs both")
    ranking = _ranking(y, p)
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
    y, p = _checked(labels, probabilities)
    who = np.asarray(patients)
    if who.shape != y.shape:
        raise ValueError(f"patients has shape {who.shape}, labels {y.shape}")
    if y.size == 0:
        return dict.fromkeys(FIGURES, Estimate(None, None, None))
    names, patient = np.unique(who, return_inverse=True)
    sums = _threshold_sums(y, p, threshold, patient, names.size)
    ranking = _ranking(y, p)
    blocks = [
        _figures(weights, sums, ranking, patient)
        for weights in (np.ones((1, names.size)), *_patient_weights(names.size, resamples, seed, y.size))
    ]
    return {name: _estimate(np.concatenate([b[name] for b in blocks]), names.size) for name in FIGURES}


def patient_shares(
    hits: npt.ArrayLike, patients: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> list[Estimate]:
    """Return the share of samples that each column of ``hits`` marks, with intervals over patients.

    Args:
        hits: booleans, ``[sample, column]``.
        patients: who the sample belongs to, ``[sample]``.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: the shapes do not fit together.
    """
    marked, who = np.asarray(hits, dtype=np.float64), np.asarray(patients)
    if marked.ndim != 2 or who.shape != marked.shape[:1]:
        raise ValueError(f"hits has shape {marked.shape}, patients {who.shape}")
    if who.size == 0:
        return [Estimate(None, None, None)] * marked.shape[1]
    names, patient = np.unique(who, return_inverse=True)
    sums = _patient_sums(np.column_stack([marked, np.ones(who.size)]), patient, names.size)
    weights = (np.ones((1, names.size)), *_patient_weights(names.size, resamples, seed, who.size))
    totals = np.concatenate([block @ sums for block in weights])
    return [_estimate(column, names.size) for column in (totals[:, :-1] / totals[:, -1:]).T]


def roc_curve_points(labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, points: int = 200) -> Curve:
    """Return at most ``points`` of the ROC curve: false positive rate, true positive rate, from (0, 0).

    Empty where the labels hold one class.
    """
    y, p = _checked(labels, probabilities)
    if y.all() or not y.any():
        return Curve((), ())
    ranking = _ranking(y, p)
    false_positive = np.cumsum(ranking.negatives) / np.sum(ranking.negatives)
    true_positive = np.cumsum(ranking.positives) / np.sum(ranking.positives)
    return _thinned(np.append(0.0, false_positive), np.append(0.0, true_positive), points)


def precision_recall_points(labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, points: int = 200) -> Curve:
    """Return at most ``points`` of the precision-recall curve: recall, precision, by rising recall.

    Precision at recall 0 is undefined (nothing is predicted positive), so the curve starts at the highest
    score. Empty where the labels hold one class.
    """
    y, p = _checked(labels, probabilities)
    if y.all() or not y.any():
        return Curve((), ())
    ranking = _ranking(y, p)
    true_positive = np.cumsum(ranking.positives)
    predicted = np.cumsum(ranking.positives + ranking.negatives)
    return _thinned(true_positive / true_positive[-1], true_positive / predicted, points)


def calibration_bins(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, bins: int = 10
) -> tuple[CalibrationBin, ...]:
    """Cut the samples into at most ``bins`` bins of equal count, by rising probability.

    Samples with the same probability stay in one bin, so that the bins do not depend on the order of the
    samples; with many ties, bins are uneven or fewer. There are fewer bins where one would hold fewer than ten
    samples, so that no bin shows a patient of its own.
    """
    y, p = _checked(labels, probabilities)
    bins = max(1, min(bins, p.size // _LEAST_IN_BIN))
    order = np.argsort(p, kind="stable")
    ranks = np.searchsorted(p[order], p[order])
    which = ranks * bins // max(p.size, 1)
    return tuple(
        CalibrationBin(
            mean_predicted=float(p[order][which == b].mean()),
            observed=float(y[order][which == b].mean()),
            count=int((which == b).sum()),
        )
        for b in np.unique(which)
    )


def confusion(labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float) -> Confusion:
    """Count samples by label and prediction; the prediction is death where ``probability >= threshold``."""
    y, p = _checked(labels, probabilities)
    predicted = p >= threshold
    return Confusion(
        true_negative=int((~y & ~predicted).sum()),
        false_positive=int((~y & predicted).sum()),
        false_negative=int((y & ~predicted).sum()),
        true_positive=int((y & predicted).sum()),
    )


class _Ranking(NamedTuple):
    """Samples by falling score, those with the same score in one group."""

    order: Integers  # [sample]: by falling score
    starts: Integers  # [group]: where each group begins in ``order``
    scores: Floats  # [group]
    positives: Floats  # [group]: samples with label 1
    negatives: Floats  # [group]
    labels: Floats  # [sample]: in ``order``


class _ThresholdSums(NamedTuple):
    """Sums over the samples of each patient, ``[patient, 5]``: TP, FP, FN, TN, squared error."""

    by_patient: Floats


def _checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], Floats]:
    y, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise ValueError(f"labels has shape {y.shape}, probabilities {p.shape}; both must be [sample]")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    return y.astype(bool), p


def _ranking(y: npt.NDArray[np.bool_], p: Floats) -> _Ranking:
    order = np.argsort(-p, kind="stable")
    ranked = p[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    labels = y[order].astype(np.float64)
    return _Ranking(
        order=order,
        starts=starts,
        scores=ranked[starts],
        positives=np.add.reduceat(labels, starts),
        negatives=np.add.reduceat(1 - labels, starts),
        labels=labels,
    )


def _threshold_sums(
    y: npt.NDArray[np.bool_], p: Floats, threshold: float, patient: Integers, patients: int
) -> _ThresholdSums:
    predicted = p >= threshold
    columns = (y & predicted, ~y & predicted, y & ~predicted, ~y & ~predicted, (p - y) ** 2)
    return _ThresholdSums(_patient_sums(np.column_stack(columns), patient, patients))


def _patient_sums(columns: npt.NDArray[np.generic], patient: Integers, patients: int) -> Floats:
    """Sum the rows of ``columns`` ``[sample, column]`` over the samples of each patient."""
    return np.column_stack([np.bincount(patient, column, patients) for column in columns.T])


def _patient_weights(patients: int, resamples: int, seed: int, samples: int) -> Iterator[Floats]:
    """Yield bootstrap weights in blocks ``[resample, patient]``: how often each patient was drawn."""
    generator = np.random.default_rng(seed)
    most = max(1, _BLOCK_CELLS // samples)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = generator.integers(patients, size=(rows, patients))
        drawn += patients * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * patients)
        yield counts.reshape(rows, patients).astype(np.float64)


def _figures(weights: Floats, sums: _ThresholdSums, ranking: _Ranking, patient: Integers) -> dict[str, Floats]:
    """Return every figure for each row of ``weights`` ``[resample, patient]``; NaN where undefined."""
    tp, fp, fn, tn, squared_error = (weights @ sums.by_patient).T
    total = tp + fp + fn + tn
    with np.errstate(divide="ignore", invalid="ignore"):
        auroc, auprc = _ranked_figures(weights, ranking, patient)
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


def _ranked_figures(weights: Floats, ranking: _Ranking, patient: Integers) -> tuple[Floats, Floats]:
    """Return AUROC and average precision ``[resample]``.

    AUROC is the weighted share of (positive, negative) pairs in the right order, a tie counting half
    (Mann-Whitney); average precision is the sum of precision times the step in recall over distinct scores.
    """
    # Samples run along the first axis: gathers and running sums then work on whole rows.
    sample_weights = weights.T[patient[ranking.order]]
    positives = np.add.reduceat(sample_weights * ranking.labels[:, None], ranking.starts, axis=0)
    negatives = np.add.reduceat(sample_weights, ranking.starts, axis=0) - positives
    above = np.cumsum(positives, axis=0)
    predicted = above + np.cumsum(negatives, axis=0)
    all_positive, all_negative = above[-1], predicted[-1] - above[-1]
    auroc = (negatives * (above - positives / 2)).sum(axis=0) / (all_positive * all_negative)
    precision = above / np.maximum(predicted, 1)  # where nothing is predicted, no recall is gained either
    auprc = (positives * precision).sum(axis=0) / all_positive
    return auroc, np.where(all_negative > 0, auprc, np.nan)


def _estimate(values: Floats, patients: int) -> Estimate:
    """Make an estimate of ``values``: the figure itself, then the figure in each resample."""
    value = float(values[0]) if np.isfinite(values[0]) else None
    resampled = values[1:]
    defined = resampled[np.isfinite(resampled)]
    if value is None or patients < 2 or defined.size == 0 or 2 * defined.size < resampled.size:
        return Estimate(value, None, None)
    low, high = np.percentile(defined, _INTERVAL_PERCENT)
    return Estimate(value, float(low), float(high))


def _thinned(x: Floats, y: Floats, points: int) -> Curve:
    """Keep at most ``points`` points, both ends among them, evenly spread along the curve's length."""
    if x.size > points:
        length = np.cumsum(np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])))
        wanted = np.linspace(0, length[-1], points)
        keep = np.unique(np.append(np.searchsorted(length, wanted[:-1]), x.size - 1))
        x, y = x[keep], y[keep]
    return Curve(tuple(x.tolist()), tuple(y.tolist()))
