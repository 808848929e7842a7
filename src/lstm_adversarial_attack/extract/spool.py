"""Sorting more measurements than fit in memory."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.extract.convert import Converted
from lstm_adversarial_attack.frames import Schema, sink, typed

STAYS_A_BUCKET = 2_048
_BUCKETS_AT_ONCE = 2

# A row is kept as its value and one key, in whose order the rows are sorted: from the top, the stay's place among
# all stays, the minute (shifted to be positive) and the feature's index.
_FEATURE_BITS = 10
_MINUTE_BITS = 31
_STAY_SHIFT = _MINUTE_BITS + _FEATURE_BITS
_EARLIEST_MINUTE = -(1 << (_MINUTE_BITS - 1))
_ROW = np.dtype([("key", np.int64), ("value", np.float64)])
#: Up to this largest id the places of stays are looked up in a table.
_TABLE_SIZE = 1 << 26

Int = npt.NDArray[np.int64]


class Spool:
    """Takes measurements in any order and gives them back sorted, with few buckets of stays in memory at a time.

    A bucket holds the rows of consecutive stays, in a file of a folder that the spool, as a context manager, makes
    and deletes.
    """

    def __init__(self, folder: Path, stay_ids: pl.Series, schema: Schema) -> None:
        """Take rows that belong to ``stay_ids``, in a new ``folder``, and write them as ``schema``.

        Args:
            folder: where the files are kept meanwhile.
            stay_ids: all stays that may have rows.
            schema: `frames.MEASUREMENTS`, its features in the order of their indices.
        """
        self._folder = folder
        self._schema = schema
        self._stay_ids = stay_ids.sort().to_numpy()
        self._table: Int | None = None
        if len(self._stay_ids) and self._stay_ids[-1] < _TABLE_SIZE:
            self._table = np.zeros(self._stay_ids[-1] + 1, np.int64)
            self._table[self._stay_ids] = np.arange(len(self._stay_ids))
        self._values = np.zeros(len(self._stay_ids), np.int64)
        self._first = np.full(len(self._stay_ids), np.iinfo(np.int32).max, np.int32)
        self._last = np.full(len(self._stay_ids), np.iinfo(np.int32).min, np.int32)

    def __enter__(self) -> Self:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, rows: Converted) -> None:
        """Take ``rows``."""
        stay = self._places(rows.stay_id)
        self._values += np.bincount(stay, minlength=len(self._values))
        np.minimum.at(self._first, stay, rows.minute)
        np.maximum.at(self._last, stay, rows.minute)
        packed = np.empty(len(rows), _ROW)
        minute = rows.minute.astype(np.int64) - _EARLIEST_MINUTE
        packed["key"] = (stay << _STAY_SHIFT) | (minute << _FEATURE_BITS) | rows.feature
        packed["value"] = rows.value
        bucket = (stay // STAYS_A_BUCKET).astype(np.int16)
        packed = packed[np.argsort(bucket, kind="stable")]
        ends = np.cumsum(np.bincount(bucket))
        for number in np.unique(bucket):
            start = ends[number - 1] if number else 0
            with self._file(number).open("ab") as file:
                file.write(packed[start : ends[number]].data)

    def counts(self) -> pl.DataFrame:
        """Return number and times of each stay that has rows: stay_id, values, first_minute, last_minute."""
        columns = {"values": self._values, "first_minute": self._first, "last_minute": self._last}
        return pl.DataFrame({"stay_id": self._stay_ids, **columns}).filter(pl.col("values") > 0)

    def write(self, target: Path, kept: pl.Series) -> int:
        """Write the rows of the stays in ``kept`` to a Parquet file, sorted by all columns.

        Returns:
            The number of rows.
        """
        chosen = np.isin(self._stay_ids, kept.to_numpy())
        buckets = [
            pl.defer(partial(self._bucket, number, chosen), schema=dict(self._schema))
            for number in range(-(-len(self._stay_ids) // STAYS_A_BUCKET))
        ]
        sink(pl.concat([pl.LazyFrame(schema=dict(self._schema)), *buckets]), target)
        return int(self._values[chosen].sum())

    def _file(self, bucket: int) -> Path:
        return self._folder / f"{bucket}.rows"

    def _bucket(self, number: int, chosen: npt.NDArray[np.bool_]) -> pl.DataFrame:
        """Return the rows of a bucket's stays that are ``chosen`` [stay], sorted."""
        file = self._file(number)
        packed = np.fromfile(file, _ROW) if file.exists() else np.empty(0, _ROW)
        packed = packed[chosen[packed["key"] >> _STAY_SHIFT]]
        rows = pl.DataFrame({name: np.ascontiguousarray(packed[name]) for name in _ROW.names or ()})
        rows = rows.sort("key", "value")
        key = rows["key"].to_numpy()
        feature = pl.Series((key & ((1 << _FEATURE_BITS) - 1)).astype(np.uint32))
        unpacked = {
            "stay_id": self._stay_ids[key >> _STAY_SHIFT],
            "minute": ((key >> _FEATURE_BITS) & ((1 << _MINUTE_BITS) - 1)) + _EARLIEST_MINUTE,
            "feature": feature.cat.to(self._schema["feature"]),
            "value": rows["value"],
        }
        return typed(pl.DataFrame(unpacked), self._schema)

    def _places(self, stay_ids: Int) -> Int:
        """Return the place of each id among all stays."""
        if self._table is None:
            return np.searchsorted(self._stay_ids, stay_ids)
        return self._table[stay_ids]
