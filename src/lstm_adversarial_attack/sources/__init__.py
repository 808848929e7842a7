"""Where events come from.

A source answers three queries (`EventSource`); the SQL of each stands in the project's ``sql/extract`` folder
and is the same for every database. Addresses:

``csv:FOLDER``
    MIMIC-III tables as CSV or CSV.gz files, read by DuckDB.
``postgresql://[USER@]HOST[:PORT]/DATABASE[?schema=mimiciii]``
    MIMIC-III in PostgreSQL. The password comes from PGPASSWORD, a password file or a service file, never
    from the address.
``synthetic:STAYS[,SEED]``
    A synthetic cohort in the form of MIMIC-III, made on the spot.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl

from lstm_adversarial_attack.catalogue import Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import Schema

#: What `EventSource.stays` returns: `frames.STAYS` before the cohort rules, the ages above 89 still hidden.
RAW_STAYS: Schema = {
    "stay_id": pl.Int64,
    "subject_id": pl.Int64,
    "hadm_id": pl.Int64,
    "age_years": pl.Float64,
    "sex": pl.String,
    "unit": pl.String,
    "charting_system": pl.String,
    "los_hours": pl.Float64,
    "label": pl.Int8,
}

#: What `EventSource.values` returns: values in the item's own unit.
RAW_VALUES: Schema = {
    "stay_id": pl.Int64,
    "minute": pl.Int32,
    "itemid": pl.Int32,
    "value": pl.Float64,
}


class EventSource(Protocol):
    """A database of ICU stays and their events."""

    def fingerprint(self) -> str | None:
        """Return what changes when the data change, or None where that cannot be told cheaply."""

    def stays(self) -> pl.DataFrame:
        """Return every ICU stay (`RAW_STAYS`)."""

    def values(self, table: Table, *, stay_ids: list[int], item_ids: list[int], window_hours: int) -> pl.DataFrame:
        """Return the numeric values of ``table`` for the stays and items inside the window (`RAW_VALUES`)."""

    def close(self) -> None:
        """Give back connections and memory."""


def open_source(address: str, *, snapshot_id: str = "") -> EventSource:
    """Return the source at ``address``.

    ``snapshot_id`` names the state of a database, such as its load date: events read from PostgreSQL under
    the same name count as up to date, and without a name they are always read again.

    Raises:
        UserError: the address has no known form, or nothing usable is there.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "csv":
        from lstm_adversarial_attack.sources.mimic_csv import MimicCsv

        return MimicCsv(Path(rest))
    if scheme in ("postgresql", "postgres"):
        from lstm_adversarial_attack.sources.mimic_postgres import MimicPostgres

        return MimicPostgres(address, snapshot_id)
    if scheme == "synthetic":
        from lstm_adversarial_attack.sources.synthetic_source import SyntheticSource

        return SyntheticSource(rest)
    raise UserError(f"source {_shown(address)}: give csv:FOLDER, postgresql://USER@HOST/DATABASE or synthetic:STAYS")


def _shown(address: str) -> str:
    """Return an address for a message, without what may be a password."""
    return repr(address) if "@" not in address else repr(address.partition(":")[0] + ":...")
