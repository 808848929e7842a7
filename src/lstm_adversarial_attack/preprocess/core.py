"""From events to tensors, as pure functions without a loop over stays, hours or events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts.contents import Scaling
from lstm_adversarial_attack.catalogue import Feature
from lstm_adversarial_attack.frames import SAMPLES, SPLITS, conform
from lstm_adversarial_attack.preprocess.split import check_splits, patient_splits
from lstm_adversarial_attack.settings import PreprocessSettings

Float = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Dataset:
    """Tensors and samples, in the same order.

    Attributes:
        values: [sample, hour, feature], standardised units, no gaps.
        observed: [sample, hour, feature], whether the cell was measured in its hour.
        last_observed: [sample, hour, feature], hour of the measurement that a cell shows, -1 before the first.
        samples: `frames.SAMPLES`.
        scaling: statistics of the training split.
    """

    values: Float32
    observed: Mask
    last_observed: npt.NDArray[np.int16]
    samples: pl.DataFrame
    scaling: Scaling


def preprocess(
    stays: pl.DataFrame,
    measurements: pl.DataFrame,
    features: tuple[Feature, ...],
    settings: PreprocessSettings,
    *,
    hours: int,
) -> Dataset:
    """Turn events into a dataset.

    Args:
        stays: `frames.STAYS`.
        measurements: `frames.MEASUREMENTS`; rows of other stays are not allowed.
        features: the columns of the tensors, in order.
        settings: split, imputation and scaling.
        hours: length of the window.

    Raises:
        UserError: a split lacks one class, or there are fewer patients than splits.
    """
    split = patient_splits(
        stays["subject_id"].to_numpy(),
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        seed=settings.seed,
    )
    named = pl.Series("split", np.array(SPLITS)[split], dtype=pl.Enum(SPLITS))
    samples = conform(stays.with_columns(named), SAMPLES)
    check_splits(samples)
    means = hourly_means(stays["stay_id"], measurements, features, hours=hours)
    observed = ~np.isnan(means)
    scaling = fit_scaling(means[split == SPLITS.index("train")], features)
    last_observed = last_observed_hours(observed)
    filled = forward_fill(means, last_observed, np.array([f.measurement.normal for f in features]))
    filled -= scaling.mean
    filled /= scaling.std
    return Dataset(filled.astype(np.float32), observed, last_observed, samples, scaling)


def hourly_means(
    stay_ids: pl.Series, measurements: pl.DataFrame, features: tuple[Feature, ...], *, hours: int
) -> Float:
    """Return the mean of each stay's values in each hour: [sample, hour, feature], NaN where there is none.

    The order of the sums is the order of the rows, so the same rows give the same bits.
    """
    shape = (len(stay_ids), hours, len(features))
    order = pl.DataFrame({"stay_id": stay_ids, "sample": pl.int_range(len(stay_ids), eager=True)})
    column = pl.col("feature").cast(pl.Enum([f.name for f in features])).to_physical().cast(pl.Int64)
    hour = pl.col("minute").cast(pl.Int64) // 60
    cells = measurements.join(order, on="stay_id", how="inner", maintain_order="left").select(
        cell=(pl.col("sample") * hours + hour) * len(features) + column, value="value"
    )
    cell, value = cells["cell"].to_numpy(), cells["value"].to_numpy()
    size = int(np.prod(shape))
    with np.errstate(invalid="ignore"):
        means = np.bincount(cell, weights=value, minlength=size) / np.bincount(cell, minlength=size)
    return means.reshape(shape)


def fit_scaling(means: Float, features: tuple[Feature, ...]) -> Scaling:
    """Return mean and standard deviation of each feature's measured cells.

    A feature that is measured in fewer than two cells, or never varies, gets the catalogue's normal value
    and a sixth of its physiological range, so that a later value is neither lost nor blown up.

    Args:
        means: [sample, hour, feature] of training patients alone, NaN where not measured.
        features: the columns.
    """
    mean, std = [], []
    for index, feature in enumerate(features):
        cells = means[:, :, index]
        cells = cells[~np.isnan(cells)]
        low, high = feature.measurement.physiological
        usable = cells.size > 1 and cells.std() > 1e-9 * (high - low)
        mean.append(float(cells.mean()) if usable else feature.measurement.normal)
        std.append(float(cells.std()) if usable else (high - low) / 6)
    return Scaling(mean, std)


def last_observed_hours(observed: Mask) -> npt.NDArray[np.int16]:
    """Return for each cell the last hour up to its own in which the feature was measured, -1 if there is none."""
    hours = np.arange(observed.shape[1], dtype=np.int16)[None, :, None]
    return np.maximum.accumulate(np.where(observed, hours, np.int16(-1)), axis=1)


def forward_fill(means: Float, last_observed: npt.NDArray[np.int16], normal: Float) -> Float:
    """Fill each gap with the last measured value, and with ``normal`` [feature] before the first."""
    index = np.maximum(last_observed, 0)
    carried = np.take_along_axis(means, index.astype(np.int64), axis=1)
    return np.where(last_observed < 0, normal, carried)
