"""Whether predicted probabilities come true as often as they say."""

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
from lstm_adversarial_attack.metrics.ranking import checked

CALIBRATION_FIGURES = ("brier", "ece", "mean_predicted")

_BINS = 10
_LEAST_IN_BIN = 10


class CalibrationBin(msgspec.Struct, frozen=True):
    """Samples of neighbouring predicted probability: what was predicted, and how often it came true."""

    mean_predicted: float
    observed: float
    count: int


def calibration_bins(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, bins: int = _BINS
) -> tuple[CalibrationBin, ...]:
    """Cut the samples into at most ``bins`` bins of equal count, by rising probability.

    Samples with the same probability stay in one bin, so that the bins do not depend on the order of the
    samples; with many ties, bins are uneven or fewer. There are fewer bins where one would hold fewer than ten
    samples, so that no bin shows a patient of its own.
    """
    y, p = checked(labels, probabilities)
    order, which = _binned(p, bins)
    return tuple(
        CalibrationBin(
            mean_predicted=float(p[order][which == b].mean()),
            observed=float(y[order][which == b].mean()),
            count=int((which == b).sum()),
        )
        for b in np.unique(which)
    )


def calibration_metrics(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: npt.ArrayLike,
    *,
    bins: int = _BINS,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return each of `CALIBRATION_FIGURES` with its interval, where it has one.

    ``brier`` is the mean squared error of the probability, ``mean_predicted`` the mean probability, to be compared
    with the share of deaths. ``ece`` is the expected calibration error, the sum over bins of their share of the
    samples times ``|share of deaths - mean probability|`` (Naeini, Cooper and Hauskrecht, Obtaining well calibrated
    probabilities using Bayesian binning, AAAI 2015), here over the bins of equal count of `calibration_bins`. It has
    no interval: it is above zero by chance alone, and a resample adds chance differences of its own, so that an
    interval from resamples would not hold the error of a calibrated model.

    Args:
        labels: 0 or 1 (died), ``[sample]``.
        probabilities: of death, ``[sample]``.
        patients: who the sample belongs to, any whole numbers, ``[sample]``.
        bins: most bins.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: lengths differ, a label is not 0 or 1, or a probability is outside [0, 1].
    """
    y, p = checked(labels, probabilities)
    patient, count = numbered(patients, y.size)
    if y.size == 0:
        return dict.fromkeys(CALIBRATION_FIGURES, Estimate(None, None, None))
    order, which = _binned(p, bins)
    surplus = np.bincount(which, (y - p)[order])
    sums = patient_sums(np.column_stack([np.ones(y.size), (p - y) ** 2, p]), patient, count)
    totals = np.concatenate([weights @ sums for weights in weight_blocks(count, resamples, seed, y.size)])
    samples = totals[:, 0]
    return {
        "brier": estimate_of(totals[:, 1] / samples, count),
        "ece": Estimate(float(np.abs(surplus).sum() / y.size), None, None),
        "mean_predicted": estimate_of(totals[:, 2] / samples, count),
    }


def _binned(p: Floats, bins: int) -> tuple[Integers, Integers]:
    """Return the samples by rising probability, and in this order the bin of each; some bins may be empty."""
    bins = max(1, min(bins, p.size // _LEAST_IN_BIN))
    order = np.argsort(p, kind="stable")
    ranks = np.searchsorted(p[order], p[order])
    return order, ranks * bins // max(p.size, 1)
