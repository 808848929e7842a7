"""What the evaluation reads, in memory, and the two directions in which a prediction can be turned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts.contents import CohortStep, Search
from lstm_adversarial_attack.catalogue import Feature
from lstm_adversarial_attack.frames import (
    BASELINE_PREDICTIONS,
    EXAMPLES,
    FRONTIER,
    HISTORY,
    PERTURBATIONS,
    PREDICTIONS,
    SAMPLES,
    SINGLES,
    SPLITS,
    conform,
    with_features,
)

Array = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

#: Called with the step that begins, how many steps are done, and how many there are.
Progress = Callable[[str, int, int], None]


class Direction(msgspec.Struct, frozen=True):
    """A way to turn a prediction: from the true label to the other one."""

    label: int
    key: str
    arrow: str
    words: str
    patients: str


DIRECTIONS = (
    Direction(0, "0_to_1", "0 → 1", "survivors called dead", "survivors"),
    Direction(1, "1_to_0", "1 → 0", "deaths called survivors", "deaths"),
)


@dataclass(frozen=True)
class OtherAttack:
    """Another attack on samples of the same dataset.

    Attributes:
        name: what sets it apart.
        same_model: whether it was made on the same model.
        threat: what it may change.
        examples: `frames.EXAMPLES`, without the samples that its model gets wrong.
        perturbations: `frames.PERTURBATIONS`, likewise.
    """

    name: str
    same_model: bool
    threat: str
    examples: pl.DataFrame
    perturbations: pl.DataFrame


@dataclass(frozen=True)
class Transfer:
    """Examples of one model as another judges them, by names of both, and the other's decision threshold.

    ``rows`` are `frames.TRANSFERS`.
    """

    attacked: str
    judging: str
    threshold: float
    rows: pl.DataFrame


@dataclass(frozen=True)
class EvaluationInputs:
    """Everything the evaluation reads. Frames may name patients; nothing that comes out of it does.

    Raises:
        ValueError: the parts do not fit together (a defect of the program, not of the data).
    """

    cohort_flow: tuple[CohortStep, ...]
    features: tuple[Feature, ...]  # in column order
    hours: int
    feature_stds: Array  # [feature]: one standard deviation, in the measurement's unit
    samples: pl.DataFrame  # frames.SAMPLES
    observed_rate: Array  # [hour, feature]: share of the training cells that were measured
    observed_hours: Integers  # [sample, feature]: hours in which it was measured
    predictions: pl.DataFrame  # frames.PREDICTIONS
    threshold: float  # the prediction is death where probability >= threshold
    calibration: str  # method behind the calibrated probabilities
    baselines: pl.DataFrame  # frames.BASELINE_PREDICTIONS; no rows where none were fitted
    history: pl.DataFrame  # frames.HISTORY
    examples: pl.DataFrame  # frames.EXAMPLES
    perturbations: pl.DataFrame  # frames.PERTURBATIONS
    frontier: pl.DataFrame  # frames.FRONTIER
    singles: pl.DataFrame  # frames.SINGLES; no rows of a threat model without them
    attacked_split: str  # whose samples were attacked
    threat: str  # what the attack may change
    misclassified: int  # samples attacked although the model gets them wrong already; no figure is of them
    provenance: dict[str, str]  # shown in the report as given, in this order
    searches: Mapping[str, Search] = field(default_factory=dict)  # by the kind of artifact that held them
    others: tuple[OtherAttack, ...] = ()
    transfers: tuple[Transfer, ...] = ()

    def __post_init__(self) -> None:
        conform(self.samples, SAMPLES)
        conform(self.predictions, PREDICTIONS)
        conform(self.baselines, BASELINE_PREDICTIONS)
        conform(self.history, HISTORY)
        conform(self.examples, EXAMPLES)
        conform(self.perturbations, with_features(PERTURBATIONS, self.feature_names))
        conform(self.frontier, FRONTIER)
        conform(self.singles, with_features(SINGLES, self.feature_names))
        shapes = {
            "feature_stds": (len(self.features),),
            "observed_rate": (self.hours, len(self.features)),
            "observed_hours": (self.samples.height, len(self.features)),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        if self.attacked_split not in SPLITS:
            raise ValueError(f"attacked_split is {self.attacked_split!r}, not one of {', '.join(SPLITS)}")
        if not self.samples["split", "label"].equals(self.predictions["split", "label"]):
            raise ValueError("predictions and samples are not in the same order")
        strangers = self.examples.join(self.attacked_predictions, on="sample", how="anti").height
        if strangers:
            raise ValueError(f"{strangers} examples belong to no sample of split {self.attacked_split!r}")
        for name in ("frontier", "singles"):
            strangers = getattr(self, name).join(self.examples, on="sample", how="anti").height
            if strangers:
                raise ValueError(f"{strangers} rows of {name} belong to no attacked sample")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Feature names in column order."""
        return tuple(feature.name for feature in self.features)

    @property
    def attacked_predictions(self) -> pl.DataFrame:
        """Predictions of the split whose samples were attacked."""
        return self.predictions_of(self.attacked_split)

    @property
    def cells(self) -> int:
        """Cells of one sample: hours times features."""
        return self.hours * len(self.features)

    def predictions_of(self, split: str) -> pl.DataFrame:
        """Return the predictions of one split."""
        return self.predictions.filter(pl.col("split").cast(pl.String) == split)

    def samples_of(self, split: str) -> pl.DataFrame:
        """Return the samples of one split."""
        return self.samples.filter(pl.col("split").cast(pl.String) == split)
