"""One table: from its file into the database, in one transaction."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg2
from psycopg2 import sql

from lstm_adversarial_attack.database import schema
from lstm_adversarial_attack.database.files import CHUNK_BYTES, CsvStream, TableFile
from lstm_adversarial_attack.database.refusal import refused_table, stops_all
from lstm_adversarial_attack.database.release import Release, published_rows
from lstm_adversarial_attack.database.result import TableLoad
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.sources.postgres import Address


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The comment on a finished table: from which file it comes and how many rows it has."""

    lstm_aa: int
    file: str
    bytes: int
    sha256: str
    rows: int
    mtime_ns: int | None = None  # those of earlier versions lack it

    def is_of(self, file: TableFile) -> bool:
        """Tell by name and size, which is cheap, whether the table may come from ``file``."""
        return (self.file, self.bytes) == (file.path.name, file.size_bytes)

    def is_surely_of(self, file: TableFile) -> bool:
        """Tell whether the time of the last change fits as well, so that nobody needs to read ``file``."""
        return self.is_of(file) and self.mtime_ns == file.mtime_ns


@dataclass(frozen=True)
class Existing:
    """A table that is in the database already; no mark: it was made by something else."""

    mark: Mark | None
    has_rows: bool


@dataclass(frozen=True)
class Target:
    """Where tables go and what is asked of them."""

    place: Address
    release: Release
    replace: bool = False
    reader_role: str | None = None


def existing(cursor: Any, target: Target, table: str) -> Existing | None:
    """Return what is known of a table, or None where there is none."""
    cursor.execute(
        "select obj_description(c.oid, 'pg_class') from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where c.relname = %s and n.nspname = %s",
        [table, target.place.schema],
    )
    found = cursor.fetchone()
    if found is None:
        return None
    try:
        return Existing(msgspec.json.decode(found[0] or "", type=Mark), has_rows=True)
    except msgspec.DecodeError:
        name = sql.Identifier(target.place.schema, table)
        cursor.execute(sql.SQL("select exists (select from {})").format(name))
        return Existing(None, has_rows=cursor.fetchone()[0])


def in_the_way(there: Existing | None, file: TableFile) -> str | None:
    """Say what is in the way of loading ``file``: nothing, or rows of something else."""
    if there is None or not there.has_rows or (there.mark and there.mark.is_of(file)):
        return None
    if there.mark:
        return f"{file.table} comes from another file ({there.mark.file}, {there.mark.bytes:,} bytes)"
    return f"{file.table} was made by something else"


def refuse_what_is_in_the_way(reasons: list[str], target: Target) -> None:
    """Raise a `UserError` if there are reasons and nobody said that the tables may be replaced."""
    if reasons and not target.replace:
        raise UserError(
            f"{target.place.shown}: schema {target.place.schema!r} holds tables already: {', '.join(reasons)}; "
            "give another schema, or --replace to drop them and load them again"
        )


def load_table(
    connection: Any, stream: CsvStream, file: TableFile, target: Target, say: Callable[[str], None]
) -> TableLoad:
    """Load ``file`` in one transaction: after an error or a kill there is nothing of it.

    A table that comes from ``file`` already is left as it is, after a look whether it is still the same; ``say`` is
    told where that takes long.

    Raises:
        UserError: something is wrong that other tables would meet as well.
        Interrupted: the stream was stopped.
    """
    try:
        with connection, connection.cursor() as cursor:
            return _load(cursor, stream, file, target, say)
    except _WrongRows as wrong:
        return TableLoad(file.table, wrong.rows, problem=str(wrong))
    except psycopg2.Error as error:
        if stream.damage is None and not stops_all(error):
            stream.read_to_end()  # what stands in a damaged file may look like a bad row
        if stream.damage is not None:
            return TableLoad(file.table, problem=str(stream.damage))
        message = refused_table(error, file, target.place.shown)
        if stops_all(error):
            raise UserError(message) from None
        return TableLoad(file.table, problem=message)


class _WrongRows(Exception):  # noqa: N818
    def __init__(self, rows: int, why: str) -> None:
        super().__init__(why)
        self.rows = rows


