"""Binary COPY in batches: the rows, and what happens when either end gives up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from unittest import mock

import numpy as np
import psycopg2
import pytest

from lstm_adversarial_attack.sources import postgres_copy
from lstm_adversarial_attack.sources.postgres_copy import UnexpectedRowError, copied_rows
from postgres_server import Server

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
