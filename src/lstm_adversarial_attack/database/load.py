"""All tables: what there is to do, several at once, and what came of it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import replace as changed
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import psycopg2
from psycopg2 import errors, sql

from lstm_adversarial_attack.database.files import CsvStream, Interrupted, TableFile, count_rows, find_files
from lstm_adversarial_attack.database.refusal import refused
from lstm_adversarial_attack.database.release import TABLES, TELLING, Release, release_of
from lstm_adversarial_attack.database.result import LoadResult, NotLoaded, TableLoad
from lstm_adversarial_attack.database.table import (
    Target,
    existing,
    in_the_way,
    load_table,
    refuse_what_is_in_the_way,
)
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import Reporter, StageProgress
from lstm_adversarial_attack.sources.postgres import Address, connect, parse_address, psycopg2_silenced
from lstm_adversarial_attack.sources.sql import sql_text, with_parameters

_POLL_SECONDS = 0.2
_MB = 10**6


def load_database(
    folder: Path,
    database: str,
    *,
    tables: str = "all",
    release: Release | Literal["auto"] = "auto",
    jobs: int = 2,
    replace: bool = False,
    reader_role: str | None = None,
    reporter: Reporter | None = None,
) -> LoadResult:
    """Build the tables of MIMIC-III at address ``database`` from the CSV files in ``folder``.

    Raises:
        NotLoaded: files are damaged or have the wrong number of rows; the other tables are finished.
        UserError: files are missing, or the server is not there, has no room or gives no right. Tables that are
            finished stay, and are skipped the next time.
    """
    place = parse_address(database, "--database")
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: must be >= 1")
    files = find_files(folder, chosen(tables))
    target = Target(place, _release(folder, release), replace, reader_role)
    reporter = reporter or Reporter(quiet=True)
    with reporter.stage("load") as progress, _prepared(files, target, progress):
        progress.say(f"{len(files)} tables from {folder} into schema {place.schema!r}, as the release {target.release}")
        loads = _Loads(target, progress).carry_out(files, jobs)
    result = LoadResult(target.release, tuple(sorted(loads, key=lambda load: load.table)))
    if any(load.problem is not None for load in result.tables):
        raise NotLoaded(result)
    return result


def chosen(tables: str) -> tuple[str, ...]:
    """Return the tables that ``--tables`` names.

    Raises:
        UserError: a name is not that of a table.
    """
    if tables == "all":
        return TABLES
    if tables == "pipeline":
        from lstm_adversarial_attack.sources.mimic_csv import TABLES as READ

        return tuple(READ)
    names = tuple(dict.fromkeys(name.strip().lower() for name in tables.split(",")))
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        raise UserError(f"--tables {unknown[0]!r}: no table of MIMIC-III; give all, pipeline, or names as in ICUSTAYS")
    return names


def _release(folder: Path, given: Release | Literal["auto"]) -> Release:
    if given != "auto":
        return given
    paths = {path.name.lower().partition(".csv")[0]: path for path in folder.iterdir()}
    counted = {table: count_rows(paths[table]) for table in TELLING if table in paths}
    return release_of({table: rows for table, rows in counted.items() if rows is not None})


@contextmanager
def _prepared(files: list[TableFile], target: Target, progress: StageProgress) -> Iterator[None]:
    """Make schema and role, check what is there, and keep other loads away while the block runs.

    Raises:
        UserError: the server is not there or refuses, another load is at work, or rows of something else are there.
    """
    with closing(connect(target.place)) as connection:
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                _lock(cursor, target.place)
                _make_schema(cursor, target.place)
                if target.reader_role is not None and _make_reader(cursor, target.place, target.reader_role):
                    progress.say(f"role {target.reader_role} was made without a password; an admin has to set one")
                there = {file.table: existing(cursor, target, file.table) for file in files}
        except psycopg2.Error as error:
            raise UserError(refused(error, target.place.shown)) from None
        reasons = [reason for file in files if (reason := in_the_way(there[file.table], file))]
        refuse_what_is_in_the_way(reasons, target)
        yield


def _lock(cursor: Any, place: Address) -> None:
    cursor.execute("select pg_try_advisory_lock(%s)", [zlib.crc32(f"lstm-aa {place.schema}".encode())])
    if not cursor.fetchone()[0]:
        raise UserError(f"{place.shown}: another load-database is at work on schema {place.schema!r}; wait for it")


def _make_schema(cursor: Any, place: Address) -> None:
    cursor.execute("select 1 from pg_namespace where nspname = %s", [place.schema])
    if not cursor.fetchone():  # `if not exists` would ask for the right to create it even where it is there
        cursor.execute(sql.SQL("create schema {}").format(sql.Identifier(place.schema)))


def _make_reader(cursor: Any, place: Address, role: str) -> bool:
    """Make the role if it is missing, and tell whether it was; it may look into the schema, but at no table yet."""
    cursor.execute(
        "select rolsuper or rolname in (current_user, session_user) from pg_roles where rolname = %s", [role]
    )
    found = cursor.fetchone()
    if found and found[0]:
        raise UserError(f"--reader-role {role}: is the role that loads, or a superuser; name one that only reads")
    statements = sql.SQL(with_parameters(sql_text("schema/reader_role"), str)).format(
        reader=sql.Identifier(role),
        reader_name=sql.Literal(role),
        database=sql.Identifier(cursor.connection.info.dbname),
        schema=sql.Identifier(place.schema),
    )
    try:
        cursor.execute(statements)
    except errors.InsufficientPrivilege:
        raise UserError(f"--reader-role {role}: the user may not make or change this role; ask an admin") from None
    return found is None


class _Loads:
    """Loads of tables in threads, each with a connection of its own."""

    def __init__(self, target: Target, progress: StageProgress) -> None:
        self._target = target
        self._progress = progress
        self._stopped = False
        self._lock = Lock()
        self._at_work: dict[str, tuple[CsvStream, Any]] = {}
        self._bytes_done = 0

    def carry_out(self, files: list[TableFile], jobs: int) -> list[TableLoad]:
        """Load ``files`` in their order, ``jobs`` at once; after an interrupt no table is half there."""
        self._progress.start("MB of files", sum(file.size_bytes for file in files) // _MB)
        with psycopg2_silenced(), ThreadPoolExecutor(jobs, thread_name_prefix="load") as pool:
            try:
                futures = [pool.submit(self._load, file) for file in files]
                self._watch(futures)
            except BaseException:
                self._stop()
                raise
        return [future.result() for future in futures]

    def _watch(self, futures: list[Future[TableLoad]]) -> None:
        running = set(futures)
        while running:
            finished, running = wait(running, timeout=_POLL_SECONDS)
            for future in finished:
                self._tell(future.result())
            with self._lock:
                done = self._bytes_done + sum(stream.bytes_read for stream, _ in self._at_work.values())
                names = ", ".join(self._at_work)
            self._progress.reach(done // _MB, names)

    def _tell(self, load: TableLoad) -> None:
        if load.problem:
            self._progress.say(f"{load.table}: NOT LOADED: {load.problem}")
        elif load.skipped:
            self._progress.say(f"{load.table}: {load.rows:,} rows are there already, from the same file")
        elif load.problem is None:
            self._progress.say(f"{load.table}: {load.rows:,} rows in {load.total_seconds:.1f} s")

    def _load(self, file: TableFile) -> TableLoad:
        start = time.perf_counter()
        try:
            load = self._load_apart(file)
        except Interrupted:
            return TableLoad(file.table, problem="")
        except UserError as error:
            first = self._stop()
            return TableLoad(file.table, problem=str(error) if first else "")
        finally:
            with self._lock:
                self._bytes_done += file.size_bytes
        return changed(load, total_seconds=time.perf_counter() - start)

    def _load_apart(self, file: TableFile) -> TableLoad:
        if self._stopped:
            raise Interrupted
        with closing(connect(self._target.place)) as connection, CsvStream(file.path) as stream:
            with self._lock:
                if self._stopped:
                    raise Interrupted
                self._at_work[file.table] = (stream, connection)
            try:
                return load_table(connection, stream, file, self._target, self._progress.say)
            finally:
                with self._lock:
                    del self._at_work[file.table]

    def _stop(self) -> bool:
        """Let nothing go on, and tell whether nobody had asked for that before."""
        with self._lock:
            first, self._stopped = not self._stopped, True
            for stream, connection in self._at_work.values():
                stream.stop()
                with suppress(psycopg2.Error):
                    connection.cancel()
        return first
