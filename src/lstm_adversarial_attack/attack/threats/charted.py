"""Threat model ``charted``: what was charted is charted differently, and nothing else happens.

All values that were charted of a measurement in one hour move together, by a whole number of the steps in which the
measurement is recorded. The hour's mean or sum moves with them, and forward fill carries it to the hours that show it;
masks stay as they are. Bounds:

- every value stays within the physiological range, and is one that can be recorded;
- a measurement that exceeds another (systolic above diastolic pressure) still does in every hour: each of the two
  keeps to its side of the middle between them;
- with ``max_rate`` r, no two successive charted hours of a measurement that is no volume come to differ by more than r
  standard deviations an hour, unless they already do: each of the two has half of what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from torch import Tensor

from lstm_adversarial_attack.attack.charting import OnCharted, by_feature, on_precision, shown_hours
from lstm_adversarial_attack.attack.engine import attack, single_edits
from lstm_adversarial_attack.attack.result import AttackResult, Found
from lstm_adversarial_attack.attack.singles import Singles
from lstm_adversarial_attack.attack.target import Target, options_of
from lstm_adversarial_attack.datasets import Tensors

#: Logits by which an example must be turned beside kappa, for what float32 loses on another way to the same values.
SURE = 1e-4
#: Share of a step by which rounding may miss a bound.
_NEAR = 1e-6


@dataclass(frozen=True)
class Cells:
    """What was charted in the cells of some samples, all [sample, hour, feature] float64; NaN where nothing was.

    Attributes:
        lowest: least value of the hour, as it would be charted, in the measurement's unit.
        highest: the greatest.
        count: values of the hour.
        rounding: by how much the hour's mean (or sum) changes when its values are rounded to what can be charted.
    """

    lowest: Tensor
    highest: Tensor
    count: Tensor
    rounding: Tensor


@dataclass(frozen=True)
class Room:
    """How charted cells may change, [sample, hour, feature] in model units; 0 to 0 where nothing was charted."""

    low: Tensor
    high: Tensor
    step: Tensor
    offset: Tensor


class ChartedThreat(OnCharted):
    """See the module."""

    def attack(self, index: Tensor, labels: Tensor, batch_size: int | None = None) -> AttackResult:
        """See `threats.Threat`."""
        settings = self._settings
        return attack(
            **self._search(index, labels, batch_size),
            cost=self._target.cost,
            method=settings.method,
            steps=settings.steps,
            seed=settings.seed,
            **options_of(settings),
        )

    def singles(self, index: Tensor, labels: Tensor, batch_size: int | None = None) -> Singles:
        """See `threats.Threat`."""
        return single_edits(**self._search(index, labels, batch_size))

    def _search(self, index: Tensor, labels: Tensor, batch_size: int | None) -> dict[str, Any]:
        """Return what any search is told of the samples at ``index``."""
        batch = self._target.dataset.tensors[index]
        shown = shown_hours(batch.observed, self._target.dataset.features)
        room = self._room(index, batch, shown)
        return {
            "model": self._model,
            "values": torch.zeros_like(batch.values),
            "labels": labels,
            "context": (batch.values, shown, *batch.context),
            "lower": room.low,
            "upper": room.high,
            "step": room.step,
            "offset": room.offset,
            "kappa": self._settings.kappa + SURE,
            "batch_size": batch_size or len(index),
        }

    def edits(self, index: Tensor, found: Found) -> pl.DataFrame:
        """See `threats.Threat`."""
        features = self._target.dataset.features
        batch = self._target.dataset.tensors[index]
        room = self._room(index, batch, shown_hours(batch.observed, features))
        place = tuple(found.cells.T)
        shift = (found.changes - room.offset[place]) / room.step[place]
        row, hour, feature = (column.cpu().numpy() for column in found.cells.T)
        moved = pl.DataFrame({"row": row, "hour": hour, "feature": feature, "steps": shift.round().cpu().numpy()})
        precision = by_feature(features, "precision", [f.measurement.precision for f in features.features])
        return (
            self._charted(index)
            .join(moved, on=["row", "hour", "feature"], how="inner")
            .join(precision, on="feature")
            .select(
                "row",
                "minute",
                "feature",
                "value",
                edited=on_precision(pl.col("value"), pl.col("precision"), pl.col("steps")),
                slip=pl.lit(None, pl.String),
            )
        )

    def _cells(self, index: Tensor, batch: Tensors) -> Cells:
        """Return what was charted in the cells of the samples at ``index``."""
        features = self._target.dataset.features
        precision = by_feature(features, "precision", [f.measurement.precision for f in features.features])
        rounded = on_precision(pl.col("value"), pl.col("precision"))
        cells = (
            self._charted(index)
            .join(precision, on="feature")
            .with_columns(rounded=rounded)
            .group_by("row", "hour", "feature")
            .agg(
                lowest=pl.col("rounded").min(),
                highest=pl.col("rounded").max(),
                count=pl.len().cast(pl.Float64),
                rounding=(pl.col("rounded") - pl.col("value")).sum(),
            )
        )
        place = tuple(torch.from_numpy(cells[name].to_numpy().copy()) for name in ("row", "hour", "feature"))
        found = []
        for name in ("lowest", "highest", "count", "rounding"):
            tensor = torch.full(batch.values.shape, torch.nan, dtype=torch.float64)
            tensor[place] = torch.from_numpy(cells[name].to_numpy().copy())
            found.append(tensor.to(batch.values.device))
        lowest, highest, count, rounding = found
        return Cells(lowest, highest, count, torch.where(self._sums, rounding, rounding / count))

    @property
    def _sums(self) -> Tensor:
        """Which features are volumes [feature]."""
        features = self._target.dataset.features.features
        return torch.tensor([f.measurement.hourly == "sum" for f in features], device=self._target.device)

    def _room(self, index: Tensor, batch: Tensors, shown: Tensor) -> Room:
        """Return how far each cell may move, in model units."""
        target = self._target
        cells = self._cells(index, batch)
        precision = target.figures(lambda measurement: measurement.precision)
        lower = target.figures(lambda measurement: measurement.physiological[0])
        upper = target.figures(lambda measurement: measurement.physiological[1])
        whole = cells.count.isfinite() & (cells.lowest >= lower - _NEAR) & (cells.highest <= upper + _NEAR)
        # In steps that all values of the hour can go down and up.
        down = ((lower - cells.lowest) / precision - _NEAR).ceil().clamp_max(0)
        up = ((upper - cells.highest) / precision + _NEAR).floor().clamp_min(0)
        each = torch.where(self._sums, cells.count, 1.0) * precision / target.std
        offset = cells.rounding / target.std
        low, high = down * each + offset, up * each + offset
        # The sum of an hour's volumes stays in the range of one.
        total = target.clinical(batch.values.double())
        low = torch.where(self._sums, torch.maximum(low, (lower - total) / target.std), low)
        high = torch.where(self._sums, torch.minimum(high, (upper - total) / target.std), high)
        for limit in (_apart(target, batch.values, shown), _rate(self._settings.max_rate, batch, shown, self._sums)):
            if limit is not None:
                low, high = torch.maximum(low, limit[0]), torch.minimum(high, limit[1])
        return Room(
            torch.where(whole, low.clamp_max(0), 0.0).float(),
            torch.where(whole, high.clamp_min(0), 0.0).float(),
            torch.where(whole, each, 1.0).float(),
            torch.where(whole, offset, 0.0).float(),
        )


def _apart(target: Target, values: Tensor, shown: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return how far cells may go so that what exceeds another measurement still does, in every hour that shows them.

    Both [sample, hour, feature] in model units, infinite where nothing is asked.
    """
    features = target.dataset.features
    pairs = [
        (column, features.names.index(other))
        for column, feature in enumerate(features.features)
        for other in feature.measurement.exceeds
        if other in features.names
    ]
    if not pairs:
        return None
    clinical = target.clinical(values.double())
    low = torch.full_like(clinical, -torch.inf)
    high = torch.full_like(clinical, torch.inf)
    for above, below in pairs:
        precision = min(float(target.figures(lambda m: m.precision)[column]) for column in (above, below))
        both = (shown[:, :, above] >= 0) & (shown[:, :, below] >= 0)
        half = ((clinical[:, :, above] - clinical[:, :, below]) - precision).clamp_min(0) / 2
        for column, bound, sign in ((above, low, -1.0), (below, high, 1.0)):
            room = torch.where(both, half / target.std[column], torch.inf)
            edge = sign * _least_shown(room, shown[:, :, column])
            narrower = torch.maximum if sign < 0 else torch.minimum
            bound[:, :, column] = narrower(bound[:, :, column], edge)
    return low, high


