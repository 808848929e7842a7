"""Values against ranges, and the check of units, from the counts that ``extract`` made of each item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_adversarial_attack.artifacts.contents import Extraction, ItemValues
from lstm_adversarial_attack.catalogue import Feature, FeatureSet, Source
from lstm_adversarial_attack.preprocess.card_shown import (
    FEW,
    UNDEFINED,
    charted_decimals,
    conversion,
    is_few,
    limits,
    number,
    percent,
    plain,
    unit,
)
from lstm_adversarial_attack.preprocess.hourly import Int

#: An item of which a larger share of values was rejected is flagged.
REJECTED_SHARE = 0.05
#: Rejected values below this number are no reason for a flag.
LEAST_REJECTED = 5
#: A feature with a larger share of values outside its physiological range is pointed out.
OUTSIDE_SHARE = 0.01
#: Values that an item and the feature's other items need for a comparison of medians.
LEAST_VALUES = 30
#: The least distance of medians that is flagged, in parts of the physiological range.
LEAST_PARTS = 2.0
#: A part of the range with a larger share of the values is named in place of a median inside it.
_CROWDED = 1 / 3


@dataclass(frozen=True)
class Distribution:
    """Counts of values by part of the physiological range: the first is below it, the last above it."""

    feature: Feature
    counts: Int

    @property
    def total(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())

    @property
    def outside(self) -> int:
        """How many values lie outside the physiological range."""
        return int(self.counts[0] + self.counts[-1])

    @property
    def strays(self) -> bool:
        """Whether so many values lie outside that it is pointed out."""
        return self.outside > OUTSIDE_SHARE * self.total and not is_few(self.outside)

    @property
    def parts(self) -> int:
        """Into how many parts the range is divided."""
        return len(self.counts) - 2

    def edge(self, part: int) -> float:
        """Return where the part at an index of ``counts`` begins; the last begins where the range ends."""
        low, high = self.feature.measurement.physiological
        return low + (part - 1) * (high - low) / self.parts

    def quantile(self, share: float) -> float:
        """Return a quantile in parts from the lower end of the range, interpolated; outside it half a part away."""
        part, inside = self._place(share)
        if part == 0:
            return -0.5
        return part - 1 + (inside if part <= self.parts else 0.5)

    def median(self) -> str:
        """Return the approximate median in words: a number, or the part that it lies in where that holds many."""
        if self.total == 0:
            return UNDEFINED
        decimals = charted_decimals(self.feature.measurement.precision)
        part, inside = self._place(0.5)
        if part == 0:
            return f"below {number(self.edge(1), decimals)}"
        if part > self.parts:
            return f"above {number(self.edge(part), decimals)}"
        low, high = self.edge(part), self.edge(part + 1)
        coarse = high - low > 2 * self.feature.measurement.precision
        if coarse and self.counts[part] > _CROWDED * self.total:
            return f"{number(low, decimals)} to {number(high, decimals)}"
        return number(low + inside * (high - low), decimals)

    def _place(self, share: float) -> tuple[int, float]:
        """Return the part in which a quantile lies, and how far into it."""
        reached = np.cumsum(self.counts)
        target = share * self.total
        part = min(int(np.searchsorted(reached, target, side="left")), len(reached) - 1)
        part = part if self.counts[part] else int(np.flatnonzero(self.counts)[0])
        return part, float((target - (reached[part] - self.counts[part])) / self.counts[part])


def distribution(feature: Feature, items: Sequence[ItemValues]) -> Distribution:
    """Add up the histograms of a feature's items."""
    counts = [np.array(item.histogram, np.int64) for item in items]
    return Distribution(feature, np.sum(counts, axis=0) if counts else np.zeros(3, np.int64))


@dataclass(frozen=True)
class ItemCheck:
    """One item of a source, as a row of the check of units."""

    table: str
    item: str
    accepted: str  # limits in the item's own unit
    conversion: str
    read: int
    rejected: int
    median: str | None  # of few values none
    reasons: tuple[str, ...]  # for a flag


