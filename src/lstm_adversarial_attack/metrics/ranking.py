"""Samples in the order of their scores, and the figures that depend on that order alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.metrics.bootstrap import Floats, Integers


class Ranking(NamedTuple):
    """Samples by falling score, those with the same score in one group."""

    order: Integers  # [sample]: by falling score
    starts: Integers  # [group]: where each group begins in ``order``
    scores: Floats  # [group]
    positives: Floats  # [group]: samples with label 1
    negatives: Floats  # [group]
    labels: Floats  # [sample]: in ``order``


def checked(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Return labels and probabilities as arrays ``[sample]``.

    Raises:
        ValueError: lengths differ, a label is not 0 or 1, or a probability is outside [0, 1].
    """
    y, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise ValueError(f"labels has shape {y.shape}, probabilities {p.shape}; both must be [sample]")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    return y.astype(bool), p


def ranking_of(y: npt.NDArray[np.bool_], p: Floats) -> Ranking:
    """Put the samples in order; both arguments are ``[sample]``."""
    order = np.argsort(-p, kind="stable")
    ranked = p[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    labels = y[order].astype(np.float64)
    return Ranking(
        order=order,
        starts=starts,
        scores=ranked[starts],
        positives=np.add.reduceat(labels, starts),
        negatives=np.add.reduceat(1 - labels, starts),
        labels=labels,
    )


def ranked_figures(weights: Floats, ranking: Ranking, patient: Integers) -> tuple[Floats, Floats]:
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
