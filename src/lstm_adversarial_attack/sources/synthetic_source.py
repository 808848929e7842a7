"""A synthetic cohort as a source: generated when it is first read, gone when it is closed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from lstm_adversarial_attack import __version__
from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.catalogue import Item, Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.sources import MIMIC_TABLES, Reach
from lstm_adversarial_attack.sources.mimic_csv import MimicCsv
from lstm_adversarial_attack.sources.synthetic import synthesize


class SyntheticSource:
    """``synthetic:STAYS[,SEED]``: the tables that `synthesize` writes, in a temporary folder."""

    name = "synthetic"
    tables = MIMIC_TABLES
    notes = ()

    def __init__(self, address: str) -> None:
        """Parse ``STAYS[,SEED]``.

        Raises:
            UserError: not whole numbers of stays and seed.
        """
        stays, _, seed = address.partition(",")
        if not stays.isdecimal() or not (seed or "0").isdecimal() or int(stays) < 1:
            raise UserError(
                f"source synthetic:{address}: give synthetic:STAYS or synthetic:STAYS,SEED, such as synthetic:5000,0"
            )
        self._stays, self._seed = int(stays), int(seed or "0")
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._opened: MimicCsv | None = None

    def fingerprint(self) -> str:
        """Return a digest of stays, seed and the package's version."""
        return digest_of([self._stays, self._seed, __version__])

    def stays(self) -> pl.DataFrame:
        """Return every ICU stay (`sources.RAW_STAYS`)."""
        return self._tables().stays()

    def values(
        self, table: Table, *, stay_ids: list[int], items: list[Item], window_hours: int, reach: Reach
    ) -> Iterator[pl.DataFrame]:
        """Yield the numeric values of ``table`` (`sources.RAW_VALUES`); see `sources.EventSource`."""
        return self._tables().values(table, stay_ids=stay_ids, items=items, window_hours=window_hours, reach=reach)

    def close(self) -> None:
        """Delete the tables."""
        if self._opened is not None:
            self._opened.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _tables(self) -> MimicCsv:
        if self._opened is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lstm-aa-synthetic-")
            try:
                synthesize(self._stays, self._seed, Path(self._folder.name))
            except ValueError as error:
                raise UserError(f"source synthetic:{self._stays}: {error}") from error
            self._opened = MimicCsv(Path(self._folder.name))
        return self._opened
