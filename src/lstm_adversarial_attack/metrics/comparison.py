"""Two models on the same samples, by a paired bootstrap over patients."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.metrics.bootstrap import (
    Floats,
    Integers,
    defined_resamples,
    estimate_of,
    numbered,
    patient_sums,
    weight_blocks,
)
from lstm_adversarial_attack.metrics.ranking import Ranking, checked, ranked_figures, ranking_of

PAIRED_FIGURES = ("auroc", "auprc", "brier")


class Difference(msgspec.Struct, frozen=True):
    """A difference of two figures, its 95 % percentile interval, and its p-value; None where undefined.

    ``p_value`` is two-sided, of the hypothesis that there is no difference.
    """

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None


def paired_differences(
    labels: npt.ArrayLike,
    probability_a: npt.ArrayLike,
    probability_b: npt.ArrayLike,
    patients: npt.ArrayLike,
    *,
    figures: Sequence[str] = PAIRED_FIGURES,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return the difference a - b of each of ``figures``; both models meet the same resamples.

    The p-value is twice the smaller of the shares of resamples whose difference is at most 0 and at least 0, one
    resample added to each (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 4.4); with B
    resamples it cannot fall below 2 / (B + 1).

    Args:
        labels: 0 or 1 (died), ``[sample]``.
        probability_a: of death, by the first model, ``[sample]``.
        probability_b: of death, by the second model, ``[sample]``.
        patients: who the sample belongs to, any whole numbers, ``[sample]``.
        figures: of `PAIRED_FIGURES`.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: lengths differ, a label is not 0 or 1, a probability is outside [0, 1], or a figure is unknown.
    """
    if unknown := set(figures) - set(PAIRED_FIGURES):
        raise ValueError(f"no figures of a paired comparison: {', '.join(sorted(unknown))}")
    y, a = checked(labels, probability_a)
    y, b = checked(labels, probability_b)
    patient, count = numbered(patients, y.size)
    if y.size == 0:
        return dict.fromkeys(figures, Difference(None, None, None, None))
    errors = np.column_stack([(a - y) ** 2, (b - y) ** 2, np.ones(y.size)])
    sums = patient_sums(errors, patient, count)
    ranked = set(figures) != {"brier"}
    rankings = (ranking_of(y, a), ranking_of(y, b)) if ranked else None
    blocks = [
        _differences(weights, sums, rankings, patient) for weights in weight_blocks(count, resamples, seed, y.size)
    ]
    return {name: _difference(np.concatenate([block[name] for block in blocks]), count) for name in figures}


def _differences(
    weights: Floats, sums: Floats, rankings: tuple[Ranking, Ranking] | None, patient: Integers
) -> dict[str, Floats]:
    """Return every difference for each row of ``weights`` ``[resample, patient]``; NaN where undefined."""
    error_a, error_b, samples = (weights @ sums).T
    found = {"brier": (error_a - error_b) / samples}
    if rankings:
        with np.errstate(divide="ignore", invalid="ignore"):
            (auroc_a, auprc_a), (auroc_b, auprc_b) = (ranked_figures(weights, r, patient) for r in rankings)
        found |= {"auroc": auroc_a - auroc_b, "auprc": auprc_a - auprc_b}
    return found


def _difference(values: Floats, patients: int) -> Difference:
    estimate = estimate_of(values, patients)
    _, defined = defined_resamples(values, patients)
    if estimate.low is None:
        return Difference(estimate.value, None, None, None)
    least = min(np.sum(defined <= 0), np.sum(defined >= 0))
    p_value = min(1.0, float(2 * (least + 1) / (defined.size + 1)))
    return Difference(estimate.value, estimate.low, estimate.high, p_value)
