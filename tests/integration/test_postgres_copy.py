"""Binary COPY in batches: the rows, and what happens when either end gives up."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import psycopg2
import pytest

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.sources import postgres_copy
from lstm_adversarial_attack.sources.mimic_postgres import MimicPostgres
from lstm_adversarial_attack.sources.postgres import connect, parse_address, psycopg2_silenced
from lstm_adversarial_attack.sources.postgres_copy import UnexpectedRowError, copied_rows
from postgres_server import READER, Server

pytestmark = pytest.mark.postgres

COLUMNS: dict[str, np.dtype[Any]] = {"a": np.dtype(">i4"), "b": np.dtype(">f8")}
MANY = "select n::integer, n::float8 / 4 from generate_series(1, {}) n"


@pytest.fixture
def cursor(empty_postgres: Server) -> Iterator[Any]:
    with closing(empty_postgres.as_admin("postgres")) as connection, connection.cursor() as cursor:
        yield cursor


def no_thread_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "copy"]


@pytest.mark.parametrize("rows", [0, 1, 2, 999, 100_000])
@pytest.mark.parametrize("batch_bytes", [1, 30, 4096, 1 << 24])
def test_rows_are_those_of_the_query_wherever_a_batch_ends(cursor: Any, rows: int, batch_bytes: int) -> None:
    if rows * 26 > batch_bytes * 5_000:
        rows = 999
    with mock.patch.object(postgres_copy, "_BATCH_BYTES", batch_bytes):
        batches = [batch.copy() for batch in copied_rows(cursor, MANY.format(rows), COLUMNS)]

    found = np.concatenate(batches) if batches else np.empty(0, [*COLUMNS.items()])
    assert found["a"].tolist() == list(range(1, rows + 1))
    assert found["b"].tolist() == [n / 4 for n in range(1, rows + 1)]
    assert no_thread_is_left()


@pytest.mark.parametrize(
    "query",
    [
        "select 1, null::float8",
        "select 1, 2.5::float4",
        "select 1::bigint, 2.5::float8",
        "select 1",
        "select 1, 2.5, 3",
    ],
)
def test_row_of_other_columns(cursor: Any, query: str) -> None:
    with pytest.raises(UnexpectedRowError):
        list(copied_rows(cursor, query, COLUMNS))
    assert no_thread_is_left()


def test_reader_that_stops_early(cursor: Any) -> None:
    with mock.patch.object(postgres_copy, "_BATCH_BYTES", 4096):
        rows = copied_rows(cursor, MANY.format(3_000_000), COLUMNS)
        assert next(rows)["a"][0] == 1
        rows.close()  # type: ignore[attr-defined]
    assert no_thread_is_left()


def test_error_in_the_middle(cursor: Any) -> None:
    query = "select n::integer, 1.0::float8 / (50000 - n) from generate_series(1, 100000) n"
    with mock.patch.object(postgres_copy, "_BATCH_BYTES", 4096), pytest.raises(psycopg2.errors.DivisionByZero):
        list(copied_rows(cursor, query, COLUMNS))
    assert no_thread_is_left()


def test_connection_that_breaks_in_the_middle(cursor: Any, empty_postgres: Server) -> None:
    with mock.patch.object(postgres_copy, "_BATCH_BYTES", 4096):
        rows = copied_rows(cursor, MANY.format(5_000_000), COLUMNS)
        next(rows)
        with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as killer:
            killer.execute("select pg_terminate_backend(%s)", [cursor.connection.info.backend_pid])
        with pytest.raises(psycopg2.DatabaseError):
            list(rows)
    assert no_thread_is_left()


# --- interrupts -------------------------------------------------------------------------------------------------

#: Longer than the time limit of a test.
FOREVER = 3600


def wait_for(server: Server, query: str, *parameters: Any) -> Any:
    """Wait until ``query`` finds a row, and return its first column."""
    deadline = time.monotonic() + 60
    with closing(server.as_admin("postgres")) as admin, admin.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(query, parameters)
            if found := cursor.fetchone():
                return found[0]
    raise TimeoutError(query)


ASLEEP = "select pid from pg_stat_activity where pid = %s and state = 'active' and wait_event = 'PgSleep'"
AT_REST = "select pid from pg_stat_activity where pid = %s and state <> 'active'"


def test_closing_the_rows_while_the_query_sleeps(cursor: Any, empty_postgres: Server) -> None:
    pid = cursor.connection.info.backend_pid
    last = f"(select 1.0::float8 from pg_sleep({FOREVER}))"
    query = f"select n::integer, case when n < 3000 then 1.0::float8 else {last} end from generate_series(1, 3000) n"
    with mock.patch.object(postgres_copy, "_BATCH_BYTES", 4096):
        rows = copied_rows(cursor, query, COLUMNS)
        next(rows)
        for _ in range(5):
            next(rows)
        wait_for(empty_postgres, ASLEEP, pid)
        rows.close()  # type: ignore[attr-defined]

    assert no_thread_is_left()
    assert wait_for(empty_postgres, AT_REST, pid) == pid
    cursor.execute("select 1")
    assert cursor.fetchone() == (1,), "the connection is good for more"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have Ctrl-C heard, which a shell's background jobs are started deaf to."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_while_the_query_sleeps(cursor: Any, empty_postgres: Server) -> None:
    pid = cursor.connection.info.backend_pid
    assert pl.__version__, "polars, whose handler of the signal lets a wait without end go on, is imported"
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        try:
            wait_for(empty_postgres, ASLEEP, pid)
        finally:  # else the test would wait for ever
            signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        list(copied_rows(cursor, f"select 1, 2.0::float8 from pg_sleep({FOREVER})", COLUMNS))
    interrupter.join()

    assert no_thread_is_left()
    assert wait_for(empty_postgres, AT_REST, pid) == pid


# --- a source that fails in the middle --------------------------------------------------------------------------

SLOW_SCHEMA = "slow"
TABLES = ("patients", "admissions", "icustays", "chartevents", "labevents", "outputevents")
COPYING = (
    "select a.pid from pg_stat_activity a join pg_stat_progress_copy c using (pid)"
    " where a.application_name = 'lstm-aa' and a.datname = 'mimic' and c.tuples_processed > 0"
    " and a.wait_event = 'PgSleep'"
)


@pytest.fixture(scope="module")
def slow(postgres: Server) -> Server:
    """The demo's server with a schema in which events come slowly, and then no more."""
    with closing(postgres.as_admin("mimic")) as admin, admin.cursor() as cursor:
        cursor.execute(f"create schema {SLOW_SCHEMA}")
        for table in TABLES:
            wait = "where row_id % 1000 <> 0 or pg_sleep(0.2) is not null" if table.endswith("events") else ""
            cursor.execute(f"create view {SLOW_SCHEMA}.{table} as select * from mimiciii.{table} {wait}")
        cursor.execute(f"grant usage on schema {SLOW_SCHEMA} to {READER}")
        cursor.execute(f"grant select on all tables in schema {SLOW_SCHEMA} to {READER}")
    return postgres


