"""Static data: what a stay brings along, as columns beside the tensors of hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts.contents import StaticColumn
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.preprocess.hourly import Float, Mask, Rows

#: First care units with a column of their own, in this order, whatever units a cohort holds: the columns are the
#: same for every dataset of a feature set. Those of newborns are no part of an adult cohort.
UNITS = ("CCU", "CSRU", "MICU", "SICU", "TSICU")
#: Mean and standard deviation, in years, of a cohort whose ages do not vary.
_USUAL_AGE = (65.0, 15.0)
#: Share of its usual spread below which a column counts as one that never varies.
_FLAT = 1e-9


@dataclass(frozen=True)
class StaticData:
    """Static data of all samples.

    Attributes:
        values: [sample, column], standardised, or 1 and 0 for yes and no; 0 where unknown.
        observed: [sample, column], whether the value is known.
        columns: what the columns are.
    """

    values: npt.NDArray[np.float32]
    observed: Mask
    columns: tuple[StaticColumn, ...]


def first_values(rows: Rows, stays: int, measurements: int) -> Float:
    """Return each stay's first value of each static measurement: [stay, measurement], NaN where there is none.

    Of several values in the same minute it is their mean.

    Args:
        rows: those of static measurements inside the window; column 0 is the first of them.
        stays: how many stays there are.
        measurements: how many static measurements there are.
    """
    place, size = rows.stay * measurements + rows.column, stays * measurements
    first = np.full(size, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(first, place, rows.minute)
    earliest = rows.minute == first[place]
    sums = np.bincount(place[earliest], weights=rows.value[earliest], minlength=size)
    counts = np.bincount(place[earliest], minlength=size)
    with np.errstate(invalid="ignore"):
        return (sums / counts).reshape(stays, measurements)


def static_data(samples: pl.DataFrame, features: FeatureSet, measured: Float, counted: Mask) -> StaticData:
    """Return the columns of the feature set's static data, in its order.

    Args:
        samples: `frames.SAMPLES`.
        features: the feature set.
        measured: [sample, static measurement], in its unit, NaN where unknown.
        counted: [sample], whether the sample's values enter the statistics.
    """
    names = [feature.name for feature in features.static_measurements]
    values: list[Float] = [np.empty((len(samples), 0))]
    columns: list[StaticColumn] = []
    for name in features.static:
        if name == "unit":
            values.append(_one_hot(samples["unit"], UNITS))
            columns += [StaticColumn(f"unit_{u.lower()}", f"First care unit {u}", "1", 0.0, 1.0) for u in UNITS]
        elif name == "sex":
            values.append(_one_hot(samples["sex"], ("F", "M"))[:, 1:])
            columns.append(StaticColumn("sex", "Sex (1 male, 0 female)", "1", 0.0, 1.0))
        elif name == "age":
            age = samples["age_years"].cast(pl.Float64).to_numpy()
            values.append(age[:, None])
            columns.append(_standardised("age", "Age", "years", age[counted], _USUAL_AGE))
        else:
            index = names.index(name)
            entry = features.static_measurements[index].measurement
            low, high = entry.physiological
            values.append(measured[:, [index]])
            usual = (entry.normal, (high - low) / 6)
            columns.append(_standardised(name, entry.label, entry.unit, measured[counted, index], usual))
    return _in_model_units(np.concatenate(values, axis=1), tuple(columns))


def _one_hot(words: pl.Series, known: tuple[str, ...]) -> Float:
    """Return 1 in the column of each word [sample, word], else 0; NaN throughout where the word is not known."""
    same = np.column_stack([(words == word).fill_null(False).to_numpy() for word in known])
    return np.where(same.any(axis=1, keepdims=True), same, np.nan)


def _standardised(name: str, label: str, unit: str, values: Float, usual: tuple[float, float]) -> StaticColumn:
    """Describe a column by the values that count; ``usual`` stands in where they are fewer than two or all alike."""
    known = values[~np.isnan(values)]
    varies = known.size > 1 and known.std() > _FLAT * usual[1]
    mean, std = (float(known.mean()), float(known.std())) if varies else usual
    return StaticColumn(name, label, unit, mean, std)


def _in_model_units(values: Float, columns: tuple[StaticColumn, ...]) -> StaticData:
    observed = ~np.isnan(values)
    mean, std = np.array([column.mean for column in columns]), np.array([column.std for column in columns])
    standardised = np.where(observed, (values - mean) / std, 0.0)
    return StaticData(standardised.astype(np.float32), observed, columns)
