"""From events to tensors, as pure functions without a loop over stays, hours or events.

The events are read a few thousand stays at a time. What stays in memory is one number for each cell of the
window; the tensors are made from it part by part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts.contents import Scaling
from lstm_adversarial_attack.catalogue import Feature, FeatureSet
from lstm_adversarial_attack.preprocess.hourly import MINUTES, Float, Hourly, Mask, hourly_values, read_rows
from lstm_adversarial_attack.preprocess.impute import (
    Hours,
    Outside,
    forward_fill,
    interpolate,
    last_observed_hours,
)
from lstm_adversarial_attack.preprocess.parallel import in_order
from lstm_adversarial_attack.preprocess.scale import MeasuredCells, fit_scaling, scaled
from lstm_adversarial_attack.preprocess.static import StaticData, first_values, static_data
from lstm_adversarial_attack.settings import PreprocessSettings

#: Stays whose events are in memory at once.
STAYS_AT_ONCE = 1024


@dataclass(frozen=True)
class Tensors:
    """Tensors of some samples.

    Attributes:
        values: [sample, hour, feature], model units, no gaps.
        observed: [sample, hour, feature], whether the cell was measured in its hour.
        last_observed: [sample, hour, feature], the hour of the value that the cell shows: the last up to its own in
            which the feature was measured, -1 before the first. Volumes show in their own hour alone.
    """

    values: npt.NDArray[np.float32]
    observed: Mask
    last_observed: Hours


@dataclass(frozen=True)
class Window:
    """The measured cells of all samples, and what lies next to the window where imputation reads it.

    Attributes:
        values: [sample, hour, feature], the features' units, NaN where not measured.
        sums: [feature], whether an hour's values add up. Such a volume says nothing of the hours after it.
        outside: None where gaps are filled from inside the window alone.
    """

    values: Float
    sums: Mask
    outside: Outside | None

    @classmethod
    def blank(cls, samples: int, hours: int, features: tuple[Feature, ...], *, whole: bool) -> Window:
        """Return one that holds nothing sensible before every part is `put`.

        ``whole`` tells whether it is to hold what lies next to the window too.
        """
        outside = Outside.blank(samples, len(features)) if whole else None
        sums = np.array([feature.measurement.hourly == "sum" for feature in features], bool)
        return cls(np.empty((samples, hours, len(features))), sums, outside)

    def put(self, part: slice, hourly: Hourly) -> None:
        """Take over all hours of some samples, of which the first is stay 0 of ``hourly``."""
        values = self.values[part]
        values[:] = np.nan
        inside = hourly.where((hourly.hour >= 0) & (hourly.hour < values.shape[1]))
        values[inside.stay, inside.hour] = inside.values.T
        if self.outside is not None:
            self.outside[part].put(hourly, values.shape[1])

    def imputed(self, part: slice) -> tuple[Float, Mask, Hours]:
        """Return values, with NaN only where the sample itself has none to fill with, observed and last_observed."""
        values = self.values[part]
        observed = ~np.isnan(values)
        last_observed = last_observed_hours(observed)
        if self.outside is None:
            filled = forward_fill(values, last_observed)
        else:
            filled = interpolate(values, last_observed, self.outside[part])
        idle = ~observed & self.sums
        filled[idle] = np.nan
        last_observed[idle] = -1
        return filled, observed, last_observed


@dataclass(frozen=True)
class Prepared:
    """All that tensors are made of."""

    window: Window
    scaling: Scaling
    static: StaticData

    def tensors(self, part: slice) -> Tensors:
        """Return the tensors of some samples."""
        values, observed, last_observed = self.window.imputed(part)
        return Tensors(scaled(values, self.scaling).astype(np.float32), observed, last_observed)


def prepare(
    samples: pl.DataFrame,
    measurements: pl.LazyFrame,
    features: FeatureSet,
    settings: PreprocessSettings,
    *,
    hours: int,
    stays_at_once: int = STAYS_AT_ONCE,
    on_samples: Callable[[int], None] = lambda _: None,
) -> Prepared:
    """Read the events of ``samples`` and fit scaling.

    Args:
        samples: `frames.SAMPLES`, by stay.
        measurements: `frames.MEASUREMENTS` over what ``features`` records, in their order; rows of other stays
            are passed over.
        features: the columns of the tensors, and the static data.
        settings: imputation, scaling and statistics.
        hours: length of the window.
        stays_at_once: how many stays are read at once; the result does not depend on it.
        on_samples: called with the number of samples read so far.

    Raises:
        ValueError: samples or measurements are not in their order (a defect of the program, not of the input).
    """
    ids, width = samples["stay_id"].to_numpy(), len(features.features)
    if np.any(np.diff(ids) <= 0):
        raise ValueError("samples are not ordered by stay")
    whole = settings.imputation == "interpolate"
    counted = np.ones(len(ids), bool) if settings.statistics == "all" else (samples["split"] == "train").to_numpy()
    window = Window.blank(len(ids), hours, features.features, whole=whole)
    cells = MeasuredCells(width)
    measured = np.empty((len(ids), len(features.static_measurements)))

    def read(part: slice) -> tuple[int, Float]:
        rows = read_rows(measurements, ids[part])
        changing, static = rows.of(0, width), rows.of(width, len(features.recorded)).within(hours * MINUTES)
        hourly = hourly_values(changing if whole else changing.within(hours * MINUTES), features.features)
        window.put(part, hourly)
        measured[part] = first_values(static, *measured[part].shape)
        return part.stop, hourly.where(counted[part][hourly.stay]).values

    parts = [slice(start, min(start + stays_at_once, len(ids))) for start in range(0, len(ids), stays_at_once)]
    for done, values in in_order(read, parts):
        cells.add(values)
        on_samples(done)
    scaling = fit_scaling(cells, features.features, settings)
    return Prepared(window, scaling, static_data(samples, features, measured, counted))
