"""MIMIC-III as a folder of CSV or CSV.gz files, read by DuckDB."""

from __future__ import annotations

import csv
import gzip
import re
import tempfile
import zlib
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.catalogue import Table
from lstm_adversarial_attack.errors import UserError, disk_is_full
from lstm_adversarial_attack.frames import typed
from lstm_adversarial_attack.sources import RAW_STAYS, RAW_VALUES
from lstm_adversarial_attack.sources.sql import sql_text, with_parameters

#: The tables that are read, and the columns of each that the queries use, with their types.
TABLES = {
    "patients": {"subject_id": "INTEGER", "gender": "VARCHAR", "dob": "TIMESTAMP"},
    "admissions": {"hadm_id": "INTEGER", "hospital_expire_flag": "SMALLINT"},
    "icustays": {
        "subject_id": "INTEGER",
        "hadm_id": "INTEGER",
        "icustay_id": "INTEGER",
        "dbsource": "VARCHAR",
        "first_careunit": "VARCHAR",
        "intime": "TIMESTAMP",
        "los": "DOUBLE",
    },
    "chartevents": {
        "icustay_id": "INTEGER",
        "itemid": "INTEGER",
        "charttime": "TIMESTAMP",
        "valuenum": "DOUBLE",
        "error": "SMALLINT",
    },
    "labevents": {
        "subject_id": "INTEGER",
        "itemid": "INTEGER",
        "charttime": "TIMESTAMP",
        "valuenum": "DOUBLE",
    },
}


class MimicCsv:
    """The tables of one folder; file names and headers in upper or lower case."""

    def __init__(self, folder: Path) -> None:
        """Find and check the files of every table.

        Raises:
            UserError: the folder, a table's file or a column is missing, or a file cannot be read.
        """
        if not folder.is_dir():
            raise UserError(f"source csv:{folder}: no such folder; give the folder of the MIMIC-III CSV files")
        self._files = {table: _find(folder, table) for table in TABLES}
        views = [_view(table, file) for table, file in self._files.items()]
        self._database = duckdb.connect()
        for statement in ("create schema mimiciii", "use mimiciii", *views):
            self._database.execute(statement)

    def close(self) -> None:
        """Close the database in memory."""
        self._database.close()

    def fingerprint(self) -> str:
        """Return a digest of names, sizes and modification times of the files."""
        stats = {f.name: f.stat() for f in self._files.values()}
        return digest_of({name: [s.st_size, s.st_mtime_ns] for name, s in stats.items()})

    def stays(self) -> pl.DataFrame:
        """Return every ICU stay (`sources.RAW_STAYS`)."""
        return typed(self._query("stays", {}), RAW_STAYS)

    def values(self, table: Table, *, stay_ids: list[int], item_ids: list[int], window_hours: int) -> pl.DataFrame:
        """Return the numeric values of ``table`` inside the window (`sources.RAW_VALUES`)."""
        parameters = {"stay_ids": stay_ids, "item_ids": item_ids, "window_hours": window_hours}
        return typed(self._query(table, parameters), RAW_VALUES)

    def _query(self, name: str, parameters: dict[str, Any]) -> pl.DataFrame:
        """Run a query to a Parquet file, which DuckDB streams, and read that."""
        query = with_parameters(sql_text(f"extract/{name}"), lambda parameter: f"${parameter}")
        with tempfile.TemporaryDirectory(prefix="lstm-aa-") as folder:
            target = Path(folder) / "rows.parquet"
            try:
                self._database.execute(f"copy ({query}) to {_quoted(target)} (format parquet)", parameters)
            except duckdb.Error as error:
                if disk_is_full(error):
                    raise
                raise UserError(self._explained(error, name)) from None
            return pl.read_parquet(target)

    def _explained(self, error: duckdb.Error, query: str) -> str:
        """Say what was wrong with which file; never the offending row, which is a patient's."""
        text = str(error)
        file = next((f for f in self._files.values() if str(f) in text), None)
        if file is None and "GZIP" in text:
            file = next((f for f in self._files.values() if not _is_whole(f)), None)
        where = str(file) if file else f"tables of the query {query}.sql"
        if "GZIP" in text:
            return f"{where}: not a whole .gz file (truncated or damaged); download it again"
        line = re.search(r"Line: (\d+)", text)
        column = re.search(r'converting column "([^"]+)"', text)
        found = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
        reason = "the row cannot be read"
        if column:
            reason = f"column {column.group(1)} holds something of the wrong type"
        elif found:
            reason = f"{found.group(2)} columns where the header has {found.group(1)}"
        at = f": line {line.group(1)}" if line else ""
        return f"{where}{at}: {reason}; the file is damaged or not a MIMIC-III table"


def _find(folder: Path, table: str) -> Path:
    names = {f"{table}.csv", f"{table}.csv.gz"}
    try:
        found = sorted(f for f in folder.iterdir() if f.name.lower() in names)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    if not found:
        raise UserError(f"{folder}: no file for table {table.upper()}; it needs {table.upper()}.csv or .csv.gz")
    if len(found) > 1:
        listed = " and ".join(f.name for f in found)
        raise UserError(f"{folder}: {listed} are the same table twice; remove one")
    return found[0]


def _view(table: str, file: Path) -> str:
    """Return the DDL of a view on ``file`` with typed columns, so that no type is guessed from a sample."""
    header = _header(file)
    wanted = TABLES[table]
    missing = [column for column in wanted if column not in (name.lower() for name in header)]
    if missing:
        raise UserError(f"{file}: no column {', '.join(missing)}; is it the {table.upper()} table of MIMIC-III?")
    types = ", ".join(f"{_quoted(name)}: '{wanted.get(name.lower(), 'VARCHAR')}'" for name in header)
    return (
        f"create view {table} as select {', '.join(wanted)} from read_csv({_quoted(file)}, header = true, "
        f"auto_detect = false, delim = ',', quote = '\"', escape = '\"', columns = {{{types}}})"
    )


def _header(file: Path) -> list[str]:
    try:
        opener = gzip.open if file.name.lower().endswith(".gz") else open
        with opener(file, "rt") as stream:
            return next(csv.reader(stream), [])
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{file}: not a whole .gz file (truncated or damaged); download it again") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read ({error})") from error


def _is_whole(file: Path) -> bool:
    """Read a .gz file through, and tell whether it could be; other files count as whole."""
    if not file.name.lower().endswith(".gz"):
        return True
    try:
        with gzip.open(file) as stream:
            while stream.read(1 << 20):
                pass
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
    return True


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
