"""What was charted in the hours of some samples, value by value, and how a change of it reaches the model's input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from lstm_adversarial_attack.attack.target import Target
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.frames import MEASUREMENTS, conform, with_features
from lstm_adversarial_attack.settings import AttackSettings

MINUTES = 60
#: Decimals that are left of a charted value when it has been put together from steps.
_DECIMALS = 9

#: One row for each charted value inside the window of the samples asked for.
CHARTED = {
    "row": pl.Int64,  # index of the sample among those asked for
    "stay_id": pl.Int64,
    "minute": pl.Int32,
    "hour": pl.Int64,
    "feature": pl.Int64,  # column of the tensors
    "value": pl.Float64,
}


def charted_values(path: Path, stays: pl.Series, features: FeatureSet, hours: int) -> pl.DataFrame:
    """Read what was charted of ``features`` in the first ``hours`` of ``stays``: `CHARTED`, in the file's order.

    Args:
        path: a Parquet file, `frames.MEASUREMENTS` over what ``features`` records.
        stays: stay ids.
        features: the columns of the tensors.
        hours: length of the window.
    """
    table = pl.scan_parquet(path)
    conform(pl.DataFrame(schema=table.collect_schema()), with_features(MEASUREMENTS, features.recorded_names))
    rows = pl.LazyFrame({"stay_id": stays, "row": np.arange(len(stays))})
    ids = stays.unique()
    return (
        table.filter(pl.col("stay_id").is_between(ids.min(), ids.max()), pl.col("stay_id").is_in(ids.implode()))
        .with_columns(feature=pl.col("feature").to_physical().cast(pl.Int64), hour=pl.col("minute") // MINUTES)
        .filter(pl.col("minute") >= 0, pl.col("hour") < hours, pl.col("feature") < len(features.features))
        .join(rows, on="stay_id", how="inner", maintain_order="left")
        .select([pl.col(name).cast(kind) for name, kind in CHARTED.items()])
        .collect()
    )


def on_precision(values: pl.Expr, precision: pl.Expr, steps: pl.Expr | int = 0) -> pl.Expr:
    """Return ``values`` as they would be charted, to the next multiple of ``precision``, moved by ``steps`` of it."""
    return (((values / precision).round() + steps) * precision).round(_DECIMALS)


def by_feature(features: FeatureSet, column: str, figures: Sequence[float]) -> pl.DataFrame:
    """Return a table to join figures of features by."""
    return pl.DataFrame({"feature": np.arange(len(features.features)), column: list(figures)})


def shown_hours(observed: Tensor, features: FeatureSet) -> Tensor:
    """Return for each cell [sample, hour, feature] the hour of the value it shows, int64, -1 before the first.

    A mean is carried forward until the next one; a volume shows in its own hour alone.
    """
    hours = torch.arange(observed.shape[1], device=observed.device)[:, None]
    shown = torch.where(observed, hours, -1).cummax(dim=1).values
    sums = torch.tensor([f.measurement.hourly == "sum" for f in features.features], device=observed.device)
    return shown.masked_fill(~observed & sums, -1)


def carried(change: Tensor, shown: Tensor) -> Tensor:
    """Return what changes of charted cells [sample, hour, feature] do to all cells, by `shown_hours`."""
    return change.gather(1, shown.clamp_min(0)).masked_fill(shown < 0, 0.0)


class Charted(nn.Module):
    """A classifier of changes of charted cells, which reach all the cells that show them."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap ``model``, which reads values, masks and static data."""
        super().__init__()
        self.model = model

    def forward(self, change: Tensor, values: Tensor, shown: Tensor, *context: Tensor) -> Tensor:
        """Return logits [sample, 2] of ``values`` changed in charted cells; all [sample, hour, feature]."""
        logits: Tensor = self.model(values + carried(change, shown), *context)
        return logits


class OnCharted:
    """What threat models of charted values have in common: the file of what was charted, and what changes of it do."""

    def __init__(self, target: Target, settings: AttackSettings, charted: Path) -> None:
        """Attack ``target`` by the values that the file ``charted`` holds."""
        self._target, self._settings, self._file = target, settings, charted
        self._model = Charted(target.decision).eval()
        self._read: tuple[Tensor, pl.DataFrame] | None = None

    def perturbed(self, index: Tensor, delta: Tensor) -> Tensor:
        """See `threats.Threat`."""
        batch = self._target.dataset.tensors[index]
        return batch.values + carried(delta, shown_hours(batch.observed, self._target.dataset.features))

    def _charted(self, index: Tensor) -> pl.DataFrame:
        """Return what was charted of the samples at ``index``, `CHARTED`; the same samples are read once in a row."""
        if self._read is None or not torch.equal(self._read[0], index):
            dataset = self._target.dataset
            stays = dataset.samples["stay_id"].gather(index.tolist())
            hours = dataset.tensors.values.shape[1]
            self._read = (index, charted_values(self._file, stays, dataset.features, hours))
        return self._read[1]
