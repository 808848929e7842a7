"""Turning items into features: names, acceptance, units, and counts of all that while values stream by."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from msgspec.structs import asdict

from lstm_adversarial_attack.artifacts.contents import ItemValues, ValueCount
from lstm_adversarial_attack.catalogue import Feature, Item, Source, Table

#: Parts into which a histogram divides the physiological range.
BINS = 40
#: Codes of `Converter.convert`'s column ``part``: not accepted, below the range, its parts, above it.
REJECTED, BELOW, ABOVE = 0, 1, BINS + 2
_PARTS = BINS + 3


class Converter:
    """The rules of one table: which item is which feature, what is accepted, and how units are converted."""

    def __init__(self, table: Table, features: tuple[Feature, ...]) -> None:
        """Take the features' sources in ``table``; no item occurs twice."""
        self._table = table
        rules = [
            (feature, source, item)
            for feature in features
            for source in feature.measurement.sources
            if source.table == table
            for item in source.items
        ]
        self._items = [(feature.name, item) for feature, _, item in rules]
        named = any(isinstance(item, str) for _, item in self._items)
        self._rules = pl.DataFrame(
            [_rule(number, feature, source, item) for number, (feature, source, item) in enumerate(rules)],
            schema={
                "itemid": pl.String if named else pl.Int32,
                "rule": pl.Int64,
                "feature": pl.Enum([feature.name for feature in features]),
                **dict.fromkeys(("add", "multiply", "gt", "ge", "lt", "le", "low", "width"), pl.Float64),
            },
        )
        self._counts = np.zeros(len(rules) * _PARTS, np.int64)

    @property
    def items(self) -> list[Item]:
        """The items that are read."""
        return [item for _, item in self._items]

    def convert(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Name, convert, accept and count a batch.

        Args:
            raw: `sources.RAW_VALUES`; items without a rule are dropped.

        Returns:
            The accepted values: stay_id, minute, feature, value in the feature's unit.
        """
        value = pl.col("value")
        within = (value > pl.col("gt")) & (value >= pl.col("ge")) & (value < pl.col("lt")) & (value <= pl.col("le"))
        converted = (value + pl.col("add")) * pl.col("multiply")
        share = (converted - pl.col("low")) / pl.col("width")
        # The upper end of the range belongs to its last part.
        part = pl.when(share == 1.0).then(BINS + 1).otherwise((share * BINS).floor().clip(-1, BINS) + 2)
        rows = (
            raw.lazy()
            .join(self._rules.lazy(), on="itemid", how="inner")
            .select(
                "stay_id",
                "minute",
                "feature",
                value=converted,
                code=pl.col("rule") * _PARTS
                + pl.when(within & value.is_finite()).then(part).otherwise(REJECTED).cast(pl.Int64),
            )
            .collect()
        )
        codes = rows["code"].to_numpy()
        self._counts += np.bincount(codes, minlength=len(self._counts))
        return rows.filter(pl.col("code") % _PARTS != REJECTED).drop("code")

    @property
    def read(self) -> int:
        """How many values have been converted so far, accepted or not."""
        return int(self._counts.sum())

    def tally(self) -> list[ItemValues]:
        """Return the counts of every item, those without a value included."""
        rows = self._counts.reshape(-1, _PARTS).tolist()
        return [
            ItemValues(feature, self._table, item, read=sum(row), accepted=sum(row[BELOW:]), histogram=row[BELOW:])
            for (feature, item), row in zip(self._items, rows, strict=True)
        ]


def _rule(number: int, feature: Feature, source: Source, item: Item) -> dict[str, object]:
    low, high = feature.measurement.physiological
    limits = {
        name: float("-inf" if name in ("gt", "ge") else "inf") if limit is None else limit
        for name, limit in asdict(source.accepted).items()
    }
    return {
        "itemid": item,
        "rule": number,
        "feature": feature.name,
        **asdict(source.conversion),
        **limits,
        "low": low,
        "width": high - low,
    }


def by_feature(items: Iterable[ItemValues], names: Iterable[str]) -> dict[str, ValueCount]:
    """Add up the counts of items to those of features."""
    counts = dict.fromkeys(names, ValueCount(0, 0))
    for item in items:
        so_far = counts[item.feature]
        counts[item.feature] = ValueCount(so_far.read + item.read, so_far.accepted + item.accepted)
    return counts
