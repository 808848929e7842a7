"""PostgreSQL addresses and connections: the one place that reads an address, connects, and words a failure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg2
from psycopg2.extensions import make_dsn

from lstm_adversarial_attack.errors import UserError

_FORM = "postgresql://USER@HOST:PORT/DATABASE?schema=mimiciii"
#: What libpq says before it looks for a server.
_WRONG_PARAMETER = re.compile(r"invalid |definition of service|(syntax error in )?service file")


@dataclass(frozen=True)
class Address:
    """What an address says: libpq's parameters, the schema, and the address as it may be shown."""

    parameters: dict[str, Any]
    schema: str
    shown: str


def parse_address(address: str, option: str = "source", schema: str = "mimiciii") -> Address:
    """Split the address that ``option`` names; ``schema`` is for an address that names none.

    Raises:
        UserError: it is not of the form, holds a password, or a parameter is empty.
    """
    try:
        url = urlsplit(address)
        port, options = url.port, parse_qs(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise _not_of_the_form(option) from None
    if (
        "@" in url.path or "@" in url.query or "dsn" in options or url.fragment
    ):  # the rest of a password with a / ? or # in it
        raise _not_of_the_form(option)
    if url.password or any("password" in name for name in options):
        raise UserError(f"{option} postgresql: no password in the address; put it into PGPASSWORD or a password file")
    if url.scheme not in ("postgresql", "postgres"):
        raise _not_of_the_form(option)
    if empty := [name for name, values in options.items() if not all(values)]:
        raise UserError(f"{option} postgresql: {empty[0]}= in the address is empty; give a value or remove it")
    schema = options.pop("schema", [schema])[-1]
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
        UserError: a parameter is wrong, nobody answers there, or user, password or database are refused.
    """
    parameters: dict[str, Any] = {"connect_timeout": 10, "application_name": "lstm-aa"} | address.parameters
    try:
        # By way of a DSN, all parameters are libpq's, and none of them psycopg2's own.
        connection: psycopg2.extensions.connection = psycopg2.connect(make_dsn(**parameters))
    except psycopg2.Error as error:
        raise UserError(f"{address.shown}: {_reason(error)}") from None
    return connection


class _Silence:
    """Keeps psycopg2's errors from `sys.excepthook` as long as anybody wants it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted = 0
        self._usual = sys.excepthook

    def begin(self) -> None:
        with self._lock:
            self._wanted += 1
            if self._wanted == 1:
                self._usual, sys.excepthook = sys.excepthook, self._hook

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if not self._wanted:
                sys.excepthook = self._usual

    def _hook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, SystemError | psycopg2.Error):
            self._usual(kind, error, trace)


_SILENCE = _Silence()


@contextmanager
def psycopg2_silenced() -> Iterator[None]:
    """Keep psycopg2 from printing rows: where a connection breaks during COPY, it prints all that the server said.

    Several threads may be within such blocks at once.
    """
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()


def one_line(error: psycopg2.Error) -> str:
    """Return the server's or libpq's words in one line. Those of a refused row quote the row: never show them."""
    return " ".join(str(error).split()) or type(error).__name__


def _not_of_the_form(option: str) -> UserError:
    return UserError(f"{option} postgresql: the address is not of the form {_FORM}")


def _reason(error: psycopg2.Error) -> str:
    """Say in one line why there is no connection, and what to do."""
    text = one_line(error)
    if isinstance(error, psycopg2.ProgrammingError) or _WRONG_PARAMETER.match(text):
        return f"a parameter of the address is wrong ({text}); mend what follows the ? in it"
    if "password" in text or "authentication" in text:
        return "the server refused user or password; set the user in the address and the password in PGPASSWORD"
    if "does not exist" in text:
        return f"{text.rpartition('FATAL: ')[2].strip()}; mend the address"
    if "FATAL: " in text:
        return f"the server refused the connection ({text.rpartition('FATAL: ')[2].strip()}); ask its admin"
    if "SSL" in text or "certificate" in text:
        return f"no agreement on SSL ({text}); mend sslmode and its files in the address, or ask the server's admin"
    return f"no PostgreSQL answers there ({text}); check host, port and that the server runs"
