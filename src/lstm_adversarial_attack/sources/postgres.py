"""PostgreSQL addresses and connections: the one place that reads an address, connects, and words a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg2

from lstm_adversarial_attack.errors import UserError

_FORM = "postgresql://USER@HOST:PORT/DATABASE?schema=mimiciii"


@dataclass(frozen=True)
class Address:
    """What an address says: libpq's parameters, the schema, and the address as it may be shown."""

    parameters: dict[str, Any]
    schema: str
    shown: str


def parse_address(address: str, option: str = "source") -> Address:
    """Split the address that ``option`` names.

    Raises:
        UserError: it is not of the form, or holds a password.
    """
    try:
        url = urlsplit(address)
        port, options = url.port, parse_qs(url.query, strict_parsing=bool(url.query))
    except ValueError:
        raise _not_of_the_form(option) from None
    if "@" in url.path or "@" in url.query or url.fragment:  # the rest of a password with a / ? or # in it
        raise _not_of_the_form(option)
    if url.password or any("password" in name for name in options):
        raise UserError(f"{option} postgresql: no password in the address; put it into PGPASSWORD or a password file")
    if url.scheme not in ("postgresql", "postgres"):
        raise _not_of_the_form(option)
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
    return Address(parameters, schema, f"postgresql://{where}/{named['dbname']}")


def connect(address: Address) -> psycopg2.extensions.connection:
    """Return a new connection.

    Raises:
        UserError: nobody answers there, or user, password or database are refused.
    """
    try:
        connection: psycopg2.extensions.connection = psycopg2.connect(
            **address.parameters, connect_timeout=10, application_name="lstm-aa"
        )
    except psycopg2.Error as error:
        raise UserError(f"{address.shown}: {_reason(error)}") from None
    return connection


def one_line(error: psycopg2.Error) -> str:
    """Return the server's or libpq's words in one line. Those of a refused row quote the row: never show them."""
    return " ".join(str(error).split()) or type(error).__name__


def _not_of_the_form(option: str) -> UserError:
    return UserError(f"{option} postgresql: the address is not of the form {_FORM}")


def _reason(error: psycopg2.Error) -> str:
    """Say in one line why there is no connection, and what to do."""
    text = one_line(error)
    if "password" in text or "authentication" in text:
        return "the server refused user or password; set the user in the address and the password in PGPASSWORD"
    if "does not exist" in text:
        return f"{text.rpartition('FATAL: ')[2].strip()}; mend the address"
    return f"no PostgreSQL answers there ({text}); check host, port and that the server runs"
