"""MIMIC-III in PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
import psycopg2
from psycopg2 import errors, sql

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.catalogue import Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import Schema
from lstm_adversarial_attack.sources import RAW_STAYS, RAW_VALUES
from lstm_adversarial_attack.sources.sql import sql_text, with_parameters

_FORM = "postgresql://USER@HOST:PORT/DATABASE?schema=mimiciii"


class MimicPostgres:
    """The tables of one schema, read in a read-only session."""

    def __init__(self, address: str, snapshot_id: str = "") -> None:
        """Connect and check that the schema is there.

        Raises:
            UserError: the address is not of the form, holds a password, or nobody answers there.
        """
        parameters, self._schema, self._shown = _parse(address)
        self._snapshot_id = snapshot_id
        try:
            self._connection = psycopg2.connect(**parameters, connect_timeout=10, application_name="lstm-aa")
        except psycopg2.Error as error:
            raise UserError(f"{self._shown}: {_reason(error)}") from None
        # One snapshot for all queries: stays and values belong together even while the database is loaded.
        self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with self._cursor() as cursor:
            cursor.execute("select 1 from pg_namespace where nspname = %s", [self._schema])
            if not cursor.fetchone():
                raise UserError(f"{self._shown}: no schema {self._schema!r}; add ?schema=NAME to the address")
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
        return self._query("stays", {}, RAW_STAYS)

    def values(self, table: Table, *, stay_ids: list[int], item_ids: list[int], window_hours: int) -> pl.DataFrame:
        """Return the numeric values of ``table`` inside the window (`sources.RAW_VALUES`)."""
        parameters = {"stay_ids": stay_ids, "item_ids": item_ids, "window_hours": window_hours}
        return self._query(table, parameters, RAW_VALUES)

    def _query(self, name: str, parameters: dict[str, Any], schema: Schema) -> pl.DataFrame:
        """Copy a query's rows through a temporary file."""
        text = with_parameters(sql_text(f"extract/{name}"), _placeholder)
        with self._cursor() as cursor, tempfile.TemporaryFile(prefix="lstm-aa-") as rows:
            query = cursor.mogrify(text, parameters).decode()
            cursor.copy_expert(f"copy ({query}) to stdout with (format csv, header true)", rows)
            rows.seek(0)
            return pl.read_csv(rows, schema=dict(schema))

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Yield a cursor and turn what the user can mend into a `UserError`."""
        try:
            with self._connection.cursor() as cursor:
                yield cursor
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege) as error:
            reason = error.diag.message_primary
            raise UserError(f"{self._shown}: schema {self._schema!r}: {reason}; is it a MIMIC-III database?") from None
        except psycopg2.OperationalError as error:
            raise UserError(f"{self._shown}: the connection broke ({_one_line(error)}); try again") from None


def _parse(address: str) -> tuple[dict[str, Any], str, str]:
    """Split an address into connection parameters, schema and the address as it may be shown."""
    try:
        url = urlsplit(address)
        port, options = url.port, parse_qs(url.query, strict_parsing=bool(url.query))
    except ValueError:
        raise UserError(f"source postgresql: the address is not of the form {_FORM}") from None
    if "@" in url.path or "@" in url.query or url.fragment:  # the rest of a password with a / ? or # in it
        raise UserError(f"source postgresql: the address is not of the form {_FORM}")
    if url.password or any("password" in name for name in options):
        raise UserError("source postgresql: no password in the address; put it into PGPASSWORD or a password file")
    schema = options.pop("schema", ["mimiciii"])[-1]
    parameters: dict[str, Any] = {name: values[-1] for name, values in options.items()}
    named = {
        "user": unquote(url.username or ""),
        "host": url.hostname,
        "port": port,
        "dbname": unquote(url.path.lstrip("/")),
    }
    parameters |= {name: value for name, value in named.items() if value}
    where = f"{url.hostname or ''}{f':{port}' if port else ''}"
    return parameters, schema, f"postgresql://{where}/{named['dbname']}"


def _placeholder(name: str) -> str:
    return f"%({name})s::integer[]" if name.endswith("_ids") else f"%({name})s"


def _reason(error: psycopg2.Error) -> str:
    """Say in one line why there is no connection, and what to do."""
    text = _one_line(error)
    if "password" in text or "authentication" in text:
        return "the server refused user or password; set the user in the address and the password in PGPASSWORD"
    if "does not exist" in text:
        return f"{text.rpartition('FATAL: ')[2].strip()}; mend the address"
    return f"no PostgreSQL answers there ({text}); check host, port and that the server runs"


def _one_line(error: psycopg2.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
