"""The rows of a query by COPY in binary form, in batches and in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from queue import Queue
from threading import Event, Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg2

_BATCH_BYTES = 1 << 24
_BATCHES_AHEAD = 2
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
#: Of the signature, the flags and the length of an extension, which PostgreSQL leaves empty.
_HEADER_BYTES = len(_SIGNATURE) + 8
#: What ends the stream, in place of the number of a row's columns.
_TRAILER = b"\xff\xff"


class UnexpectedRowError(Exception):
    """A row that does not have the columns that were asked for, or holds NULL."""


def copied_rows(
    cursor: psycopg2.extensions.cursor, query: str, columns: dict[str, np.dtype[Any]]
) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of ``query`` as structured arrays, while the next ones are on their way.

    The format is that of PostgreSQL's COPY, section "Binary Format" of its manual. Rows of a fixed width are all
    alike, so that a batch of them is an array as it stands.

    Args:
        cursor: of an open connection, which nobody else uses meanwhile.
        query: a query without parameters.
        columns: names and types (big-endian, as the server sends them) of its columns; none may be NULL.

    Raises:
        psycopg2.Error: of the server or the connection.
        UnexpectedRowError: a row is not of these types.
    """
    fields = [
        (f"{name} bytes", np.dtype(">i4")) if n == 0 else (name, kind) for name, kind in columns.items() for n in (0, 1)
    ]
    row = np.dtype([("columns", ">i2"), *fields])
    rest = b""
    for number, part in enumerate(_parts(cursor, query)):
        content = rest + (part[_HEADER_BYTES:] if number == 0 else part)
        whole = len(content) // row.itemsize
        rows = np.frombuffer(content, row, whole)
        rest = content[whole * row.itemsize :]
        wrong = rows["columns"] != len(columns)
        for name, kind in columns.items():
            wrong |= rows[f"{name} bytes"] != kind.itemsize
        if wrong.any():
            raise UnexpectedRowError
        yield rows
    if rest != _TRAILER:
        raise UnexpectedRowError


class _Parts(io.RawIOBase):
    """Hands on what is written to it, and refuses more once nobody wants it."""

    def __init__(self) -> None:
        self.parts: Queue[bytes | BaseException | None] = Queue(_BATCHES_AHEAD)
        self.unwanted = Event()

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, part: Any) -> int:
        """Wait for a place in the queue and put ``part`` there."""
        if self.unwanted.is_set():
            raise BrokenPipeError
        content = bytes(part)
        self.parts.put(content)
        return len(content)


def _parts(cursor: psycopg2.extensions.cursor, query: str) -> Iterator[bytes]:
    """Yield the stream of a binary COPY in large parts; a thread receives it."""
    received = _Parts()

    def receive() -> None:
        try:
            # psycopg2 writes row by row: the buffer gathers them without a line of Python for each.
            with io.BufferedWriter(received, _BATCH_BYTES) as stream:
                cursor.copy_expert(f"copy ({query}) to stdout (format binary)", stream)
            received.parts.put(None)
        except BaseException as error:
            received.parts.put(error)

    thread = Thread(target=receive, name="copy", daemon=True)
    thread.start()
    try:
        while (part := received.parts.get()) is not None:
            if isinstance(part, BaseException):
                raise part
            yield part
    finally:
        received.unwanted.set()
        while thread.is_alive():
            while not received.parts.empty():
                received.parts.get_nowait()
            thread.join(0.01)