@contextmanager
def terminated_while_copying(server: Server, when: str = COPYING) -> Iterator[None]:
    """End the first backend that ``when`` finds while the block runs."""

    def terminate() -> None:
        pid = wait_for(server, when)
        with closing(server.as_admin("postgres")) as admin, admin.cursor() as cursor:
            cursor.execute("select pg_terminate_backend(%s)", [pid])

    thread = threading.Thread(target=terminate)
    thread.start()
    yield
    thread.join()


@pytest.mark.demo
def test_extract_from_a_server_that_breaks_off(slow: Server, lstm_aa: Any, tmp_path: Path) -> None:
    source = slow.address(schema=SLOW_SCHEMA)
    with terminated_while_copying(slow):
        result: subprocess.CompletedProcess[str] = lstm_aa(
            "extract", "--source", source, "--out", "events", env=slow.env
        )

    assert result.returncode == 2, result.stderr
    *before, message = result.stderr.splitlines()
    assert message.startswith(f"lstm-aa: error: postgresql://127.0.0.1:{slow.port}/mimic: the connection broke")
    assert all(line.startswith("extract ") for line in before), result.stderr
    assert not (tmp_path / "events").exists()


def test_stays_of_a_server_that_breaks_off(
    empty_postgres: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "lstm_adversarial_attack.sources.mimic_postgres.sql_text", lambda _: f"select pg_sleep({FOREVER})"
    )
    usual = sys.excepthook
    sleeping = "select pid from pg_stat_activity where application_name = 'lstm-aa' and wait_event = 'PgSleep'"
    source = MimicPostgres(empty_postgres.admin_address("postgres") + "&schema=public")
    with (
        closing(source),
        terminated_while_copying(empty_postgres, sleeping),
        pytest.raises(UserError, match="the connection broke"),
    ):
        source.stays()

    assert sys.excepthook is usual
    assert capfd.readouterr() == ("", "")


