"""Chart rows as numbers, and the table of text that they become.

A block has about a million chart rows. They are drawn, put in order and only then turned into text, column by
column: what is the same for an item or a nursing round is formatted once for each of those.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from .cohort import BoolArray, FloatArray, IntArray
from .extended_items import ALL_CHART_ITEMS, NOTE_ITEMS
from .items import ChartItem, NoteItem


def _texts_of(item: ChartItem | NoteItem) -> tuple[str, ...]:
    return item.reading.texts if isinstance(item, ChartItem) else item.texts


#: Every item of the chart, ordered by id: its number in `Rows.item`.
ITEMS: tuple[ChartItem | NoteItem, ...] = tuple(sorted((*ALL_CHART_ITEMS, *NOTE_ITEMS), key=lambda item: item.item_id))
NUMBER_OF_ITEM = {item.item_id: number for number, item in enumerate(ITEMS)}
#: The texts of all items, one item after another: `Rows.text` counts in them.
TEXTS = tuple(text for item in ITEMS for text in _texts_of(item))
FIRST_TEXT = dict(
    zip(NUMBER_OF_ITEM, np.cumsum([0, *(len(_texts_of(item)) for item in ITEMS)]).tolist()[:-1], strict=True)
)
AS_NUMBER = -1  # in `Rows.text`: VALUE is the number itself


@dataclass(frozen=True)
class Rows:
    """Rows of CHARTEVENTS, each field of shape [row].

    `round` counts the nursing rounds, `item` the entries of `ITEMS`; `number` is VALUENUM (NaN: NULL), and `text` the
    place of VALUE in `TEXTS`. `empty` rows have neither; `error` and `warning` are columns of MetaVision.
    """

    round: IntArray
    item: IntArray
    number: FloatArray
    text: IntArray
    empty: BoolArray
    error: BoolArray
    warning: BoolArray

    @classmethod
    def joined(cls, parts: Sequence["Rows"]) -> "Rows":
        """All rows of all parts, one part after another."""
        return cls(*(np.concatenate(fields) for fields in zip(*(vars(part).values() for part in parts), strict=True)))

    def order(self) -> IntArray:
        """The places of the rows in the order of rounds and item ids; no round has an item twice."""
        # Stable for speed: panels come in order, and runs are what it merges.
        return np.argsort(self.round * len(ITEMS) + self.item, kind="stable")

    def taken(self, order: IntArray) -> "Rows":
        """The rows at these places."""
        return Rows(*(field[order] for field in vars(self).values()))


def values_of(rows: Rows) -> list[pl.Series]:
    """ITEMID and the columns of `rows` that say what was charted."""
    carevue = np.array([item.system == "carevue" for item in ITEMS])[rows.item]
    number = pl.Series(np.where(rows.empty, np.nan, rows.number), nan_to_null=True)
    number = number.cast(pl.String).str.strip_suffix(".0")
    # One place past the texts is NULL.
    text = pl.Series([*TEXTS, None]).gather(np.where(rows.empty | (rows.text == AS_NUMBER), len(TEXTS), rows.text))
    as_number = pl.Series(rows.text == AS_NUMBER)
    stopped = pl.Series(("NotStopd", "D/C'd", None))
    return [
        pl.Series("ITEMID", np.array([item.item_id for item in ITEMS])[rows.item]),
        pl.select(pl.when(as_number).then(number).otherwise(text).alias("VALUE")).to_series(),
        number.alias("VALUENUM"),
        pl.Series([item.uom for item in ITEMS], dtype=pl.String).gather(rows.item).alias("VALUEUOM"),
        _flag(rows.warning, carevue).alias("WARNING"),
        _flag(rows.error, carevue).alias("ERROR"),
        pl.Series([item.result_status for item in ITEMS], dtype=pl.String).gather(rows.item).alias("RESULTSTATUS"),
        stopped.gather(np.where(carevue, rows.empty, 2)).alias("STOPPED"),
    ]


def _flag(marked: BoolArray, null: BoolArray) -> pl.Series:
    """1 where marked, else 0; NULL where `null`."""
    return pl.Series((0, 1, None)).gather(np.where(null, 2, marked))
