"""Threat model ``data-entry``: one or two of the charted values are written down wrongly, as people do.

Every slip of every charted value is tried (`slips.slips`, and the values of other hours of the same measurement), then
pairs of slips in different hours or measurements: all pairs among those slips of a sample that alone come closest to
turning the prediction.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from lstm_adversarial_attack.attack.charting import OnCharted, by_feature, shown_hours
from lstm_adversarial_attack.attack.engine import verified
from lstm_adversarial_attack.attack.keeper import SIZES, Keeper
from lstm_adversarial_attack.attack.model import judging
from lstm_adversarial_attack.attack.problem import Problem
from lstm_adversarial_attack.attack.result import AttackResult, Found
from lstm_adversarial_attack.attack.slips import SLIPS, slips
from lstm_adversarial_attack.attack.target import Target
from lstm_adversarial_attack.attack.threats.charted import SURE
from lstm_adversarial_attack.frames import Schema
from lstm_adversarial_attack.settings import AttackSettings

_KINDS = pl.Enum(SLIPS)
#: Slips of a sample of which all pairs are tried.
_PAIRS = 64


class DataEntryThreat(OnCharted):
    """See the module."""

    def __init__(self, target: Target, settings: AttackSettings, charted: Path) -> None:
        """Attack ``target`` by the values that the file ``charted`` holds."""
        super().__init__(target, settings, charted)
        self._known: tuple[Tensor, pl.DataFrame] | None = None

    def attack(self, index: Tensor, labels: Tensor, batch_size: int | None = None) -> AttackResult:
        """See `threats.Threat`; ``forwards`` counts the slips and pairs tried, and nothing costs a gradient."""
        settings = self._settings
        batch = self._target.dataset.tensors[index]
        shown = shown_hours(batch.observed, self._target.dataset.features)
        none = torch.zeros_like(batch.values).flatten(1)
        far = torch.full_like(none, torch.inf)
        counts = torch.zeros(len(index), dtype=torch.int32, device=none.device)
        problem = Problem(
            model=self._model,
            values=torch.zeros_like(batch.values),
            labels=labels,
            context=(batch.values, shown, *batch.context),
            low=-far,
            high=far,
            weight=self._target.cost.expand_as(batch.values).flatten(1),
            grid=None,
            kappa=settings.kappa + SURE,
            batch=batch_size or self._target.batch_size(),
            rows=torch.arange(len(index), device=none.device),
            gradients=counts.clone(),
            forwards=counts.clone(),
        )
        singles = self._slips(index).rename({"cell": "cell_0", "change": "change_0"})
        keeper = Keeper(problem, 2)
        with judging(self._model):
            margins = _tried(problem, keeper, singles)
            _tried(problem, keeper, _pairs(singles.with_columns(margin=margins), settings.pairs or _PAIRS))
        return verified(self._model, problem, keeper)

    def singles(self, _index: Tensor, _labels: Tensor, _batch_size: int | None = None) -> None:
        """See `threats.Threat`."""
        return

    def edits(self, index: Tensor, found: Found) -> pl.DataFrame:
        """See `threats.Threat`."""
        row, hour, feature = (column.cpu().numpy() for column in found.cells.T)
        cell = hour * found.shape[2] + feature
        changed = pl.DataFrame({"row": row, "cell": cell, "change": found.changes.cpu().numpy()})
        return (
            self._slips(index)
            .join(changed, on=["row", "cell", "change"], how="inner")
            .unique(["row", "cell"], keep="first", maintain_order=True)
            .select("row", "minute", "feature", "value", "edited", pl.col("slip").cast(pl.String))
        )

    def _slips(self, index: Tensor) -> pl.DataFrame:
        """Return `_all_slips`, which are kept for the next who asks for the same samples."""
        if self._known is None or not torch.equal(self._known[0], index):
            self._known = (index, self._all_slips(index))
        return self._known[1]

    def _all_slips(self, index: Tensor) -> pl.DataFrame:
        """Return every slip of the samples at ``index``, a row each, ordered by sample, minute, feature and kind.

        Columns: row, minute, feature, value, edited, slip, cell (hour * features + feature), and change, of the cell in
        model units. Where two slips lead to one value, the kind that stands first in `slips.SLIPS` counts.
        """
        dataset = self._target.dataset
        features = dataset.features
        charted = self._charted(index).with_row_index("charted")
        distinct = charted.select("feature", "value").unique(maintain_order=True)
        made = [
            (column, value, kind, new)
            for column, value in distinct.iter_rows()
            for kind, new in slips(value, features.features[column].measurement)
        ]
        columns: Schema = {"feature": pl.Int64, "value": pl.Float64, "slip": _KINDS, "edited": pl.Float64}
        own = charted.join(pl.DataFrame(made, schema=columns, orient="row"), on=["feature", "value"])
        others = charted.select("row", "feature", edited="value").unique()
        copied = charted.join(others, on=["row", "feature"]).with_columns(slip=pl.lit("copied", _KINDS))
        std = by_feature(features, "std", dataset.scaling.std)
        mean = by_feature(features, "mean", [f.measurement.hourly != "sum" for f in features.features])
        among = charted.group_by("row", "hour", "feature").agg(count=pl.len())
        return (
            pl.concat([own, copied.select(own.columns)])
            .filter(pl.col("edited") != pl.col("value"))
            .sort("charted", "slip", "edited")
            .unique(["charted", "edited"], keep="first", maintain_order=True)
            .join(std, on="feature", maintain_order="left")
            .join(mean, on="feature", maintain_order="left")
            .join(among, on=["row", "hour", "feature"], maintain_order="left")
            .with_columns(share=pl.when("mean").then(1 / pl.col("count")).otherwise(1.0))
            .select(
                *("row", "minute", "feature", "value", "edited", "slip"),
                cell=pl.col("hour") * len(features.features) + pl.col("feature"),
                change=((pl.col("edited") - pl.col("value")) * pl.col("share") / pl.col("std")).cast(pl.Float32),
            )
        )


def _tried(problem: Problem, keeper: Keeper, slips: pl.DataFrame) -> pl.Series:
    """Try slips or pairs of them and hand the best to ``keeper``; return their margins.

    Args:
        problem: what is attacked.
        keeper: of the examples.
        slips: columns row, and cell_0 and change_0, and cell_1 and change_1 if there are pairs.
    """
    parts = [_margins(problem, slips.slice(start, problem.batch)) for start in range(0, len(slips), problem.batch)]
    margin = pl.Series("margin", torch.cat([torch.empty(0, device=problem.low.device), *parts]).cpu().numpy())
    weight = problem.weight.cpu().numpy()
    sizes = [pl.col(name).abs() for name in slips.columns if name.startswith("change_")]
    costs = [
        pl.Series(slips[f"change_{number}"].abs().to_numpy() * weight[slips["row"], slips[f"cell_{number}"]])
        for number in range(len(sizes))
    ]
    turned = slips.with_columns(
        margin, l1=pl.sum_horizontal(sizes), linf=pl.max_horizontal(sizes), cost=pl.sum_horizontal(costs)
    ).filter(pl.col("margin") < 0)
    for best in (turned, *(turned.sort(size, maintain_order=True) for size in SIZES)):
        chosen = best.unique("row", keep="first", maintain_order=True)
        delta, rows = _perturbations(problem, chosen)
        known = torch.from_numpy(chosen["margin"].to_numpy().copy()).to(problem.low)
        keeper.note(problem.at(rows), delta, known)
    return margin


def _margins(problem: Problem, slips: pl.DataFrame) -> Tensor:
    delta, rows = _perturbations(problem, slips)
    return problem.at(rows).margin(delta)


def _perturbations(problem: Problem, slips: pl.DataFrame) -> tuple[Tensor, Tensor]:
    """Return what slips do [slip, cell], and whose they are [slip]."""
    device = problem.low.device
    rows = torch.from_numpy(slips["row"].to_numpy().copy()).to(device)
    delta = problem.low.new_zeros(len(slips), problem.low.shape[1])
    for number in range(sum(name.startswith("cell_") for name in slips.columns)):
        cell, change = (torch.from_numpy(slips[f"{name}_{number}"].to_numpy().copy()) for name in ("cell", "change"))
        delta.scatter_(1, cell[:, None].to(device), change[:, None].to(delta))
    return delta, rows


def _pairs(slips: pl.DataFrame, among: int) -> pl.DataFrame:
    """Return pairs of slips in different cells, of the ``among`` slips of least margin of a sample."""
    pairs = []
    ranked = slips.sort("row", "margin", maintain_order=True)
    for (row,), own in ranked.group_by("row", maintain_order=True):
        best = own.head(among)
        first, second = torch.triu_indices(len(best), len(best), offset=1).numpy()
        cell, change = best["cell_0"].to_numpy(), best["change_0"].to_numpy()
        apart = cell[first] != cell[second]
        first, second = first[apart], second[apart]
        pairs.append(
            pl.DataFrame(
                {"cell_0": cell[first], "change_0": change[first], "cell_1": cell[second], "change_1": change[second]}
            ).with_columns(row=pl.lit(row, pl.Int64))
        )
    return pl.concat(pairs) if pairs else slips.clear().with_columns(cell_1="cell_0", change_1="change_0")
