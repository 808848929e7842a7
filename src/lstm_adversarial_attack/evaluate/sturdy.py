"""Which measurements the examples change, set against confidence, chance and the gradient.

How often a measurement is changed mirrors more than the model's leaning on it: predictions near the threshold take
less to turn, a measurement that is charted often offers more cells, and some changes are simply large where the
gradient is. So beside the share of examples that change a measurement stand

- its rank among the measurements, with the interval that resampled patients give it;
- the share and the mean change **at matched margin**: examples are grouped by the margin of the unperturbed prediction,
  ``|logit p - logit threshold|``, into quarters of the direction with fewer of them, and the groups count alike in both
  directions (direct standardisation), each figure over the groups in which both directions have it;
- the share **by chance**: where as many cells were drawn by lot from those that may change;
- the share of **saliency**: of the absolute gradient of the unperturbed input (Simonyan et al. 2014), what falls on the
  measurement, on average over samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction, EvaluationInputs
from lstm_adversarial_attack.evaluate.susceptibility import Condition, touched
from lstm_adversarial_attack.frames import EXAMPLE_KINDS
from lstm_adversarial_attack.metrics import (
    Estimate,
    average_ranks,
    estimate_of,
    patient_shares,
    resampled_ratios,
    spearman,
)

Floats = npt.NDArray[np.float64]

#: Groups of margins, and the fewest samples of a direction in each on average.
_GROUPS, _LEAST = 4, 5
_CERTAIN = 1e-12

_ESTIMATES = ("share", "share_matched", "delta_clinical_mean", "delta_clinical_matched", "times_chance", "saliency")
SCHEMA = {
    "direction": pl.String,
    "kind": pl.String,
    "feature": pl.String,
    "unit": pl.String,
    "found_examples": pl.Int64,
    "matched_examples": pl.Int64,
    "rank": pl.Float64,
    "rank_low": pl.Float64,
    "rank_high": pl.Float64,
    "share_by_chance": pl.Float64,
    **{f"{name}{end}": pl.Float64 for name in _ESTIMATES for end in ("", "_low", "_high")},
}
RANKS_SCHEMA = {
    "direction": pl.String,
    "kind": pl.String,
    "against": pl.String,
    "examples": pl.Int64,
    "spearman": pl.Float64,
    "spearman_low": pl.Float64,
    "spearman_high": pl.Float64,
}


@dataclass(frozen=True)
class Margins:
    """Groups of margins that both directions share.

    Attributes:
        edges: [group + 1], ends of the groups; a margin outside them is matched by none of the other direction.
    """

    edges: Floats

    def group(self, margins: Floats) -> npt.NDArray[np.int64]:
        """Return the group of each margin, -1 where it lies outside."""
        inside = (margins >= self.edges[0]) & (margins <= self.edges[-1])
        group = np.searchsorted(self.edges[1:-1], margins, side="right")
        return np.where(inside, group, -1)


def margins_of(probabilities: Floats, threshold: float) -> Floats:
    """Return how far probabilities lie from the threshold, in logits."""
    p, t = (np.clip(x, _CERTAIN, 1 - _CERTAIN) for x in (probabilities, threshold))
    found: Floats = np.abs(np.log(p / (1 - p)) - np.log(t / (1 - t)))
    return found


def shared_margins(inputs: EvaluationInputs) -> Margins | None:
    """Return the groups of margins in which both directions were attacked; None where they share too few samples."""
    attacked = inputs.examples.unique("sample").sort("sample")
    sides = [
        margins_of(attacked.filter(pl.col("label") == d.label)["clean_probability"].to_numpy(), inputs.threshold)
        for d in DIRECTIONS
    ]
    sides = [side for side in sides if side.size]
    if len(sides) < len(DIRECTIONS):
        return None
    low, high = max(side.min() for side in sides), min(side.max() for side in sides)
    fewest = min(([x for x in side if low <= x <= high] for side in sides), key=len)
    groups = min(_GROUPS, len(fewest) // _LEAST)
    if groups == 0:
        return None
    inner = np.quantile(fewest, np.arange(1, groups) / groups)
    return Margins(np.concatenate([[low], inner, [high]]))


@dataclass(frozen=True)
class _Matched:
    """Share and mean change at matched margin, [1 + resamples, measurement], and of how many examples."""

    share: Floats
    delta: Floats
    examples: int


class SturdyFigures:
    """The figures of the module, for one direction and kind of example after the other."""

    def __init__(self, inputs: EvaluationInputs, *, resamples: int, seed: int) -> None:
        """Take what all of them need from ``inputs``."""
        self._inputs = inputs
        self._margins = shared_margins(inputs)
        self._bootstrap = {"resamples": resamples, "seed": seed}
        shape = (-1, len(inputs.features))
        singles = inputs.singles.sort("sample", "feature")
        self._row = {sample: row for row, sample in enumerate(singles["sample"].unique(maintain_order=True))}
        self._changeable = singles["changeable"].to_numpy().reshape(shape)
        saliency = singles["saliency"].to_numpy().astype(np.float64).reshape(shape)
        total = saliency.sum(axis=1, keepdims=True)
        self._saliency = np.divide(saliency, total, out=np.zeros_like(saliency), where=total > 0)

    def table(self, found: list[Condition]) -> pl.DataFrame:
        """Return a row for each direction, kind and measurement, `SCHEMA`."""
        rows: list[tuple[object, ...]] = []
        for kind in EXAMPLE_KINDS:
            both = {c.direction.key: c for c in found if c.kind == kind and c.subjects.size}
            matched = self._matched(both)
            rows += [row for key, condition in both.items() for row in self._rows(condition, matched.get(key))]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def rank_agreement(self, found: list[Condition]) -> pl.DataFrame:
        """Return how far rankings of the measurements agree with that of the sparsest examples, `RANKS_SCHEMA`.

        ``against`` is another kind of example, chance or saliency; Spearman's correlation of the shares.
        """
        by_key = {(condition.direction.key, condition.kind): condition for condition in found}
        rows = []
        for direction in DIRECTIONS:
            sparsest = by_key[direction.key, "sparsest"]
            if not sparsest.subjects.size:
                continue
            hits = touched(sparsest, sparsest.feature, len(self._inputs.features)).astype(np.float64)
            others: dict[str, npt.NDArray[np.generic]] = {
                kind: touched(by_key[direction.key, kind], by_key[direction.key, kind].feature, hits.shape[1])
                for kind in ("first", "smallest")
                if np.array_equal(by_key[direction.key, kind].samples, sparsest.samples)
            }
            others |= self._yardsticks(sparsest)
            for name, other in others.items():
                rows.append(self._agreement(direction, name, sparsest, hits, other))
        return pl.DataFrame(rows, schema=RANKS_SCHEMA, orient="row")

    def _agreement(
        self, direction: Direction, name: str, condition: Condition, hits: Floats, other: npt.NDArray[np.generic]
    ) -> tuple[object, ...]:
        both = np.hstack([hits, other])
        shares = resampled_ratios(both, np.ones(both.shape), condition.subjects, **self._bootstrap)
        correlation = spearman(shares[:, : hits.shape[1]], shares[:, hits.shape[1] :])
        estimate = estimate_of(correlation, np.unique(condition.subjects).size)
        return direction.key, condition.kind, name, condition.subjects.size, *_ends(estimate)

    def _rows(self, condition: Condition, matched: _Matched | None) -> list[tuple[object, ...]]:
        hits, ones, size, count = self._columns(condition)
        yardsticks = self._yardsticks(condition)
        chance, saliency = yardsticks.get("chance"), yardsticks.get("saliency")
        columns = [(hits, ones), (size, count)]
        columns += [(hits, chance)] if chance is not None else []
        columns += [(saliency, ones)] if saliency is not None else []
        above, below = (np.hstack([column[side] for column in columns]) for side in (0, 1))
        found = resampled_ratios(above, below, condition.subjects, **self._bootstrap)
        blocks = iter(np.split(found, len(columns), axis=1))
        share, delta = next(blocks), next(blocks)
        nothing = np.full_like(share, np.nan)
        times = next(blocks) if chance is not None else nothing
        salient = next(blocks) if saliency is not None else nothing
        alike = matched or _Matched(nothing, nothing, 0)
        ranks = average_ranks(share)
        people = np.unique(condition.subjects).size
        rows: list[tuple[object, ...]] = []
        for column, feature in enumerate(self._inputs.features):
            figures = (share, alike.share, delta, alike.delta, times, salient)
            estimates = [estimate_of(figure[:, column], people) for figure in figures]
            if share[0, column] in (0, 1):  # of which resampling says nothing
                estimates[0] = patient_shares(hits[:, [column]], condition.subjects, **self._bootstrap)[0]
            rank = estimate_of(ranks[:, column], people)
            rows.append(
                (
                    condition.direction.key,
                    condition.kind,
                    feature.name,
                    feature.measurement.unit,
                    condition.subjects.size,
                    alike.examples,
                    rank.value,
                    # Measurements that are never changed share the last rank, with more or fewer others by resample.
                    *((rank.low, rank.high) if share[0, column] else (None, None)),
                    None if chance is None else float(chance[:, column].mean()),
                    *(end for estimate in estimates for end in _ends(estimate)),
                )
            )
        return rows

    def _columns(self, condition: Condition) -> tuple[Floats, Floats, Floats, Floats]:
        """Return by example and measurement: whether it is changed, 1, the sum of changes, how many cells."""
        hits = touched(condition, condition.feature, len(self._inputs.features)).astype(np.float64)
        size, count = np.zeros((2, *hits.shape))
        place = (condition.example, condition.feature)
        np.add.at(size, place, np.abs(condition.delta_clinical))
        np.add.at(count, place, 1)
        return hits, np.ones(hits.shape), size, count

    def _matched(self, both: dict[str, Condition]) -> dict[str, _Matched]:
        """Return the figures at matched margin by direction; none where the directions have no groups in common.

        A figure is the mean over those groups in which it is defined in both directions; where that is none, or in a
        resample one of them is empty, it is undefined.
        """
        if self._margins is None or len(both) < len(DIRECTIONS):
            return {}
        groups = {key: self._margins.group(self._margin(condition)) for key, condition in both.items()}
        ratios = {key: self._by_group(condition, groups[key]) for key, condition in both.items()}
        shared = [
            np.logical_and.reduce([np.isfinite(of_one[figure][:, 0]) for of_one in ratios.values()])
            for figure in (0, 1)
        ]
        found = {}
        for key, of_one in ratios.items():
            means = []
            for figure in (0, 1):
                used, values = shared[figure][:, None], of_one[figure]
                groups_used = used.sum(axis=0)
                total = np.where(used, values, 0.0).sum(axis=0)
                means.append(np.divide(total, groups_used, out=np.full_like(total, np.nan), where=groups_used > 0))
            found[key] = _Matched(means[0], means[1], int((groups[key] >= 0).sum()))
        return found

    def _margin(self, condition: Condition) -> Floats:
        return margins_of(condition.clean_probability, self._inputs.threshold)

    def _by_group(self, condition: Condition, group: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return share and mean change of each group of margins, both [group, 1 + resamples, measurement]."""
        assert self._margins is not None
        masks = [(group == g)[:, None] for g in range(len(self._margins.edges) - 1)]
        hits, ones, size, count = self._columns(condition)
        pairs = [(hits, ones), (size, count)]
        above, below = (np.hstack([pair[side] * mask for pair in pairs for mask in masks]) for side in (0, 1))
        found = resampled_ratios(above, below, condition.subjects, **self._bootstrap)
        parts = np.stack(np.split(found, 2 * len(masks), axis=1))
        return parts[: len(masks)], parts[len(masks) :]

    def _yardsticks(self, condition: Condition) -> dict[str, Floats]:
        """Return the shares by chance and of saliency, [example, measurement], where single edits were recorded."""
        rows = [self._row[sample] for sample in condition.samples.tolist() if sample in self._row]
        if len(rows) < condition.samples.size or not rows:
            return {}
        cells = np.bincount(condition.example, minlength=condition.samples.size)
        return {"chance": _by_chance(self._changeable[rows], cells), "saliency": self._saliency[rows]}


def _by_chance(changeable: npt.NDArray[np.integer], cells: npt.NDArray[np.integer]) -> Floats:
    """Return how likely each measurement is among ``cells`` [example] drawn by lot from ``changeable`` [example, m].

    One less the hypergeometric probability of none: ``C(n - n_j, k) / C(n, k)``.
    """
    of_all, k = changeable.sum(axis=1)[:, None], cells[:, None]
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, max(2, of_all.max() + 1))))])  # of factorials

    def log_ways(n: npt.NDArray[np.integer]) -> Floats:
        fits = n >= k
        ways: Floats = logs[n] - logs[np.minimum(k, logs.size - 1)] - logs[np.where(fits, n - k, 0)]
        return np.where(fits, ways, -np.inf)

    total = log_ways(of_all)
    missed = np.exp(log_ways(of_all - changeable) - np.where(np.isfinite(total), total, 0.0))
    likely: Floats = 1 - missed
    return likely


def _ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high
