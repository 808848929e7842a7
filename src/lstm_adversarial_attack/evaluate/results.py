"""The numbers of an evaluation: what ``metrics.json`` holds, key by key.

Shares are between 0 and 1. A number that is undefined, or infinite because too many attacks failed, is None.
Directions are ``0_to_1`` (survivors called dead) and ``1_to_0`` (deaths called survivors); kinds of example
are those of ``frames.EXAMPLE_KINDS``. Hours count from 0, the first hour after ICU admission.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.artifacts.contents import CohortStep
from lstm_adversarial_attack.metrics import Confusion, Difference, Estimate, Subgroup
from lstm_adversarial_attack.settings import EvaluateSettings

#: Digits that are the same on every machine: sums in another order differ in the last of seventeen.
_SIGNIFICANT_DIGITS = 9


class SplitCounts(msgspec.Struct, frozen=True):
    """What is in a split."""

    samples: int
    patients: int
    deaths: int  # samples with label 1


class CalibrationResult(msgspec.Struct, frozen=True):
    """How well probabilities come true on the test split (metrics.CALIBRATION_FIGURES), before and after mending."""

    method: str  # as it was fitted to the validation split
    raw: dict[str, Estimate]
    calibrated: dict[str, Estimate]


class ModelFigures(msgspec.Struct, frozen=True):
    """A model on the test split (metrics.PAIRED_FIGURES), and the LSTM less this model; None of the LSTM itself.

    The Brier score is of calibrated probabilities.
    """

    figures: dict[str, Estimate]
    lstm_less_this: dict[str, Difference] | None


class Classification(msgspec.Struct, frozen=True):
    """The model on the attacked split, in one of the conditions of `classification`."""

    figures: dict[str, Estimate]  # metrics.FIGURES
    confusion: Confusion  # at the threshold


class Quantiles(msgspec.Struct, frozen=True):
    """Quartiles and the 90th percentile."""

    p25: float | None
    median: float | None
    p75: float | None
    p90: float | None


class AttackOutcome(msgspec.Struct, frozen=True):
    """One kind of example in one direction; a failed attack counts as an infinite norm."""

    attacked: int
    succeeded: int
    success_rate: Estimate
    l0: Quantiles  # changed cells
    l1: Quantiles  # standard deviations
    linf: Quantiles  # standard deviations
    within_cells: dict[str, float | None]  # share of attacked samples turned by at most so many cells


class AttackDirection(msgspec.Struct, frozen=True):
    """One direction of the attack."""

    samples: int  # of the attacked split with this label
    correct: int  # of those, how many the model calls right: the others need no attack
    attacked: int
    gradients_mean: float | None  # gradient evaluations per attacked sample
    forwards_mean: float | None  # further forward passes per attacked sample
    kinds: dict[str, AttackOutcome]


class MeasurementSusceptibility(msgspec.Struct, frozen=True):
    """How found examples use one measurement; sizes are of its changed cells."""

    examples: int  # that change it
    share: Estimate  # of the found examples
    cells: int  # changed cells
    observed_share: float | None  # of the changed cells: measured in that hour, not filled in
    delta_clinical: Quantiles  # |change| in the measurement's unit
    delta_std: Quantiles  # |change| in standard deviations
    up_share: float | None  # of the changed cells: raised
    peak_hour: int | None  # with the most changed cells, the earliest of equals
    sun_score: float | None  # S_j of Sun et al. 2018


class Susceptibility(msgspec.Struct, frozen=True):
    """Where the found examples of one kind in one direction change the input."""

    examples: int
    measurements: dict[str, MeasurementSusceptibility]  # in column order
    hours: list[Estimate]  # share of the found examples that change any cell in the hour
    top_measurements: list[str]  # by share, largest first; those never changed are left out
    top_hours: list[int]


class Criterion(msgspec.Struct, frozen=True):
    """One threshold of the gate: a figure, the least or the most that it may be, and whether it is."""

    name: str  # of the setting
    figure: str  # in words
    value: float | None
    least: float | None
    most: float | None
    passed: bool


class Gate(msgspec.Struct, frozen=True):
    """Whether the results are good enough to build on, and if not, why."""

    passed: bool
    reasons: tuple[str, ...]
    criteria: tuple[Criterion, ...]


class Metrics(msgspec.Struct, frozen=True):
    """The whole of ``metrics.json``."""

    schema_version: int
    headline: tuple[str, ...]
    gate: Gate
    settings: EvaluateSettings
    threshold: float
    cohort_flow: tuple[CohortStep, ...]
    cohort: SplitCounts  # all splits together
    splits: dict[str, SplitCounts]
    shared_patients: int  # who have samples in more than one split
    prediction: dict[str, dict[str, Estimate]]  # split, figure (metrics.FIGURES); held out: test alone
    confusion: Confusion  # of the test split, at the threshold
    calibration: CalibrationResult
    models: dict[str, ModelFigures]  # lstm, and the baselines that were fitted
    subgroups: tuple[Subgroup, ...]  # of the test split
    attacked_split: str
    attack: dict[str, AttackDirection]  # direction
    classification: dict[str, Classification]  # of the attacked split: clean, attacked
    changed_cells: int  # over all found examples
    cells_out_of_range: int  # of those: the changed value lies outside the physiological range
    susceptibility: dict[str, dict[str, Susceptibility]]  # direction, kind


def quantiles(values: npt.ArrayLike) -> Quantiles:
    """Return quartiles and the 90th percentile by linear interpolation between order statistics.

    None where there are no values, or where the answer is infinite: an interpolation that leans on an
    infinite neighbour is infinite.
    """
    return Quantiles(*(_quantile(np.sort(np.asarray(values, dtype=float)), q) for q in (0.25, 0.5, 0.75, 0.9)))


def _quantile(ordered: npt.NDArray[np.float64], share: float) -> float | None:
    if ordered.size == 0:
        return None
    place = (ordered.size - 1) * share
    below = int(np.floor(place))
    weight = place - below
    value = ordered[below]
    if weight > 0:
        # Equal neighbours are not interpolated: infinity minus infinity is no number.
        value += weight * (ordered[below + 1] - value) if ordered[below + 1] != value else 0.0
    return finite(value)


def finite(value: float) -> float | None:
    """Return ``value``, or None where it is infinite or no number."""
    return float(value) if np.isfinite(value) else None


def share(part: int, whole: int) -> float | None:
    """Return ``part / whole``, or None of nothing."""
    return part / whole if whole else None


def as_json(metrics: Metrics) -> dict[str, Any]:
    """Return ``metrics`` as plain values for strict JSON, floats rounded to nine significant digits.

    The threshold alone keeps all its digits, because a prediction at it must not change sides.
    """
    plain: dict[str, Any] = _rounded(msgspec.to_builtins(metrics))
    return {**plain, "threshold": metrics.threshold}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if np.isfinite(value) else None
    return value
