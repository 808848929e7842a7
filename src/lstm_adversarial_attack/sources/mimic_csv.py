"""MIMIC-III as a folder of CSV or CSV.gz files, read by DuckDB."""

from __future__ import annotations

import csv
import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import duckdb
import polars as pl

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.catalogue import Item, Table
from lstm_adversarial_attack.errors import UserError, disk_is_full
from lstm_adversarial_attack.frames import typed
from lstm_adversarial_attack.sources import MIMIC_TABLES, RAW_STAYS, RAW_VALUES, Reach
from lstm_adversarial_attack.sources.gzip_pipe import GzipPipe
from lstm_adversarial_attack.sources.sql import sql_text, values_query, with_parameters

#: The tables that are read, and the columns of each that the queries use, with their types.
TABLES = {
    "patients": {"subject_id": "INTEGER", "gender": "VARCHAR", "dob": "TIMESTAMP"},
    "admissions": {
        "hadm_id": "INTEGER",
        "admittime": "TIMESTAMP",
        "dischtime": "TIMESTAMP",
        "hospital_expire_flag": "SMALLINT",
        "has_chartevents_data": "SMALLINT",
    },
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
        "hadm_id": "INTEGER",
        "icustay_id": "INTEGER",
        "itemid": "INTEGER",
        "charttime": "TIMESTAMP",
        "valuenum": "DOUBLE",
        "error": "SMALLINT",
    },
    "labevents": {
        "subject_id": "INTEGER",
        "hadm_id": "INTEGER",
        "itemid": "INTEGER",
        "charttime": "TIMESTAMP",
        "valuenum": "DOUBLE",
    },
    "outputevents": {
        "hadm_id": "INTEGER",
        "icustay_id": "INTEGER",
        "itemid": "INTEGER",
        "charttime": "TIMESTAMP",
        "value": "DOUBLE",
        "iserror": "SMALLINT",
    },
}
#: Read only where a feature set asks for it, so that a folder may lack it.
_OPTIONAL = ("outputevents",)
_MEMORY_LIMIT = "1GB"
_BATCH_ROWS = 1 << 20


