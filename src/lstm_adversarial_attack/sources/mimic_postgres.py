"""MIMIC-III in PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

import adbc_driver_manager
import polars as pl
import psycopg2
from adbc_driver_postgresql import dbapi as adbc
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.catalogue import Item, Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import Schema, typed
from lstm_adversarial_attack.sources import MIMIC_TABLES, RAW_STAYS, RAW_VALUES, Reach
from lstm_adversarial_attack.sources.postgres import connect, one_line, parse_address
from lstm_adversarial_attack.sources.sql import sql_text, values_query, with_parameters

#: SQLSTATE of a table or column that is not there, and of one that the role may not read.
_UNDEFINED_TABLE, _UNDEFINED_COLUMN, _NO_PRIVILEGE = "42P01", "42703", "42501"


class MimicPostgres:
    """The tables of one schema, read in a read-only session.

    Rows come by ADBC, which copies them in binary form and in batches. A psycopg2 session holds the snapshot that
    all queries see.
    """

    name = "mimic-iii"
    tables = MIMIC_TABLES
    notes = ()

    def __init__(self, address: str, snapshot_id: str = "") -> None:
        """Connect and check that the schema is there.

        Raises:
            UserError: the address is not of the form, holds a password, or nobody answers there.
        """
        self._address = parse_address(address)
        self._schema, self._shown = self._address.schema, self._address.shown
        self._snapshot_id = snapshot_id
        self._connection = connect(self._address)
        # One snapshot for all queries: stays and values belong together even while the database is loaded.
        self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with self._errors_explained(), self._connection.cursor() as cursor:
            cursor.execute("select 1 from pg_namespace where nspname = %s", [self._schema])
            if not cursor.fetchone():
                raise UserError(f"{self._shown}: no schema {self._schema!r}; add ?schema=NAME to the address")

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
        return pl.concat([pl.DataFrame(schema=RAW_STAYS), *self._query(sql_text("extract/stays"), {}, RAW_STAYS)])

    def values(
        self, table: Table, *, stay_ids: list[int], items: list[Item], window_hours: int, reach: Reach
    ) -> Iterator[pl.DataFrame]:
        """Yield the numeric values of ``table`` (`sources.RAW_VALUES`); see `sources.EventSource`."""
        text, parameters = values_query(table, stay_ids=stay_ids, items=items, window_hours=window_hours, reach=reach)
        return self._query(text, parameters, RAW_VALUES)

    def _query(self, text: str, parameters: dict[str, object], schema: Schema) -> Iterator[pl.DataFrame]:
        """Yield the rows of a query in batches, from a session of their own that sees the common snapshot."""
        with self._errors_explained():
            with self._connection.cursor() as cursor:
                query = with_parameters_of_postgres(cursor, text, parameters)
                cursor.execute("select pg_export_snapshot()")
                (snapshot,) = cursor.fetchone() or ("",)
                path = sql.SQL("set search_path to {}").format(sql.Identifier(self._schema)).as_string(cursor)
            dsn = make_dsn(**self._address.parameters, connect_timeout=10, application_name="lstm-aa")
            with closing(adbc.connect(dsn)) as session, closing(session.cursor()) as rows:
                rows.execute("set transaction isolation level repeatable read, read only")
                rows.execute(f"set transaction snapshot '{snapshot}'")
                rows.execute(path)
                rows.execute(query)
                with closing(rows.fetch_record_batch()) as batches:
                    for batch in batches:
                        yield typed(pl.DataFrame(batch), schema)

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        """Turn what the user can mend into a `UserError`; never with a row, which is a patient's."""
        try:
            yield
        except adbc_driver_manager.Error as error:
            raise self._explained(error) from None
        except psycopg2.OperationalError as error:
            raise UserError(f"{self._shown}: the connection broke ({one_line(error)}); try again") from None

    def _explained(self, error: adbc_driver_manager.Error) -> UserError:
        state = error.sqlstate or ""
        words = re.search(r"(?:ERROR|FATAL): +(.*?)(?: LINE \d+:| DETAIL:| HINT:|$)", " ".join(str(error).split()))
        reason = words.group(1).strip() if words else "no answer"
        if state in (_UNDEFINED_TABLE, _UNDEFINED_COLUMN, _NO_PRIVILEGE):
            return UserError(f"{self._shown}: schema {self._schema!r}: {reason}; is it a MIMIC-III database?")
        if state.startswith("22"):  # its words quote the value
            return UserError(f"{self._shown}: schema {self._schema!r}: a column is not of the type it has in MIMIC-III")
        if state.startswith("53"):
            return UserError(f"{self._shown}: the server has run out of something ({reason}); free it and try again")
        return UserError(f"{self._shown}: the connection broke ({reason}); try again")


def with_parameters_of_postgres(
    cursor: psycopg2.extensions.cursor, text: str, parameters: dict[str, object]
) -> str:
    """Return a query of the project's SQL files with its parameters written into it."""
    query: bytes = cursor.mogrify(with_parameters(text, _placeholder), parameters)
    return query.decode()


def _placeholder(name: str) -> str:
    return f"%({name})s::integer[]" if name.endswith("_ids") else f"%({name})s"
