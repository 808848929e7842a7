"""Events hour by hour: from rows of measurements to one row for each hour in which anything was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.catalogue import Feature

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MINUTES = 60


@dataclass(frozen=True)
class Hourly:
    """The hours of some stays in which anything was measured, by stay and then by hour.

    Attributes:
        stay: [row], index of the stay among those asked for.
        hour: [row], whole hours since ICU admission; negative before it.
        values: [feature, row], the features' units, NaN where a feature was not measured in the hour.
    """

    stay: Int
    hour: Int
    values: Float

    def where(self, chosen: Mask) -> Hourly:
        """Return the rows [row] that are ``chosen``; all of them without a copy."""
        return self if chosen.all() else Hourly(self.stay[chosen], self.hour[chosen], self.values[:, chosen])


@dataclass(frozen=True)
class Rows:
    """Measurements of some stays as arrays, ordered by stay, minute, feature and value.

    Attributes:
        stay: [row], index of the stay among those asked for.
        minute: [row], since ICU admission.
        column: [row], index of what was measured among all that the events record.
        value: [row], in the unit of what was measured.
    """

    stay: Int
    minute: npt.NDArray[np.int32]
    column: npt.NDArray[np.unsignedinteger]
    value: Float

    def where(self, chosen: Mask) -> Rows:
        """Return the rows [row] that are ``chosen``; all of them without a copy."""
        if chosen.all():
            return self
        return Rows(self.stay[chosen], self.minute[chosen], self.column[chosen], self.value[chosen])

    def within(self, minutes: int) -> Rows:
        """Return the rows inside the window of ``minutes``."""
        return self.where((self.minute >= 0) & (self.minute < minutes))

    def of(self, first: int, end: int) -> Rows:
        """Return the rows of the columns from ``first`` up to ``end``, which count from 0 then."""
        chosen = self.where((self.column >= first) & (self.column < end))
        return replace(chosen, column=chosen.column - first) if first else chosen


def read_rows(measurements: pl.LazyFrame, stay_ids: Int) -> Rows:
    """Read the measurements of the stays ``stay_ids`` [stay], which ascend.

    Of a Parquet file only the row groups between the first and the last of these stays are read.

    Args:
        measurements: `frames.MEASUREMENTS`, in their order; rows of other stays are passed over.
        stay_ids: ids, ascending.

    Raises:
        ValueError: the rows are not in their order (a defect of the program, not of the input).
    """
    stay = pl.col("stay_id")
    rows = measurements.filter(stay.is_between(pl.lit(int(stay_ids[0])), pl.lit(int(stay_ids[-1])))).collect()
    values_a_stay = _runs(rows, stay_ids)
    if values_a_stay.sum() < len(rows):
        rows = rows.filter(stay.is_in(pl.Series(stay_ids).implode()))
    return Rows(
        np.repeat(np.arange(len(stay_ids)), values_a_stay),
        rows["minute"].to_numpy(),
        rows["feature"].to_physical().to_numpy(),
        rows["value"].to_numpy(),
    )


def _runs(rows: pl.DataFrame, stay_ids: Int) -> Int:
    """Return how many of the rows each of the stays has [stay]."""
    ids = rows["stay_id"].to_numpy()
    if np.any(ids[1:] < ids[:-1]):
        raise ValueError("measurements are not ordered by stay")
    return np.searchsorted(ids, stay_ids, "right") - np.searchsorted(ids, stay_ids, "left")


def hourly_values(rows: Rows, features: tuple[Feature, ...]) -> Hourly:
    """Turn the values of each hour into one: their mean, or their sum where the catalogue says so.

    Values are added in the order of the rows, so the same rows give the same bits.

    Args:
        rows: measurements of ``features`` alone.
        features: the columns of the result.

    Raises:
        ValueError: the rows are not in their order (a defect of the program, not of the input).
    """
    hour = rows.minute // np.int32(MINUTES)
    lowest, highest = (int(hour.min()), int(hour.max())) if len(hour) else (0, 0)
    place = rows.stay * (highest - lowest + 1)
    place += hour
    new = np.append(True, place[1:] != place[:-1])[: len(place)]
    first = np.flatnonzero(new)
    if np.any(np.diff(place[first]) < 0):
        raise ValueError("measurements are not ordered by stay and minute")
    shape = (len(features), len(first))
    cell = rows.column * np.int64(len(first))
    cell += np.cumsum(new)
    cell -= 1
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(cell, weights=rows.value, minlength=counts.size).reshape(shape).astype(np.float64, copy=False)
    for index, feature in enumerate(features):
        if feature.measurement.hourly == "sum":
            np.minimum(counts[index], 1, out=counts[index])
    with np.errstate(invalid="ignore"):  # 0 / 0 where nothing was measured
        sums /= counts
    return Hourly(rows.stay[first], hour[first].astype(np.int64), sums)