class MimicCsv:
    """The tables of one folder; file names and headers in upper or lower case."""

    name = "mimic-iii"
    tables = MIMIC_TABLES
    notes = ()

    def __init__(self, folder: Path) -> None:
        """Find and check the files of every table.

        Raises:
            UserError: the folder, a table's file or a column is missing, or a file cannot be read.
        """
        if not folder.is_dir():
            raise UserError(f"source csv:{folder}: no such folder; give the folder of the MIMIC-III CSV files")
        self._folder = folder
        self._files = {table: _find(folder, table) for table in TABLES if table not in _OPTIONAL}
        self._files |= {table: _find(folder, table) for table in _OPTIONAL if _candidates(folder, table)}
        self._columns = {table: _columns(table, file) for table, file in self._files.items()}
        limits = {"memory_limit": _MEMORY_LIMIT, "temp_directory": tempfile.gettempdir()}
        self._database = duckdb.connect(config={**limits, "preserve_insertion_order": False})
        self._registered = False

    def close(self) -> None:
        """Close the database in memory."""
        self._database.close()

    def fingerprint(self) -> str:
        """Return a digest of names, sizes and modification times of the files."""
        stats = {f.name: f.stat() for f in self._files.values()}
        return digest_of({name: [s.st_size, s.st_mtime_ns] for name, s in stats.items()})

    def stays(self) -> pl.DataFrame:
        """Return every ICU stay (`sources.RAW_STAYS`)."""
        self._register()
        query = with_parameters(sql_text("extract/stays"), str)
        batches = [typed(batch, RAW_STAYS) for batch in self._read(query, [])]
        return pl.concat([pl.DataFrame(schema=RAW_STAYS), *batches])

    def values(
        self, table: Table, *, stay_ids: list[int], items: list[Item], window_hours: int, reach: Reach
    ) -> Iterator[pl.DataFrame]:
        """Yield the numeric values of ``table`` (`sources.RAW_VALUES`); see `sources.EventSource`."""
        if table not in self._files:
            _find(self._folder, table)
        self._register()
        text, parameters = values_query(table, stay_ids=stay_ids, items=items, window_hours=window_hours, reach=reach)
        query = with_parameters(text, lambda parameter: f"${parameter}")
        for batch in self._read(re.sub(rf"\b{table} e\b", f"{{{table}}} e", query), [table], parameters):
            yield typed(batch, RAW_VALUES)

    def _register(self) -> None:
        """Read the small tables that all queries join into the database."""
        for table in () if self._registered else ("patients", "admissions", "icustays"):
            columns = ", ".join(f"{name} {kind}" for name, kind in TABLES[table].items())
            self._database.execute(f"create or replace table {table} ({columns})")
            for rows in self._read(f"select {', '.join(TABLES[table])} from {{{table}}}", [table]):
                self._database.register("rows", rows.to_arrow())
                self._database.execute(f"insert into {table} from rows")
                self._database.unregister("rows")
        self._registered = True

    def _read(
        self, query: str, tables: list[str], parameters: dict[str, object] | None = None
    ) -> Iterator[pl.DataFrame]:
        """Run ``query``, in which ``{table}`` stands for a table's file, and yield its rows in batches."""
        with ExitStack() as stack:
            pipes = {
                table: stack.enter_context(GzipPipe(self._files[table]))
                for table in tables
                if self._files[table].name.lower().endswith(".gz")
            }
            files = {t: _read_csv(self._columns[t], pipes[t].path if t in pipes else self._files[t]) for t in tables}
            connection = stack.enter_context(closing(self._database.cursor()))
            try:
                result = connection.sql(query.format(**files), params=parameters or {})
                for batch in result.to_arrow_reader(_BATCH_ROWS):
                    frame = pl.from_arrow(batch)
                    assert isinstance(frame, pl.DataFrame)
                    yield frame
            except duckdb.Error as error:
                if disk_is_full(error):
                    raise
                self._refuse_damage(pipes)
                raise UserError(self._explained(error, tables)) from None
            self._refuse_damage(pipes)

    def _refuse_damage(self, pipes: dict[str, GzipPipe]) -> None:
        for table, pipe in pipes.items():
            damage = pipe.damage()
            if damage is not None:
                raise UserError(
                    f"{self._files[table]}: not a whole .gz file (truncated or damaged); download it again"
                ) from damage

    def _explained(self, error: duckdb.Error, tables: list[str]) -> str:
        """Say what was wrong with which file; never the offending row, which is a patient's."""
        text = str(error)
        where = " and ".join(str(self._files[table]) for table in tables) or "the stays"
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


def _candidates(folder: Path, table: str) -> list[Path]:
    names = {f"{table}.csv", f"{table}.csv.gz"}
    try:
        return sorted(f for f in folder.iterdir() if f.name.lower() in names)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from error


def _find(folder: Path, table: str) -> Path:
    found = _candidates(folder, table)
    if not found:
        raise UserError(f"{folder}: no file for table {table.upper()}; it needs {table.upper()}.csv or .csv.gz")
    if len(found) > 1:
        listed = " and ".join(f.name for f in found)
        raise UserError(f"{folder}: {listed} are the same table twice; remove one")
    return found[0]


def _columns(table: str, file: Path) -> dict[str, str]:
    """Return the columns of ``file`` with their types, so that no type is guessed from a sample."""
    header = _header(file)
    wanted = TABLES[table]
    missing = [column for column in wanted if column not in (name.lower() for name in header)]
    if missing:
        raise UserError(f"{file}: no column {', '.join(missing)}; is it the {table.upper()} table of MIMIC-III?")
    return {name: wanted.get(name.lower(), "VARCHAR") for name in header}


def _read_csv(columns: dict[str, str], file: str | Path) -> str:
    types = ", ".join(f"{_quoted(name)}: '{kind}'" for name, kind in columns.items())
    return (
        f"read_csv({_quoted(file)}, header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
        f"columns = {{{types}}})"
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


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
