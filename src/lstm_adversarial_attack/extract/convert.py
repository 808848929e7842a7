"""Turning items into features: names, acceptance, units, and counts of all that while values stream by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts.contents import ItemValues, ValueCount
from lstm_adversarial_attack.catalogue import Feature, Item, Limits, Table

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

#: Parts into which a histogram divides the physiological range.
BINS = 40
#: Codes of the place of a value: not accepted, below the range, its parts, above it.
_REJECTED, _BELOW, _FIRST, _ABOVE = 0, 1, 2, BINS + 2
_PLACES = BINS + 3


@dataclass(frozen=True)
class Converted:
    """Accepted values, a row each: stay, minute since ICU admission, feature as an index, value in its unit."""

    stay_id: Int
    minute: npt.NDArray[np.int32]
    feature: Int
    value: Float

    def __len__(self) -> int:
        return len(self.value)


class Converter:
    """The rules of one table: which item is which feature, what is accepted, and how units are converted."""

    def __init__(self, table: Table, features: tuple[Feature, ...]) -> None:
        """Take the features' sources in ``table``; no item occurs twice."""
        self._table = table
        rules = [
            (index, feature, source, item)
            for index, feature in enumerate(features)
            for source in feature.measurement.sources
            if source.table == table
            for item in source.items
        ]
        self._items: list[tuple[str, Item]] = [(feature.name, item) for _, feature, _, item in rules]
        self._feature = np.array([index for index, *_ in rules], np.int64)
        bounds = [_closed(source.accepted) for _, _, source, _ in rules]
        self._least, self._most = np.array(bounds, np.float64).reshape(-1, 2).T
        self._add = np.array([source.conversion.add for _, _, source, _ in rules])
        self._multiply = np.array([source.conversion.multiply for _, _, source, _ in rules])
        ranges = [feature.measurement.physiological for _, feature, _, _ in rules]
        self._low, self._high = np.array(ranges, np.float64).reshape(-1, 2).T
        self._parts_a_unit = BINS / (self._high - self._low)
        numbers = [item for _, item in self._items if isinstance(item, int)]
        self._rule_of_item = np.full(max(numbers, default=0) + 2, -1)  # both ends hold no rule
        self._rule_of_item[numbers] = np.arange(len(numbers))
        self._counts = np.zeros(len(rules) * _PLACES, np.int64)

    @property
    def items(self) -> list[Item]:
        """The items that are read."""
        return [item for _, item in self._items]

    def convert(self, raw: pl.DataFrame) -> Converted:
        """Name, convert, accept and count a batch.

        Args:
            raw: `sources.RAW_VALUES`; items without a rule are dropped.
        """
        rule = self._rules_of(raw["itemid"])
        known = rule >= 0
        if not known.all():
            raw, rule = raw.filter(pl.Series(known)), rule[known]
        value = raw["value"].to_numpy()
        accepted = (value >= self._least[rule]) & (value <= self._most[rule])  # not so for NaN
        self._counts += np.bincount(rule[~accepted] * _PLACES + _REJECTED, minlength=len(self._counts))
        chosen = np.flatnonzero(accepted)
        rule, value = rule[chosen], value[chosen]
        value = (value + self._add[rule]) * self._multiply[rule]
        self._counts += np.bincount(rule * _PLACES + self._place(value, rule), minlength=len(self._counts))
        stay_id, minute = raw["stay_id"].to_numpy(), raw["minute"].to_numpy()
        return Converted(stay_id[chosen], minute[chosen], self._feature[rule], value)

    def _rules_of(self, items: pl.Series) -> Int:
        """Return the index of each item's rule, -1 where there is none."""
        if items.dtype == pl.String:
            places = {item: index for index, (_, item) in enumerate(self._items)}
            return items.replace_strict(places, default=-1, return_dtype=pl.Int64).to_numpy()
        rule: Int = self._rule_of_item[np.clip(items.to_numpy(), -1, len(self._rule_of_item) - 1)]
        return rule

    def _place(self, value: Float, rule: Int) -> Int:
        """Return where in the physiological range a value lies, whose upper end belongs to its last part."""
        part = (value - self._low[rule]) * self._parts_a_unit[rule]
        np.clip(part, -1, BINS, out=part)
        part[value == self._high[rule]] = BINS - 1
        place: Int = np.floor(part, out=part).astype(np.int64) + _FIRST
        return place

    @property
    def read(self) -> int:
        """How many values have been converted so far, accepted or not."""
        return int(self._counts.sum())

    def tally(self) -> list[ItemValues]:
        """Return the counts of every item, those without a value included."""
        rows = self._counts.reshape(-1, _PLACES).tolist()
        return [
            ItemValues(feature, self._table, item, read=sum(row), accepted=sum(row[_BELOW:]), histogram=row[_BELOW:])
            for (feature, item), row in zip(self._items, rows, strict=True)
        ]


def _closed(limits: Limits) -> tuple[float, float]:
    """Return the least and the largest finite number inside the limits."""
    largest = float(np.finfo(np.float64).max)
    least = [-largest, *(() if limits.ge is None else [limits.ge])]
    most = [largest, *(() if limits.le is None else [limits.le])]
    if limits.gt is not None:
        least.append(float(np.nextafter(limits.gt, np.inf)))
    if limits.lt is not None:
        most.append(float(np.nextafter(limits.lt, -np.inf)))
    return max(least), min(most)


def by_feature(items: Iterable[ItemValues], names: Iterable[str]) -> dict[str, ValueCount]:
    """Add up the counts of items to those of features."""
    counts = dict.fromkeys(names, ValueCount(0, 0))
    for item in items:
        so_far = counts[item.feature]
        counts[item.feature] = ValueCount(so_far.read + item.read, so_far.accepted + item.accepted)
    return counts