def _load(cursor: Any, stream: CsvStream, file: TableFile, target: Target, say: Callable[[str], None]) -> TableLoad:
    cursor.execute("set local statement_timeout = 0")
    cursor.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(target.place.schema)))
    # The server may still be busy with the same table for somebody who was killed: wait until it has let go.
    key = zlib.crc32(f"lstm-aa {target.place.schema} {file.table}".encode())
    cursor.execute("select pg_advisory_xact_lock(%s)", [key])
    there = existing(cursor, target, file.table)
    if there and there.mark and there.mark.is_of(file) and not target.replace:
        return _kept(cursor, there.mark, stream, file, target, say)
    reason = in_the_way(there, file)
    refuse_what_is_in_the_way([reason] if reason else [], target)
    if there:
        cursor.execute(sql.SQL("drop table {}").format(sql.Identifier(file.table)))
    start = time.perf_counter()
    rows = _copy(cursor, stream, file)
    copied = time.perf_counter()
    _check_rows(cursor, rows, file, target.release)
    for statement in schema.indexes(file.table):
        cursor.execute(statement)
    cursor.execute(sql.SQL("analyze {}").format(sql.Identifier(file.table)))
    _mark(cursor, Mark(1, file.path.name, stream.bytes_read, stream.sha256, rows, file.mtime_ns), file)
    _grant(cursor, file, target)
    return TableLoad(file.table, rows, copy_seconds=copied - start, finish_seconds=time.perf_counter() - copied)


def _kept(
    cursor: Any, mark: Mark, stream: CsvStream, file: TableFile, target: Target, say: Callable[[str], None]
) -> TableLoad:
    cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(file.table)))
    rows = int(cursor.fetchone()[0])
    problem = _changed(rows, mark, stream, file, target, say)
    if problem is None:
        _grant(cursor, file, target)
        if published_rows(target.release, file.table) not in (None, rows):
            problem = _mismatch(rows, file, target.release)
    return TableLoad(file.table, rows, skipped=True, problem=problem)


def _changed(
    rows: int, mark: Mark, stream: CsvStream, file: TableFile, target: Target, say: Callable[[str], None]
) -> str | None:
    """Say what has become of a finished table of ``rows`` rows or of its file, or None where nothing has."""
    table = f"{target.place.shown}: table {file.table} of schema {target.place.schema!r}"
    remedy = "give --replace to drop the table and load it again"
    if rows != mark.rows:
        return f"{table} holds {rows:,} rows where {mark.rows:,} were loaded; somebody changed it; {remedy}"
    if mark.is_surely_of(file):
        return None
    say(f"{file.table}: {file.path.name} may have changed since it was loaded; computing its checksum")
    try:
        same = stream.checksum() == mark.sha256
    except UserError as error:
        return str(error)
    return None if same else f"{table} comes from another {file.path.name} of the same size; {remedy}"


def _copy(cursor: Any, stream: CsvStream, file: TableFile) -> int:
    cursor.execute(schema.definitions()[file.table])
    # Frozen rows of a table made in the same transaction need no vacuum later.
    statement = sql.SQL("copy {} ({}) from stdin with (format csv, header true, freeze true, encoding 'UTF8')").format(
        sql.Identifier(file.table), sql.SQL(", ").join(map(sql.Identifier, file.columns))
    )
    cursor.copy_expert(statement, stream, CHUNK_BYTES)
    return int(cursor.rowcount)


def _check_rows(cursor: Any, rows: int, file: TableFile, release: Release) -> None:
    """Compare with the published number, or where there is none, look for rows that are there twice."""
    expected = published_rows(release, file.table)
    if expected is not None:
        if rows != expected:
            raise _WrongRows(rows, _mismatch(rows, file, release))
        return
    cursor.execute("set local work_mem to '256MB'")  # sorts ten million rows without a file
    cursor.execute(sql.SQL("select count(distinct row_id) from {}").format(sql.Identifier(file.table)))
    different = cursor.fetchone()[0]
    if different != rows:
        raise _WrongRows(rows, f"{file.path}: {rows - different:,} of {rows:,} rows have a row_id that is there twice")


def _mismatch(rows: int, file: TableFile, release: Release) -> str:
    expected = published_rows(release, file.table)
    return (
        f"{file.path}: {rows:,} rows where the {release} release of MIMIC-III v1.4 has {expected:,}; get the whole "
        "file, or give --release other if it is not of that release"
    )


def _mark(cursor: Any, mark: Mark, file: TableFile) -> None:
    text = sql.Literal(msgspec.json.encode(mark).decode())
    cursor.execute(sql.SQL("comment on table {} is {}").format(sql.Identifier(file.table), text))


def _grant(cursor: Any, file: TableFile, target: Target) -> None:
    if target.reader_role is not None:
        names = (sql.Identifier(file.table), sql.Identifier(target.reader_role))
        cursor.execute(sql.SQL("grant select on {} to {}").format(*names))
