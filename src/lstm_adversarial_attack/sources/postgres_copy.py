"""The rows of a query by COPY in binary form, in batches and in bounded memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg2

from lstm_adversarial_attack.sources.postgres import psycopg2_silenced

_BATCH_BYTES = 1 << 22
_BATCHES_AHEAD = 2
_POLL_SECONDS = 0.2
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

    def next(self) -> bytes | BaseException | None:
        """Wait for the next part.

        Never without end: where Polars has put its handler of Ctrl-C, which starts waits of the system anew, such a
        wait would not hear of it.
        """
        while True:
            with suppress(Empty):
                return self.parts.get(timeout=_POLL_SECONDS)

    def write(self, part: Any) -> int:
        """Wait for a place in the queue and put ``part`` there."""
        if self.unwanted.is_set():
            raise BrokenPipeError
        content = bytes(part)
        self.parts.put(content)
        return len(content)


def _parts(cursor: psycopg2.extensions.cursor, query: str) -> Iterator[bytes]:
    """Yield the stream of a binary COPY in large parts; a thread receives it.

    Whoever stops early need not wait for the server: the query is cancelled.
    """
    received = _Parts()

    def receive() -> None:
        try:
            # psycopg2 writes row by row: the buffer gathers them without a line of Python for each.
            with psycopg2_silenced(), io.BufferedWriter(received, _BATCH_BYTES) as stream:
                cursor.copy_expert(f"copy ({query}) to stdout (format binary)", stream)
            received.parts.put(None)
        except BaseException as error:
            received.parts.put(error)

    thread = Thread(target=receive, name="copy", daemon=True)
    thread.start()
    ended = False
    try:
        while (part := received.next()) is not None:
            if isinstance(part, BaseException):
                ended = True
                raise part
            yield part
        ended = True
    finally:
        received.unwanted.set()
        while thread.is_alive():
            if not ended:  # again and again, as the query may not have reached the server yet
                with suppress(psycopg2.Error):
                    cursor.connection.cancel()
            while not received.parts.empty():
                received.parts.get_nowait()
            thread.join(_POLL_SECONDS)
