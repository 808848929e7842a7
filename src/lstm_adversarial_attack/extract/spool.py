"""Sorting more measurements than fit in memory."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl

from lstm_adversarial_attack.frames import Schema, sink, typed

STAYS_A_BUCKET = 2_048
_PENDING_ROWS = 2_000_000
_COUNTS: Schema = {"stay_id": pl.Int64, "values": pl.UInt32, "first_minute": pl.Int32, "last_minute": pl.Int32}

# A row is kept as its value and one key, in whose order the rows are sorted: from the top, the stay's place among
# all stays, the minute (shifted to be positive) and the feature's code.
_FEATURE_BITS = 10
_MINUTE_BITS = 31
_EARLIEST_MINUTE = -(1 << (_MINUTE_BITS - 1))
_STAY = pl.col("key") // (1 << (_MINUTE_BITS + _FEATURE_BITS))
_MINUTE = pl.col("key") // (1 << _FEATURE_BITS) % (1 << _MINUTE_BITS) + _EARLIEST_MINUTE
_FEATURE = pl.col("key") % (1 << _FEATURE_BITS)


class Spool:
    """Takes measurements in any order and gives them back sorted, with one bucket of stays in memory at a time.

    A bucket holds the rows of consecutive stays, in files of a folder that the spool, as a context manager, makes
    and deletes.
    """

    def __init__(self, folder: Path, stay_ids: pl.Series, schema: Schema) -> None:
        """Take rows of ``schema`` (`frames.MEASUREMENTS`) that belong to ``stay_ids``, in a new ``folder``."""
        self._folder = folder
        self._schema = schema
        self._stay_ids = stay_ids.sort()
        self._pending: list[pl.DataFrame] = []
        self._flushes = 0
        self._counts = pl.DataFrame(schema=_COUNTS)

    def __enter__(self) -> Self:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, rows: pl.DataFrame) -> None:
        """Take ``rows``."""
        self._pending.append(self._packed(rows))
        if sum(frame.height for frame in self._pending) >= _PENDING_ROWS:
            self._flush()

    def counts(self) -> pl.DataFrame:
        """Return number and times of each stay that has rows: stay_id, values, first_minute, last_minute."""
        self._flush()
        return self._counts

    def write(self, target: Path, kept: pl.Series) -> int:
        """Write the rows of the stays in ``kept`` to a Parquet file, sorted by all columns.

        Returns:
            The number of rows.
        """
        self._flush()
        chosen = self._stay_ids.is_in(kept.implode())
        total = 0
        sorted_files = []
        for number in range(-(-len(self._stay_ids) // STAYS_A_BUCKET)):
            parts = sorted(self._folder.glob(f"{number:05}-*.arrow"))
            packed = pl.concat([_NO_ROWS, *(pl.read_ipc(part) for part in parts)])
            rows = self._unpacked(packed.filter(chosen.gather(packed.select(_STAY).to_series())).sort("key", "value"))
            total += rows.height
            sorted_files.append(self._folder / f"sorted-{number:05}.arrow")
            _write(rows, sorted_files[-1])
            for part in parts:
                part.unlink()
        sink(pl.scan_ipc(sorted_files), target)
        return total

    def _packed(self, rows: pl.DataFrame) -> pl.DataFrame:
        stay = self._stay_ids.search_sorted(rows["stay_id"]).cast(pl.Int64)
        minute = pl.col("minute").cast(pl.Int64) - _EARLIEST_MINUTE
        feature = pl.col("feature").to_physical().cast(pl.Int64)
        key = (stay * (1 << _MINUTE_BITS) + minute) * (1 << _FEATURE_BITS) + feature
        return rows.select(key=key, value="value")

    def _unpacked(self, packed: pl.DataFrame) -> pl.DataFrame:
        names = self._schema["feature"]
        assert isinstance(names, pl.Enum)
        stay_ids = self._stay_ids.gather(packed.select(_STAY).to_series())
        features = names.categories.gather(packed.select(_FEATURE).to_series()).cast(names)
        rows = packed.select(stay_id=stay_ids, minute=_MINUTE, feature=features, value="value")
        return typed(rows, self._schema)

    def _flush(self) -> None:
        """Write what is pending, a file for each bucket that has some."""
        if not self._pending:
            return
        rows = pl.concat(self._pending)
        self._pending.clear()
        self._count(rows)
        bucket = (_STAY // STAYS_A_BUCKET).cast(pl.Int32).alias("bucket")
        for (number,), part in rows.with_columns(bucket).partition_by("bucket", as_dict=True).items():
            _write(part.drop("bucket"), self._folder / f"{number:05}-{self._flushes:05}.arrow")
        self._flushes += 1

    def _count(self, rows: pl.DataFrame) -> None:
        minutes = rows.select(stay=_STAY, minute=_MINUTE).group_by("stay")
        counted = minutes.agg(values=pl.len(), first_minute=pl.min("minute"), last_minute=pl.max("minute"))
        counted = counted.with_columns(stay_id=self._stay_ids.gather(counted["stay"]))
        self._counts = (
            pl.concat([self._counts, typed(counted, _COUNTS)])
            .group_by("stay_id")
            .agg(pl.sum("values"), pl.min("first_minute"), pl.max("last_minute"))
        )


_NO_ROWS = pl.DataFrame(schema={"key": pl.Int64, "value": pl.Float64})


def _write(rows: pl.DataFrame, file: Path) -> None:
    encoded = BytesIO()  # not straight to the file: of a full disk Polars says only "transport error"
    rows.write_ipc(encoded)
    file.write_bytes(encoded.getbuffer())