@dataclass(frozen=True)
class FeatureValues:
    """The values of one feature and of each item that gave any; ``silent`` names the others."""

    feature: Feature
    all: Distribution
    read: int
    items: tuple[ItemCheck, ...]
    silent: tuple[str, ...]

    @property
    def rejected(self) -> int:
        """How many values lay outside the accepted range."""
        return self.read - self.all.total

    @property
    def is_clean(self) -> bool:
        """Whether no value was rejected or lies outside the physiological range."""
        return self.read == self.all.total and self.all.outside == 0

    @property
    def flagged(self) -> tuple[ItemCheck, ...]:
        """The items with a reason for a flag."""
        return tuple(item for item in self.items if item.reasons)


def feature_values(features: FeatureSet, extraction: Extraction) -> list[FeatureValues]:
    """Return the values of everything that was recorded, in the order of the feature set."""
    return [
        _feature_values(feature, [item for item in extraction.items if item.feature == feature.name])
        for feature in features.recorded
    ]


def _feature_values(feature: Feature, items: list[ItemValues]) -> FeatureValues:
    speaking = [item for item in items if item.read]
    return FeatureValues(
        feature,
        distribution(feature, items),
        sum(item.read for item in items),
        tuple(_check(feature, item, [other for other in speaking if other is not item]) for item in speaking),
        tuple(f"{item.table} {item.item}" for item in items if not item.read),
    )


def _check(feature: Feature, item: ItemValues, others: list[ItemValues]) -> ItemCheck:
    source = _source(feature, item)
    own, rest = distribution(feature, [item]), distribution(feature, others)
    rejected = item.read - item.accepted
    reasons = []
    if rejected >= LEAST_REJECTED and rejected > REJECTED_SHARE * item.read:
        reasons.append(f"{percent(rejected / item.read)} of its values rejected")
    if own.total >= LEAST_VALUES and own.median().startswith(("below", "above")):
        reasons.append(f"median {own.median()}, outside the physiological range")
    elif differs(own, rest):
        word = unit(feature.measurement.unit)
        reasons.append(f"median {own.median()} where the other items have {rest.median()} {word}".rstrip())
    return ItemCheck(
        item.table,
        str(item.item),
        limits(source.accepted) if source else "",
        conversion(source.conversion) if source else "",
        item.read,
        rejected,
        None if own.total < FEW else own.median(),
        tuple(reasons),
    )


def _source(feature: Feature, item: ItemValues) -> Source | None:
    """Return the entry of the catalogue that names the item."""
    sources = feature.measurement.sources
    return next((s for s in sources if s.table == item.table and item.item in s.items), None)


def differs(own: Distribution, others: Distribution) -> bool:
    """Tell whether medians lie farther apart than the others' interquartile range, and than two parts."""
    if min(own.total, others.total) < LEAST_VALUES:
        return False
    spread = others.quantile(0.75) - others.quantile(0.25)
    return abs(own.quantile(0.5) - others.quantile(0.5)) > max(spread, LEAST_PARTS)


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: its part, its height as a share of the highest, and what it says."""

    part: int
    height: float
    title: str
    inside: bool  # the physiological range


def bars(values: Distribution) -> list[Bar]:
    """Return the bars of the parts that hold values; those of `few` have no height and say no number."""
    highest = max(int(values.counts.max()), 1)
    return [
        Bar(
            part,
            0.0 if is_few(n) else n / highest,
            f"fewer than {FEW} values" if is_few(n) else f"{_span(values, part)}: {percent(n / values.total)}",
            inside=0 < part <= values.parts,
        )
        for part, n in enumerate(values.counts.tolist())
        if n
    ]


def _span(values: Distribution, part: int) -> str:
    decimals = charted_decimals(values.feature.measurement.precision) + 1
    if part == 0:
        return f"below {plain(values.edge(1))}"
    if part > values.parts:
        return f"above {plain(values.edge(part))}"
    return f"{number(values.edge(part), decimals)} to {number(values.edge(part + 1), decimals)}"
