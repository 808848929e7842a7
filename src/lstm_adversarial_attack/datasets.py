"""A ``dataset`` artifact as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import polars as pl
import torch
from safetensors.torch import load_file
from torch import Tensor

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Scaling, StaticColumn
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.frames import SAMPLES


@dataclass(frozen=True)
class Tensors:
    """Samples of a dataset on one device.

    Attributes:
        values: [sample, hour, feature] float32, standardised units.
        observed: [sample, hour, feature] bool.
        labels: [sample] int64, 1 for death.
        static: [sample, column] float32, standardised units, 0 where unknown; no columns if there are none.
        static_observed: [sample, column] bool, whether the value is known.
    """

    values: Tensor
    observed: Tensor
    labels: Tensor
    static: Tensor = field(default_factory=lambda: torch.empty(0, 0))
    static_observed: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.bool))

    def __post_init__(self) -> None:
        for name in ("static", "static_observed"):
            given: Tensor = getattr(self, name)
            if given.shape[1] == 0:  # none given: no columns, but a row for each sample
                object.__setattr__(self, name, self.labels.new_empty((len(self), 0), dtype=given.dtype))

    @property
    def context(self) -> tuple[Tensor, Tensor, Tensor]:
        """The masks, static data and their masks, which a classifier reads beside the values."""
        return self.observed, self.static, self.static_observed

    def __getitem__(self, index: Tensor | slice) -> Tensors:
        """Return the samples at ``index``."""
        return Tensors(*(getattr(self, part.name)[index] for part in fields(self)))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset artifact: tensors of all samples, the table that describes them, and what the columns are."""

    tensors: Tensors
    samples: pl.DataFrame
    features: FeatureSet
    scaling: Scaling
    static_columns: tuple[StaticColumn, ...] = ()

    def of_split(self, split: str) -> Tensor:
        """Return the indices of a split's samples [n], in order."""
        chosen = self.samples.with_row_index().filter(pl.col("split") == split)["index"].to_numpy()
        return torch.from_numpy(chosen.astype("int64")).to(self.tensors.labels.device)


def load_dataset(artifact: Artifact, device: torch.device) -> LoadedDataset:
    """Read a ``dataset`` artifact onto ``device``; it stays there whole."""
    samples = artifact.frame("samples.parquet", SAMPLES)
    tensors = load_file(artifact.file("tensors.safetensors"), device=str(device))
    labels = torch.from_numpy(samples["label"].to_numpy().astype("int64")).to(device)
    static = {name: tensors[name] for name in ("static", "static_observed") if name in tensors}
    return LoadedDataset(
        Tensors(tensors["values"], tensors["observed"], labels, **static),
        samples,
        artifact.json("features.json", FeatureSet),
        artifact.json("scaling.json", Scaling),
        artifact.json("static.json", tuple[StaticColumn, ...]) if static else (),
    )
