"""Preprocessing as an analyst writes it with pandas: one stay after the other.

It shares no code with the package. Scaling and filling follow the same rules, so the results are to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Column:
    """A feature: its name, its normal value, its physiological range, and whether an hour's values add up."""

    name: str
    normal: float
    low: float
    high: float
    summed: bool = False


@dataclass(frozen=True)
class Naive:
    """[stay, hour, feature] tensors, and the statistics behind them [feature]."""

    values: np.ndarray
    observed: np.ndarray
    last_observed: np.ndarray
    mean: list[float]
    std: list[float]
    fill: list[float]


def naive_preprocess(
    stay_ids: list[int],
    counted: list[bool],
    measurements: pd.DataFrame,
    columns: list[Column],
    *,
    hours: int,
    imputation: str,
    scaling: str,
) -> Naive:
    """Turn measurements (stay_id, minute, feature, value) into tensors.

    ``counted`` tells whose cells make up the statistics.
    """
    rows_of = dict(iter(measurements.groupby("stay_id")))
    imputed, observed, last_observed, tables = [], [], [], []
    for stay, counts in zip(stay_ids, counted, strict=True):
        hourly = hourly_table(rows_of.get(stay, measurements.iloc[:0]), columns)
        inside = hourly.reindex(range(hours))
        hour = pd.DataFrame(np.where(inside.notna(), inside.index.to_numpy()[:, None], np.nan))
        observed.append(inside.notna().to_numpy())
        hour = pd.DataFrame(
            {index: hour[index] if column.summed else hour[index].ffill() for index, column in enumerate(columns)}
        )
        last_observed.append(hour.fillna(-1).to_numpy())
        if counts:
            tables.append(hourly if imputation == "interpolate" else inside)
        levels = interpolated(hourly, hours) if imputation == "interpolate" else inside.ffill()
        for column in columns:
            if column.summed:
                levels[column.name] = inside[column.name]
        imputed.append(levels.to_numpy())
    measured = pd.concat(tables, ignore_index=True)
    mean, std, fill = statistics(measured, columns, imputation, scaling)
    values = np.where(np.isnan(imputed), fill, imputed)
    if scaling == "min-max":
        values = np.clip(values, mean, np.array(mean) + np.array(std))
    values = (values - np.array(mean)) / np.array(std)
    return Naive(values.astype(np.float32), np.array(observed), np.array(last_observed), mean, std, fill)


def hourly_table(rows: pd.DataFrame, columns: list[Column]) -> pd.DataFrame:
    """Return one row for each hour in which something was measured, one column for each feature."""
    groups = rows.groupby([rows["minute"] // 60, "feature"], observed=True)["value"]
    table = groups.mean().unstack().reindex(columns=[column.name for column in columns])
    summed = [column.name for column in columns if column.summed]
    if summed:
        table[summed] = groups.sum().unstack().reindex(columns=summed)
    return table.astype(float)


def interpolated(hourly: pd.DataFrame, hours: int) -> pd.DataFrame:
    """Interpolate along the whole admission, both ways, and cut the window out afterwards."""
    grid = range(min([0, *hourly.index]), max([hours - 1, *hourly.index]) + 1)
    return hourly.reindex(grid).interpolate(method="linear", limit_direction="both").loc[0 : hours - 1]


def statistics(
    measured: pd.DataFrame, columns: list[Column], imputation: str, scaling: str
) -> tuple[list[float], list[float], list[float]]:
    """Return where each scale begins, how long it is, and what stands where nothing was measured."""
    mean, std, fill = [], [], []
    for column in columns:
        cells = measured[column.name].dropna()
        if scaling == "min-max":
            start, end = (cells.quantile(0.05), cells.quantile(0.95)) if len(cells) else (0.0, 0.0)
            centre, spread = start, end - start
            usual = (column.low, column.high - column.low)
        else:
            centre, spread = (cells.mean(), cells.std(ddof=0)) if len(cells) else (0.0, 0.0)
            usual = (column.normal, (column.high - column.low) / 6)
        varies = len(cells) > 1 and spread > 1e-9 * (column.high - column.low)
        centre, spread = (centre, spread) if varies else usual
        mean.append(float(centre))
        std.append(float(spread))
        interpolating = imputation == "interpolate" and len(cells)
        fill.append(0.0 if column.summed else float(cells.median()) if interpolating else column.normal)
    return mean, std, fill
