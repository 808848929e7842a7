"""Statistics of the measured cells, and values in the model's units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lstm_adversarial_attack.artifacts.contents import Scaling
from lstm_adversarial_attack.catalogue import Feature, Measurement
from lstm_adversarial_attack.preprocess.hourly import Float
from lstm_adversarial_attack.preprocess.parallel import in_order
from lstm_adversarial_attack.settings import PreprocessSettings

#: Percentiles that min-max scaling maps to 0 and 1.
PERCENTILES = (5, 95)
#: Share of its physiological range below which a feature counts as one that never varies.
_FLAT = 1e-9


class MeasuredCells:
    """The measured cells of the patients whose statistics count, feature by feature, in the order they come."""

    def __init__(self, features: int) -> None:
        self._parts: list[list[Float]] = [[] for _ in range(features)]

    def add(self, values: Float) -> None:
        """Take over the cells of ``values`` [feature, row] that are not NaN."""
        for parts, row in zip(self._parts, values, strict=True):
            parts.append(row[~np.isnan(row)])

    def of(self, feature: int) -> Float:
        """Return the cells of the feature at an index [cell]."""
        return np.concatenate([np.empty(0), *self._parts[feature]])


def fit_scaling(cells: MeasuredCells, features: tuple[Feature, ...], settings: PreprocessSettings) -> Scaling:
    """Return what turns values into model units, and what stays without any value get.

    A feature that is measured in fewer than two cells, or hardly varies, gets its scale from the catalogue, so
    that a later value is neither lost nor blown up: standard takes the normal value and a sixth of the
    physiological range, min-max maps that range to 0 and 1.

    Args:
        cells: of ``features``, in their order.
        features: the columns.
        settings: scaling and imputation.
    """
    bounded = settings.scaling == "min-max"
    fit = _percentile_range if bounded else _mean_and_spread

    def statistics(index: int) -> tuple[float, float, float]:
        measured, entry = cells.of(index), features[index].measurement
        fill = entry.normal
        if entry.hourly == "sum":
            fill = 0.0
        elif settings.imputation == "interpolate" and measured.size > 0:
            fill = float(np.median(measured))
        return *(_usable(fit, measured, entry) or _of_catalogue(entry, bounded)), fill

    mean, std, fill = (list(found) for found in zip(*in_order(statistics, range(len(features))), strict=True))
    low, high = ([0.0] * len(features), [1.0] * len(features)) if bounded else (None, None)
    return Scaling(mean, std, settings.scaling, low, high, fill)


def _usable(
    fit: Callable[[Float], tuple[float, float]], measured: Float, measurement: Measurement
) -> tuple[float, float] | None:
    """Return where the scale begins and its length as ``fit`` finds them, if the cells show one."""
    low, high = measurement.physiological
    found = fit(measured) if measured.size else (0.0, 0.0)
    return found if found[1] > _FLAT * (high - low) else None


def _mean_and_spread(measured: Float) -> tuple[float, float]:
    return float(measured.mean()), float(measured.std())


def _percentile_range(measured: Float) -> tuple[float, float]:
    low, high = np.percentile(measured, PERCENTILES)
    return float(low), float(high - low)


def _of_catalogue(measurement: Measurement, bounded: bool) -> tuple[float, float]:
    low, high = measurement.physiological
    return (low, high - low) if bounded else (measurement.normal, (high - low) / 6)


def scaled(values: Float, scaling: Scaling) -> Float:
    """Turn values into model units, in place.

    Args:
        values: [..., feature], the features' units; NaN takes what ``scaling`` fills with.
        scaling: of the same features.
    """
    np.copyto(values, np.array(scaling.fill), where=np.isnan(values))
    values -= scaling.mean
    values /= scaling.std
    if scaling.low is not None:
        np.clip(values, scaling.low, scaling.high, out=values)
    return values
