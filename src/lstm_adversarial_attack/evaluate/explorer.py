"""Some examples one by one: the series of a patient's stay as they are and as the attack made them, hour by hour.

This is the one part of the report that shows single patients, so it is there for data that anybody may see, and for
others only where it is asked for. It names nobody: samples are numbered as they are shown, and times count from ICU
admission.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import safe_open

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Access, DataSource, Scaling
from lstm_adversarial_attack.catalogue import Feature
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.page import clinical_decimals, shown_unit
from lstm_adversarial_attack.frames import EDITS, EXAMPLE_KINDS, with_features
from lstm_adversarial_attack.settings import EvaluateSettings

#: Threat models whose changes go on until the next charted hour.
_CARRIED = ("charted", "data-entry")
#: Of the page, which has to stay below 6 MB with the script that draws.
_MOST_BYTES = 500_000
_SOURCE = "source.json"

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


class Explorer(msgspec.Struct, frozen=True):
    """What the page shows of single samples."""

    access: Access
    threshold: float
    hours: int
    measurements: list[tuple[str, str, int]]  # label, unit, decimals
    samples: list[ShownSample]


def explorer_of(
    dataset: Artifact,
    examples: Artifact,
    inputs: EvaluationInputs,
    settings: EvaluateSettings,
    say: Callable[[str], None] = lambda _: None,
) -> Explorer | None:
    """Return what to show of single samples, or None where nothing is to be shown, which ``say`` is told.

    Args:
        dataset: the attacked samples.
        examples: what the attack made of them.
        inputs: the same as frames.
        settings: whether and how many.
        say: called with what a user has to know.
    """
    access = _access(dataset)
    if settings.explorer == "off":
        return None
    if settings.explorer == "auto" and access == "unknown":
        say("no patient explorer: the data are not known to be open to everybody; --explorer on shows it all the same")
        return None
    edits = examples.frame("edits.parquet", with_features(EDITS, inputs.feature_names))
    scaling = dataset.json("scaling.json", Scaling)
    most, made = settings.explorer_samples, None
    while made is None or (_size(made) > _MOST_BYTES and len(made) > 1):
        # Fewer, where they are so large that the page would not stay below its limit.
        most = most if made is None else max(1, min(len(made) - 1, len(made) * _MOST_BYTES // _size(made)))
        chosen = chosen_samples(inputs.examples, most)
        tensors = _tensors(dataset, chosen)
        made = [_shown(sample, inputs, edits, scaling, *tensors[sample]) for sample in chosen]
    if not made:
        return None
    if access == "unknown":
        say(
            f"the report shows hourly series of {len(made)} single patients, of data that are not known to be open: "
            "keep it where the data may be kept"
        )
    if len(made) < min(settings.explorer_samples, inputs.examples.filter("success")["sample"].n_unique()):
        say(f"the patient explorer shows {len(made)} samples, so that the report does not grow too large")
    names = [
        (f.measurement.label, shown_unit(f.measurement.unit), clinical_decimals(f.measurement.precision))
        for f in inputs.features
    ]
    return Explorer(access, inputs.threshold, inputs.hours, names, made)


def chosen_samples(examples: pl.DataFrame, most: int) -> list[int]:
    """Return ``most`` turned samples: half of each direction, from those that took the fewest cells to the most.

    Where a direction has fewer than its half, the other has the rest.
    """
    found = examples.filter("success", pl.col("kind").cast(pl.String) == "sparsest").sort("l0", "sample")
    groups = [found.filter(pl.col("label") == direction.label)["sample"].to_list() for direction in DIRECTIONS]
    first = max(most - len(groups[1]), min(len(groups[0]), -(-most // 2)))
    return _spread(groups[0], first) + _spread(groups[1], most - min(first, len(groups[0])))


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


def _access(dataset: Artifact) -> Access:
    """Return who may see the data; unknown of a dataset that was made before this was recorded."""
    known = _SOURCE in dataset.manifest.files
    return dataset.json(_SOURCE, DataSource).access if known else "unknown"


def _spread(samples: list[int], count: int) -> list[int]:
    """Return ``count`` of the samples at equal distances, the first and the last among them."""
    if count <= 1 or not samples:
        return samples[: max(count, 0)]
    places = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int))
    return [samples[place] for place in places]


def _tensors(dataset: Artifact, samples: Sequence[int]) -> dict[int, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Return values and masks ``[hour, feature]`` of some samples, without reading those of the others."""
    with safe_open(dataset.file("tensors.safetensors"), framework="np") as file:
        values, observed = file.get_slice("values"), file.get_slice("observed")
        return {sample: (values[sample : sample + 1][0], observed[sample : sample + 1][0]) for sample in samples}


def _size(samples: list[ShownSample]) -> int:
    return len(msgspec.json.encode(samples))


def _shown(
    sample: int,
    inputs: EvaluationInputs,
    edits: pl.DataFrame,
    scaling: Scaling,
    values: npt.NDArray[np.float32],
    observed: npt.NDArray[np.bool_],
) -> ShownSample:
    outcomes = inputs.examples.filter("success", pl.col("sample") == sample)
    label = outcomes["label"][0]
    series = _runs(values, inputs.features, scaling)
    kinds = []
    for kind in EXAMPLE_KINDS:
        own = pl.col("sample") == sample, pl.col("kind").cast(pl.String) == kind
        cells = inputs.perturbations.filter(*own)
        after = _runs(_after(cells, inputs, values, observed), inputs.features, scaling)
        kinds.append(
            ShownKind(
                kind=kind,
                probability=outcomes.filter(own[1])["probability"][0],
                cells=list(zip(_columns(cells), cells["hour"].to_list(), strict=True)),
                series={place: runs for place, runs in enumerate(after) if runs != series[place]},
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