def _least_shown(room: Tensor, shown: Tensor) -> Tensor:
    """Return for each charted hour [sample, hour] the least ``room`` of the hours that show it."""
    least = torch.full_like(room, torch.inf)
    return least.scatter_reduce(1, shown.clamp_min(0), room.masked_fill(shown < 0, torch.inf), "amin")


def _rate(max_rate: float | None, batch: Tensors, shown: Tensor, sums: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return how far cells may go so that successive charted hours differ by no more than ``max_rate`` an hour.

    Volumes, as ``sums`` [feature] tells, are not limited.
    """
    if max_rate is None:
        return None
    hours = torch.arange(shown.shape[1], device=shown.device)[:, None]
    before = torch.cat([torch.full_like(shown[:, :1], -1), shown[:, :-1]], dim=1)
    paired = batch.observed & (before >= 0) & ~sums
    values = batch.values.double()
    rise = values - values.gather(1, before.clamp_min(0))
    most = max_rate * (hours - before)
    more, less = ((most - rise).clamp_min(0) / 2, (most + rise).clamp_min(0) / 2)  # the later one goes up, or down
    low, high = torch.full_like(values, torch.inf), torch.full_like(values, torch.inf)
    high, low = torch.where(paired, more, high), torch.where(paired, less, low)
    # The earlier of the two moves the other way.
    index = before.clamp_min(0)
    low = low.scatter_reduce(1, index, more.masked_fill(~paired, torch.inf), "amin")
    high = high.scatter_reduce(1, index, less.masked_fill(~paired, torch.inf), "amin")
    return -low, high