def test_rows_of_a_backend_that_is_ended_print_nothing(
    cursor: Any, empty_postgres: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    with mock.patch.object(postgres_copy, "_BATCH_BYTES", 4096):
        rows = copied_rows(cursor, MANY.format(5_000_000), COLUMNS)
        next(rows)
        with closing(empty_postgres.as_admin("postgres")) as admin, admin.cursor() as killer:
            killer.execute("select pg_terminate_backend(%s)", [cursor.connection.info.backend_pid])
        with pytest.raises(psycopg2.DatabaseError):
            list(rows)

    assert capfd.readouterr() == ("", "")


def test_only_errors_of_psycopg2_are_silenced_and_the_usual_hook_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []

    def usual(kind: type[BaseException], *_: object) -> None:
        told.append(kind)

    monkeypatch.setattr(sys, "excepthook", usual)
    first, second = psycopg2_silenced(), psycopg2_silenced()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # blocks of two threads need not be nested
    for error in (psycopg2.DatabaseError(), ValueError()):
        sys.excepthook(type(error), error, None)
    second.__exit__(None, None, None)

    assert told == [ValueError]
    assert sys.excepthook is usual


@pytest.mark.demo
def test_a_time_limit_of_the_server_is_named(slow: Server, lstm_aa_inside: Callable[..., Any]) -> None:
    source = slow.address(schema=SLOW_SCHEMA) + "&options=-c%20statement_timeout%3D700"

    result = lstm_aa_inside("extract", "--source", source, "--out", "events", env=slow.env)

    assert result.returncode == 2
    message = result.stderr.splitlines()[-1]
    assert "the server stopped the query (canceling statement due to statement timeout)" in message
    assert "raise statement_timeout" in message
    assert "the connection broke" not in message


# --- addresses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        (
            "bogus=1",
            ("a parameter of the address is wrong", 'invalid connection option "bogus"', "mend what follows the ?"),
        ),
        ("async=1", ("a parameter of the address is wrong", "async")),
        ("service=x", ("a parameter of the address is wrong", 'service "x" not found')),
        ("sslmode=bogus", ("a parameter of the address is wrong", "sslmode")),
        ("sslmode=require", ("no agreement on SSL", "does not support SSL", "mend sslmode")),
        ("options=-c%20bogus%3D1", ("the server refused the connection", '"bogus"')),
    ],
)
def test_a_wrong_parameter_in_an_address(empty_postgres: Server, query: str, parts: tuple[str, ...]) -> None:
    address = empty_postgres.address("postgres")
    with mock.patch.dict("os.environ", empty_postgres.env), pytest.raises(UserError) as caught:
        connect(parse_address(f"{address}?{query}"))

    message = str(caught.value)
    assert message.startswith(f"postgresql://127.0.0.1:{empty_postgres.port}/postgres: ")
    assert "no PostgreSQL answers" not in message
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("schema=", "schema= in the address is empty"),
        ("schema=&schema=x", "schema= in the address is empty"),
        ("sslmode=", "sslmode= in the address is empty"),
        ("password=", "no password in the address"),
        ("dsn=host%3Dx", "not of the form"),
        ("schema", "not of the form"),
    ],
)
def test_a_parameter_that_no_address_may_have(query: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        parse_address(f"postgresql://somebody@localhost/x?{query}")


def test_parameters_of_an_address_override_our_own(empty_postgres: Server) -> None:
    name = f"me-{secrets.token_hex(4)}"
    address = f"{empty_postgres.admin_address('postgres')}&application_name={name}&connect_timeout=3"

    with closing(connect(parse_address(address))) as connection, connection.cursor() as cursor:
        cursor.execute("show application_name")
        assert cursor.fetchone() == (name,)
