"""Where events come from.

A source answers three queries (`EventSource`); the SQL of each stands in the project's ``sql/extract`` folder
and is the same for every database. Addresses:

``csv:FOLDER``
    MIMIC-III tables as CSV or CSV.gz files, read by DuckDB.
``postgresql://[USER@]HOST[:PORT]/DATABASE[?schema=mimiciii]``
    MIMIC-III in PostgreSQL. The password comes from PGPASSWORD, a password file or a service file, never
    from the address.
``challenge2012:PATH[,PATH...]``
    Sets of the PhysioNet/CinC Challenge 2012: each a folder, .tar.gz or .zip of record files with its outcomes
    file beside it.
``synthetic:STAYS[,SEED]``
    A synthetic cohort in the form of MIMIC-III, made on the spot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

import polars as pl

from lstm_adversarial_attack.catalogue import Item, Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import Schema

#: Which values belong to a stay. ``window``: those charted in the stay from ICU admission to the window's end.
#: ``admission``: all values of the stay's hospital admission, before the window, in it and after it.
Reach = Literal["window", "admission"]

#: The tables of MIMIC-III that hold events.
MIMIC_TABLES: tuple[Table, ...] = ("chartevents", "labevents", "outputevents")

#: What `EventSource.stays` returns: `frames.STAYS` before the cohort rules, the ages above 89 still hidden, and
#: what the rules on hospital admissions look at.
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
    "hospital_los_hours": pl.Float64,
    "stay_number": pl.Int32,  # of the stays of one hospital admission, from 1 in order of time
    "charted": pl.Int8,  # 1: the admission has charted events
    "linked": pl.Int8,  # 1: the stay's admission and patient are there
}

#: What `EventSource.values` yields, in any order: values in the item's own unit.
RAW_VALUES: Schema = {
    "stay_id": pl.Int64,
    "minute": pl.Int32,  # since ICU admission, rounded down
    "itemid": pl.Int32,  # String where items have names (table challenge2012)
    "value": pl.Float64,
}


class EventSource(Protocol):
    """A database of ICU stays and their events."""

    @property
    def name(self) -> str:
        """Return the data set's name: mimic-iii, challenge-2012 or synthetic."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that `values` can read."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the events should know, such as how many rows were skipped; known after `stays`."""

    def fingerprint(self) -> str | None:
        """Return what changes when the data change, or None where that cannot be told cheaply."""

    def stays(self) -> pl.DataFrame:
        """Return every ICU stay (`RAW_STAYS`)."""

    def values(
        self, table: Table, *, stay_ids: list[int], items: list[Item], window_hours: int, reach: Reach
    ) -> Iterator[pl.DataFrame]:
        """Yield the finite numeric values of ``table`` for the stays and items, batch by batch (`RAW_VALUES`).

        Memory does not grow with the number of rows.
        """

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
    if scheme == "challenge2012":
        from lstm_adversarial_attack.sources.challenge2012 import Challenge2012

        return Challenge2012(rest)
    if scheme == "synthetic":
        from lstm_adversarial_attack.sources.synthetic_source import SyntheticSource

        return SyntheticSource(rest)
    raise UserError(
        f"source {_shown(address)}: give csv:FOLDER, postgresql://USER@HOST/DATABASE, challenge2012:PATH or "
        "synthetic:STAYS"
    )


def _shown(address: str) -> str:
    """Return an address for a message, without what may be a password."""
    return repr(address) if "@" not in address else repr(address.partition(":")[0] + ":...")
