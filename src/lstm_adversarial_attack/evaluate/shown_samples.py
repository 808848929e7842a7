"""Single samples as the report shows them: their series before and after the attack, and what was edited.

What the model reads after an attack is derived here from what the artifacts hold, not taken from the attack's own code.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts.contents import Scaling
from lstm_adversarial_attack.catalogue import Feature
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.page import clinical_decimals
from lstm_adversarial_attack.frames import EXAMPLE_KINDS

#: Threat models whose changes go on until the next charted hour.
_CARRIED = ("charted", "data-entry")

#: A series in little space: a value, for how many hours it stays, the next value, and so on.
Runs = list[float]


class ShownKind(msgspec.Struct, frozen=True):
    """One example of a sample; a measurement is its column, and values are in its unit."""

    kind: str
    probability: float  # of death
    cells: list[tuple[int, int]]  # measurement and hour of each changed cell
    series: dict[int, Runs]  # of each measurement that comes out differently
    edits: list[tuple[int | None, int, int, float, float, str]]  # minute (if known), hour, measurement, from, to, how


class ShownSample(msgspec.Struct, frozen=True):
    """One attacked sample."""

    direction: str
    probability: float  # of death, before
    series: list[Runs]  # by measurement
    observed: list[str]  # by measurement: 1 for an hour in which it was measured
    kinds: list[ShownKind]

    def of_kind(self, kind: str) -> ShownKind:
        """Return the example of a kind."""
        return next(shown for shown in self.kinds if shown.kind == kind)


def perturbed(
    values: npt.NDArray[np.float32],
    observed: npt.NDArray[np.bool_],
    change: npt.NDArray[np.float32],
    *,
    carried: bool,
    volumes: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """Return the model's input after an attack.

    Args:
        values: the input before, ``[hour, feature]``, standardised units.
        observed: whether each cell was measured, ``[hour, feature]``.
        change: of each changed cell, ``[hour, feature]``, standardised units, 0 elsewhere.
        carried: whether the change of a measured cell goes on through forward fill, until the next measured hour.
        volumes: measurements that add up over an hour and are not carried forward, ``[feature]``.
    """
    if not carried:
        return values + change
    own = np.where(observed, np.arange(len(values))[:, None], -1)
    shown = np.where(volumes, own, np.maximum.accumulate(own, axis=0))
    reached = np.take_along_axis(change, np.maximum(shown, 0), axis=0)
    moved: npt.NDArray[np.float32] = values + np.where(shown < 0, np.float32(0), reached)
    return moved


def shown_sample(
    sample: int,
    inputs: EvaluationInputs,
    edits: pl.DataFrame,
    scaling: Scaling,
    values: npt.NDArray[np.float32],
    observed: npt.NDArray[np.bool_],
) -> ShownSample:
    """Return what to show of one attacked sample.

    Args:
        sample: index into the tensors of the dataset.
        inputs: with the examples and their changed cells.
        edits: `frames.EDITS`; of threat model grid there are none, and cells stand in their place.
        scaling: from the model's units to those of the measurements.
        values: the model's input before, ``[hour, feature]``, standardised units.
        observed: whether each cell was measured, ``[hour, feature]``.
    """
    outcomes = inputs.examples.filter("success", pl.col("sample") == sample)
    label = outcomes["label"][0]
    series = _runs(values, inputs.features, scaling)
    kinds = []
    for kind in EXAMPLE_KINDS:
        own = pl.col("sample") == sample, pl.col("kind").cast(pl.String) == kind
        cells = inputs.perturbations.filter(*own)
        read = _after(cells, inputs, values, observed)
        after = _runs(read, inputs.features, scaling)
        kinds.append(
            ShownKind(
                kind=kind,
                probability=outcomes.filter(own[1])["probability"][0],
                cells=list(zip(_columns(cells), cells["hour"].to_list(), strict=True)),
                series={place: after[place] for place in np.flatnonzero((read != values).any(axis=0)).tolist()},
                edits=_edits(edits.filter(*own), cells, inputs.features),
            )
        )
    return ShownSample(
        direction=next(d.key for d in DIRECTIONS if d.label == label),
        probability=outcomes["clean_probability"][0],
        series=series,
        observed=["".join("01"[int(cell)] for cell in column) for column in observed.T],
        kinds=kinds,
    )


def _after(
    cells: pl.DataFrame,
    inputs: EvaluationInputs,
    values: npt.NDArray[np.float32],
    observed: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    change = np.zeros_like(values)
    change[cells["hour"].to_numpy(), _columns(cells)] = cells["delta"].to_numpy()
    volumes = np.array([feature.measurement.hourly == "sum" for feature in inputs.features])
    return perturbed(values, observed, change, carried=inputs.threat in _CARRIED, volumes=volumes)


def _runs(values: npt.NDArray[np.float32], features: Sequence[Feature], scaling: Scaling) -> list[Runs]:
    """Return the series ``[hour, feature]`` in clinical units, as precisely as they are worth showing."""
    clinical = values.astype(np.float64) * scaling.std + scaling.mean
    decimals = [clinical_decimals(feature.measurement.precision) for feature in features]
    rounded = [column.round(places).tolist() for column, places in zip(clinical.T, decimals, strict=True)]
    return [[part for value, hours in groupby(column) for part in (value, len(list(hours)))] for column in rounded]


def _edits(
    edits: pl.DataFrame, cells: pl.DataFrame, features: Sequence[Feature]
) -> list[tuple[int | None, int, int, float, float, str]]:
    """Return what was changed: the charted values, or the cells themselves where no charted value was."""
    if len(edits):
        minutes = edits["minute"].to_list()
        hours, how = [minute // 60 for minute in minutes], edits["slip"].fill_null("charted differently").to_list()
        before, after = edits["value"].to_list(), edits["edited"].to_list()
        table, times = edits, minutes
    else:
        table, times, hours = cells, [None] * len(cells), cells["hour"].to_list()
        how = ["measured" if observed else "filled in" for observed in cells["observed"]]
        before = cells["original_clinical"].to_list()
        after = (cells["original_clinical"] + cells["delta_clinical"]).to_list()
    places = _columns(table)
    decimals = [clinical_decimals(features[place].measurement.precision) for place in places]
    numbers = [[round(v, d) for v, d in zip(column, decimals, strict=True)] for column in (before, after)]
    return list(zip(times, hours, places, *numbers, how, strict=True))


def _columns(table: pl.DataFrame) -> list[int]:
    """Return the column of the tensors that each row names."""
    columns: list[int] = table["feature"].to_physical().to_list()
    return columns
