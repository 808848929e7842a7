"""What PostgreSQL refuses, in words of our own: the server's quote the row, which is a patient's."""

from __future__ import annotations

import re

import psycopg2
from psycopg2 import errors

from lstm_adversarial_attack.database.files import TableFile

# The words between are in the server's language.
_PLACE = re.compile(r"COPY \w+, \w+ (\d+)(?:, \w+ (\w+))?")

#: What is wrong with a row, by SQLSTATE.
_WRONG_ROWS = {
    "22P02": "{column} holds something of the wrong type",
    "22003": "{column} holds a number that is out of range",
    "22007": "{column} holds something that is no time",
    "22008": "{column} holds a time that is out of range",
    "22001": "{column} holds a longer text than the table takes",
    "22021": "bytes that are no UTF-8",
    "22P05": "a letter that the encoding of the database lacks",
    "23502": "{column} is empty",
    "23505": "a key is there twice ({key})",
}
_WRONG_FORM = (
    ("missing data for column", "fewer columns than the header has"),
    ("extra data after last", "more columns than the header has"),
    ("unterminated CSV quoted field", "a quote that is never closed"),
)


def stops_all(error: psycopg2.Error) -> bool:
    """Tell whether other tables would meet the same: no connection, no disk, no right."""
    return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError | errors.InsufficientPrivilege)


def refused_table(error: psycopg2.Error, file: TableFile, shown: str) -> str:
    """Say why the table of ``file`` could not be loaded into the database ``shown``."""
    if error.pgcode and error.pgcode[:2] in ("22", "23"):
        return _refused_row(error, file)
    return f"{refused(error, shown)} ({file.path.name}: nothing of it was kept)"


def refused(error: psycopg2.Error, shown: str) -> str:
    """Say what the server ``shown`` refused, and what to do."""
    reasons = {
        errors.DiskFull: "the server's disk is full; free some space and start again",
        errors.InsufficientPrivilege: "the user may not do this; ask the owner of the database for the right to create",
        errors.ReadOnlySqlTransaction: "the user may only read; give one who may create tables",
        errors.DependentObjectsStillExist: "views or other objects depend on the table; drop them first",
        errors.WrongObjectType: "something that is no table has its name; give another schema",
        errors.QueryCanceled: "an admin or a time limit of the server stopped it; start again",
    }
    for kind, reason in reasons.items():
        if isinstance(error, kind):
            return f"{shown}: {reason}"
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return f"{shown}: the connection broke; start again, tables that are finished stay"
    return f"{shown}: PostgreSQL refused it ({type(error).__name__}, SQLSTATE {error.pgcode})"


def _refused_row(error: psycopg2.Error, file: TableFile) -> str:
    place = _PLACE.match(error.diag.context or "")
    line = f": line {place.group(1)}" if place else ""
    column = error.diag.column_name or (place and place.group(2))
    words = error.diag.message_primary or ""
    reason = next((reason for start, reason in _WRONG_FORM if words.startswith(start)), "the row cannot be read")
    reason = _WRONG_ROWS.get(error.pgcode or "", reason)
    reason = reason.format(column=f"column {column}" if column else "a column", key=error.diag.constraint_name)
    return f"{file.path}{line}: {reason}; the file is damaged or not the {file.table.upper()} table of MIMIC-III"
