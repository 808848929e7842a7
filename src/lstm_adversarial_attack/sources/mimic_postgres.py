"""MIMIC-III in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl
import psycopg2
from psycopg2 import errors, sql

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.catalogue import Item, Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import typed
from lstm_adversarial_attack.sources import MIMIC_TABLES, RAW_STAYS, RAW_VALUES, Reach
from lstm_adversarial_attack.sources.postgres import connect, one_line, parse_address, psycopg2_silenced
from lstm_adversarial_attack.sources.postgres_copy import UnexpectedRowError, copied_rows
from lstm_adversarial_attack.sources.sql import sql_text, values_query, with_parameters

#: `RAW_VALUES` as the server sends them.
_COLUMNS: dict[str, np.dtype[Any]] = {
    "stay_id": np.dtype(">i4"),
    "minute": np.dtype(">i4"),
    "itemid": np.dtype(">i4"),
    "value": np.dtype(">f8"),
}


class MimicPostgres:
    """The tables of one schema, read in a read-only session."""

    name = "mimic-iii"
    tables = MIMIC_TABLES
    notes = ()

    def __init__(self, address: str, snapshot_id: str = "") -> None:
        """Connect and check that the schema is there.

        Raises:
            UserError: the address is not of the form, holds a password, or nobody answers there.
        """
        place = parse_address(address)
        self._schema, self._shown = place.schema, place.shown
        self._snapshot_id = snapshot_id
        self._connection = connect(place)
        # One snapshot for all queries: stays and values belong together even while the database is loaded.
        self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with self._cursor() as cursor:
            cursor.execute("select 1 from pg_namespace where nspname = %s", [self._schema])
            if not cursor.fetchone():
                raise UserError(f"{self._shown}: no schema {self._schema!r}; add ?schema=NAME to the address")
            cursor.execute("set extra_float_digits = 3")  # numbers as text without a loss, as of PostgreSQL 12
            cursor.execute(sql.SQL("set search_path to {}").format(sql.Identifier(self._schema)))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def fingerprint(self) -> str | None:
        """Return a digest of server, database and snapshot name, or None without a name: nothing else is cheap."""
        if not self._snapshot_id:
            return None
        server = self._connection.info
        return digest_of([server.host, server.port, server.dbname, self._schema, self._snapshot_id])

    def stays(self) -> pl.DataFrame:
        """Return every ICU stay (`sources.RAW_STAYS`)."""
        rows = BytesIO()
        with self._cursor() as cursor:
            query = with_parameters_of_postgres(cursor, sql_text("extract/stays"), {})
            with psycopg2_silenced():
                cursor.copy_expert(f"copy ({query}) to stdout (format csv, header true)", rows)
            rows.seek(0)
            return pl.read_csv(rows, schema=dict(RAW_STAYS))

    def values(
        self, table: Table, *, stay_ids: list[int], items: list[Item], window_hours: int, reach: Reach
    ) -> Iterator[pl.DataFrame]:
        """Yield the numeric values of ``table`` (`sources.RAW_VALUES`); see `sources.EventSource`."""
        text, parameters = values_query(table, stay_ids=stay_ids, items=items, window_hours=window_hours, reach=reach)
        with self._cursor() as cursor:
            query = with_parameters_of_postgres(cursor, text, parameters)
            for rows in copied_rows(cursor, query, _COLUMNS):
                native = {name: rows[name].astype(kind.newbyteorder("=")) for name, kind in _COLUMNS.items()}
                yield typed(pl.DataFrame(native), RAW_VALUES)

    @contextmanager
    def _cursor(self) -> Iterator[psycopg2.extensions.cursor]:
        """Yield a cursor and turn what the user can mend into a `UserError`; never with a row, which is a patient's."""
        where = f"{self._shown}: schema {self._schema!r}"
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege) as error:
            raise UserError(f"{where}: {error.diag.message_primary}; is it a MIMIC-III database?") from None
        except (psycopg2.DataError, psycopg2.ProgrammingError, UnexpectedRowError, pl.exceptions.PolarsError):
            raise UserError(f"{where}: a column is not of the type that it has in MIMIC-III") from None
        except errors.QueryCanceled as error:
            raise UserError(
                f"{self._shown}: the server stopped the query ({error.diag.message_primary}); "
                "raise statement_timeout for this user, or ask the server's admin"
            ) from None
        except psycopg2.DatabaseError as error:  # not always an OperationalError when it breaks within a COPY
            raise UserError(f"{self._shown}: the connection broke ({one_line(error)}); try again") from None


def with_parameters_of_postgres(cursor: psycopg2.extensions.cursor, text: str, parameters: dict[str, object]) -> str:
    """Return a query of the project's SQL files with its parameters written into it."""
    query: bytes = cursor.mogrify(with_parameters(text, _placeholder), parameters)
    return query.decode()


def _placeholder(name: str) -> str:
    return f"%({name})s::integer[]" if name.endswith("_ids") else f"%({name})s"
