"""Some examples one by one: the series of a patient's stay as they are and as the attack made them, hour by hour.

This is the one part of the report that shows single patients, so it is there for data that anybody may see, and for
others only where it is asked for. It names nobody: samples are numbered as they are shown, and times count from ICU
admission.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import safe_open

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Access, DataSource, Scaling
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.page import shown_unit
from lstm_adversarial_attack.evaluate.shown_samples import ShownSample, shown_sample
from lstm_adversarial_attack.frames import EDITS, with_features
from lstm_adversarial_attack.settings import EvaluateSettings

#: Of the page, which has to stay below 6 MB with the script that draws.
_MOST_BYTES = 500_000
_SOURCE = "source.json"


class Explorer(msgspec.Struct, frozen=True):
    """What the page shows of single samples."""

    access: Access
    threshold: float
    hours: int
    measurements: list[tuple[str, str]]  # label, unit
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
        own = replace(inputs, perturbations=inputs.perturbations.filter(pl.col("sample").is_in(chosen)))
        made = [shown_sample(sample, own, edits, scaling, *tensors[sample]) for sample in chosen]
    if not made:
        return None
    if access == "unknown":
        say(
            f"the report shows hourly series of {len(made)} single patients, of data that are not known to be open: "
            "keep it where the data may be kept"
        )
    if len(made) < min(settings.explorer_samples, inputs.examples.filter("success")["sample"].n_unique()):
        say(f"the patient explorer shows {len(made)} samples, so that the report does not grow too large")
    names = [(feature.measurement.label, shown_unit(feature.measurement.unit)) for feature in inputs.features]
    return Explorer(access, inputs.threshold, inputs.hours, names, made)


def chosen_samples(examples: pl.DataFrame, most: int) -> list[int]:
    """Return ``most`` turned samples: half of each direction, from those that took the fewest cells to the most.

    Where a direction has fewer than its half, the other has the rest.
    """
    found = examples.filter("success", pl.col("kind").cast(pl.String) == "sparsest").sort("l0", "sample")
    groups = [found.filter(pl.col("label") == direction.label)["sample"].to_list() for direction in DIRECTIONS]
    first = max(most - len(groups[1]), min(len(groups[0]), -(-most // 2)))
    return _spread(groups[0], first) + _spread(groups[1], most - min(first, len(groups[0])))


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
