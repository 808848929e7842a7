"""A ``dataset`` artifact as tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import torch
from safetensors.torch import load_file
from torch import Tensor

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Scaling
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.frames import SAMPLES


@dataclass(frozen=True)
class Tensors:
    """Samples of a dataset on one device.

    Attributes:
        values: [sample, hour, feature] float32, standardised units.
        observed: [sample, hour, feature] bool.
        labels: [sample] int64, 1 for death.
    """

    values: Tensor
    observed: Tensor
    labels: Tensor

    def __getitem__(self, index: Tensor) -> Tensors:
        """Return the samples at ``index``."""
        return Tensors(self.values[index], self.observed[index], self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset artifact: tensors of all samples, the table that describes them, features and scaling."""

    tensors: Tensors
    samples: pl.DataFrame
    features: FeatureSet
    scaling: Scaling

    def of_split(self, split: str) -> Tensor:
        """Return the indices of a split's samples [n], in order."""
        chosen = self.samples.with_row_index().filter(pl.col("split") == split)["index"].to_numpy()
        return torch.from_numpy(chosen.astype("int64")).to(self.tensors.labels.device)


def load_dataset(artifact: Artifact, device: torch.device) -> LoadedDataset:
    """Read a ``dataset`` artifact onto ``device``; it stays there whole."""
    samples = artifact.frame("samples.parquet", SAMPLES)
    tensors = load_file(artifact.file("tensors.safetensors"), device=str(device))
    labels = torch.from_numpy(samples["label"].to_numpy().astype("int64")).to(device)
    return LoadedDataset(
        Tensors(tensors["values"], tensors["observed"], labels),
        samples,
        artifact.json("features.json", FeatureSet),
        artifact.json("scaling.json", Scaling),
    )
