"""Intervals from a bootstrap over patients.

Stays of one patient resemble each other, so the bootstrap draws patients, not samples: each resample gives
every patient a whole-number weight, and a figure is computed from the weighted samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Samples times resamples held at once: 16 MiB for each array of a block.
BLOCK_CELLS = 2**21
INTERVAL_PERCENT = (2.5, 97.5)
#: Of the one side that the interval of a share of 0 or 1 has.
_CONFIDENCE = 0.975


class Estimate(msgspec.Struct, frozen=True):
    """A figure and its 95 % interval, from percentiles of resamples; None where undefined."""

    value: float | None
    low: float | None
    high: float | None


def patient_shares(
    hits: npt.ArrayLike, patients: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> list[Estimate]:
    """Return the share of samples that each column of ``hits`` marks, with intervals over patients.

    Intervals are percentiles of resamples; those of shares of 0 and 1 are exact, over the number of patients.

    Args:
        hits: booleans, ``[sample, column]``.
        patients: who the sample belongs to, ``[sample]``.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: the shapes do not fit together.
    """
    marked = np.asarray(hits, dtype=np.float64)
    found = patient_ratios(marked, np.ones(marked.shape), patients, resamples=resamples, seed=seed)
    people = np.unique(np.asarray(patients)).size
    return [_exact(estimate, people) for estimate in found]


def _exact(share: Estimate, patients: int) -> Estimate:
    """Return a share of 0 or 1 with its exact interval (Clopper and Pearson 1934), as resampling cannot vary it."""
    if share.low is None or share.value not in (0.0, 1.0):
        return share
    rest = 1 - (1 - _CONFIDENCE) ** (1 / patients)
    return Estimate(share.value, 0.0, rest) if share.value == 0 else Estimate(share.value, 1 - rest, 1.0)


def patient_ratios(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    patients: npt.ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Estimate]:
    """Return the ratio of sums of each column, with intervals over patients; arguments as in `resampled_ratios`."""
    found = resampled_ratios(numerators, denominators, patients, resamples=resamples, seed=seed)
    people = np.unique(np.asarray(patients)).size
    return [estimate_of(column, people) for column in found.T]


def resampled_ratios(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    patients: npt.ArrayLike,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Floats:
    """Return the ratio of sums of each column, and that of every resample of patients: [1 + resamples, column].

    Columns of one call are resampled together. A ratio is NaN where the denominators sum to 0.

    Args:
        numerators: [sample, column].
        denominators: [sample, column].
        patients: who the sample belongs to, [sample].
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: the shapes do not fit together.
    """
    above, below = (np.asarray(part, dtype=np.float64) for part in (numerators, denominators))
    who = np.asarray(patients)
    if above.ndim != 2 or above.shape != below.shape or who.shape != above.shape[:1]:
        raise ValueError(f"columns have shapes {above.shape} and {below.shape}, patients {who.shape}")
    columns = above.shape[1]
    if who.size == 0:
        return np.full((1 + resamples, columns), np.nan)
    names, patient = np.unique(who, return_inverse=True)
    sums = patient_sums(np.hstack([above, below]), patient, names.size)
    totals = np.concatenate([block @ sums for block in weight_blocks(names.size, resamples, seed, who.size)])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Floats = np.where(totals[:, columns:] != 0, totals[:, :columns] / totals[:, columns:], np.nan)
    return ratios


def patient_median(values: npt.ArrayLike, patients: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Return the median of ``values`` [sample] with its interval over ``patients`` [sample]; none of no values.

    Of an even number the upper of the two in the middle, so that it is a value that occurs.
    """
    given, who = np.asarray(values, dtype=np.float64), np.asarray(patients)
    if given.size == 0:
        return Estimate(None, None, None)
    names, patient = np.unique(who, return_inverse=True)
    order = np.argsort(given, kind="stable")
    ordered, owner = given[order], patient[order]
    found = []
    for block in weight_blocks(names.size, resamples, seed, who.size):
        reached = np.cumsum(block[:, owner], axis=1)
        found.append(ordered[(2 * reached > reached[:, -1:]).argmax(axis=1)])
    return estimate_of(np.concatenate(found), names.size)


def patient_sums(columns: npt.NDArray[np.generic], patient: Integers, patients: int) -> Floats:
    """Sum the rows of ``columns`` ``[sample, column]`` over the samples of each patient."""
    return np.column_stack([np.bincount(patient, column, patients) for column in columns.T])


def numbered(patients: npt.ArrayLike, samples: int) -> tuple[Integers, int]:
    """Return each sample's patient as a number from 0, and how many patients there are.

    Raises:
        ValueError: there is not one for each sample.
    """
    who = np.asarray(patients)
    if who.shape != (samples,):
        raise ValueError(f"patients has shape {who.shape}, labels {(samples,)}")
    names, patient = np.unique(who, return_inverse=True)
    return patient, names.size


def weight_blocks(patients: int, resamples: int, seed: int, samples: int) -> Iterator[Floats]:
    """Yield weights in blocks ``[row, patient]``: each patient once, for the figure itself, then the resamples.

    The draws depend on the number of patients, ``resamples`` and ``seed`` alone: figures of one set of samples are
    resampled alike, whatever their predictions.
    """
    yield np.ones((1, patients))
    yield from patient_weights(patients, resamples, seed, samples)


def patient_weights(patients: int, resamples: int, seed: int, samples: int) -> Iterator[Floats]:
    """Yield bootstrap weights in blocks ``[resample, patient]``: how often each patient was drawn."""
    generator = np.random.default_rng(seed)
    most = max(1, BLOCK_CELLS // samples)
    for start in range(0, resamples, most):
        rows = min(most, resamples - start)
        drawn = generator.integers(patients, size=(rows, patients))
        drawn += patients * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * patients)
        yield counts.reshape(rows, patients).astype(np.float64)


def estimate_of(values: Floats, patients: int) -> Estimate:
    """Make an estimate of ``values``: the figure itself, then the figure in each resample."""
    value, defined = defined_resamples(values, patients)
    if value is None or defined.size == 0:
        return Estimate(value, None, None)
    low, high = np.percentile(defined, INTERVAL_PERCENT)
    return Estimate(value, float(low), float(high))


def defined_resamples(values: Floats, patients: int) -> tuple[float | None, Floats]:
    """Return the figure and the resamples in which it is defined; none where these are too few for an interval.

    There is none of an undefined figure, of fewer than two patients, or where more than half of the resamples are
    undefined.
    """
    value = float(values[0]) if np.isfinite(values[0]) else None
    resampled = values[1:]
    defined = resampled[np.isfinite(resampled)]
    enough = value is not None and patients >= 2 and 2 * defined.size >= resampled.size
    return value, defined if enough else defined[:0]
