"""The CSV files of a release: found, checked, counted, and read as a stream for COPY."""

from __future__ import annotations

import csv
import gzip
import hashlib
import queue
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from lstm_adversarial_attack.database import schema
from lstm_adversarial_attack.errors import UserError

#: How much COPY is handed at a time, and how much is read from a file at a time.
CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 18
_CHUNKS_AHEAD = 8
_GZIP_WINDOW = 31  # zlib's word for: a gzip header, and a trailer with checksum and length, which it verifies


class Interrupted(Exception):  # noqa: N818 - like KeyboardInterrupt: nothing is wrong
    """Somebody stopped the stream."""


@dataclass(frozen=True)
class TableFile:
    """The file of one table, and its columns in the order of its header."""

    table: str
    path: Path
    columns: tuple[str, ...]
    size_bytes: int
    mtime_ns: int


def find_files(folder: Path, tables: Sequence[str]) -> list[TableFile]:
    """Return the files of ``tables``, the biggest first, their headers checked.

    Raises:
        UserError: the folder, a file or a column is missing, a table is there twice, or a file cannot be read.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be read ({error.strerror}); give --csv the folder of the CSV files"
        ) from error
    found = {table: [n for n in names if n.lower() in (f"{table}.csv", f"{table}.csv.gz")] for table in tables}
    twice = [" and ".join(these) for these in found.values() if len(these) > 1]
    if twice:
        raise UserError(f"{folder}: {'; '.join(twice)} are the same table twice; remove one")
    missing = [table.upper() for table, these in found.items() if not these]
    if missing:
        raise UserError(f"{folder}: no .csv or .csv.gz file for {', '.join(missing)}; add them or choose by --tables")
    files = [_described(table, folder / these[0]) for table, these in found.items()]
    return sorted(files, key=lambda file: file.size_bytes, reverse=True)


def count_rows(path: Path) -> int | None:
    """Return the number of rows of a small file, or None where it cannot be read to its end."""
    try:
        with (gzip.open if _is_gzip(path) else open)(path, "rt", encoding="utf-8", newline="") as lines:
            return sum(1 for row in csv.reader(lines) if row) - 1
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error):
        return None


class CsvStream:
    """The uncompressed bytes of a file, for COPY to read; from the first `read` on, a thread decompresses ahead.

    Memory is bounded by a few chunks. The end is reported only after checksum and length of a .gz file fit.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks: queue.Queue[bytes | Exception] = queue.Queue(_CHUNKS_AHEAD)
        self._sha256 = hashlib.sha256()
        self._closed = self._ended = False
        self._thread = Thread(target=self._feed, name=f"read {path.name}", daemon=True)
        #: Bytes of the file read so far.
        self.bytes_read = 0
        #: What was wrong with the file, once it has been met.
        self.damage: UserError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        while self._thread.is_alive():  # it may be waiting for a place in the queue
            with suppress(queue.Empty):
                self._chunks.get(timeout=0.05)

    @property
    def sha256(self) -> str:
        """The checksum of the file as far as it has been read."""
        return self._sha256.hexdigest()

    def read(self, _size_bytes: int = CHUNK_BYTES) -> bytes:
        """Return the next chunk, whatever length is asked for, or nothing at the end.

        Raises:
            UserError: the file is damaged or cannot be read.
            Interrupted: the stream was stopped.
        """
        if self._closed:
            raise Interrupted
        if self._ended:
            return b""
        if self._thread.ident is None:
            self._thread.start()
        chunk = self._chunks.get()
        self._ended = not chunk
        if isinstance(chunk, UserError):
            self.damage = chunk
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def checksum(self) -> str:
        """Return the checksum of the whole file without decompressing it; nothing can be read afterwards.

        Raises:
            UserError: the file cannot be read.
            Interrupted: the stream was stopped.
        """
        self._ended = True
        try:
            for _ in self._blocks():
                if self._closed:
                    raise Interrupted
        except OSError as error:
            raise _explained(error, self._path) from error
        return self.sha256

    def stop(self) -> None:
        """Make the next `read` fail; any thread may call it."""
        self._closed = True
        with suppress(queue.Full):
            self._chunks.put_nowait(Interrupted())

    def read_to_end(self) -> None:
        """Read what is left, so that `damage` is known."""
        with suppress(UserError, Interrupted):
            while self.read():
                pass

    def _feed(self) -> None:
        try:
            for chunk in _chunks(self._path, self._blocks()):
                self._chunks.put(chunk)
                if self._closed:
                    return
            self._chunks.put(b"")
        except Exception as error:
            self._chunks.put(_explained(error, self._path))

    def _blocks(self) -> Iterator[bytes]:
        with self._path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                self._sha256.update(block)
                self.bytes_read += len(block)
                yield block


def _described(table: str, path: Path) -> TableFile:
    names = [name.strip().lower() for name in _header(path)]
    wanted = schema.columns(table)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}; is it the {table.upper()} table of MIMIC-III v1.4?")
    if len(names) > len(wanted):
        raise UserError(f"{path}: more columns than the {table.upper()} table of MIMIC-III v1.4; is it that table?")
    found = path.stat()
    return TableFile(table, path, tuple(names), found.st_size, found.st_mtime_ns)


def _header(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            first = next(_chunks(path, iter(lambda: file.read(_BLOCK_BYTES), b"")), b"")
        return next(csv.reader([first.partition(b"\n")[0].decode("utf-8")]), [])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _explained(error, path) from error


def _explained(error: Exception, path: Path) -> Exception:
    """Return a `UserError` for what is wrong with a file, and other errors as they are."""
    if isinstance(error, EOFError | zlib.error):
        return UserError(f"{path}: not a whole .gz file (truncated or damaged); download it again")
    if isinstance(error, OSError):
        return UserError(f"{path}: cannot be read ({error.strerror}); check the disk and the file's permissions")
    if isinstance(error, UnicodeDecodeError | csv.Error):
        return UserError(f"{path}: the first line is no header of a CSV file; is it a MIMIC-III table?")
    return error


def _is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _chunks(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    return _decompressed(blocks) if _is_gzip(path) else blocks


def _decompressed(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of a gzip file of one or more members in chunks of bounded size.

    Raises:
        EOFError: the file ends inside a member.
        zlib.error: it is no gzip file, or a checksum or length does not fit.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    for block in blocks:
        left = block
        while left:
            if member.eof:
                left = left.lstrip(b"\0")  # padding
                if not left:
                    break
                member = zlib.decompressobj(_GZIP_WINDOW)
            if chunk := member.decompress(left, CHUNK_BYTES):
                yield chunk
            left = member.unused_data if member.eof else member.unconsumed_tail
    while not member.eof:
        chunk = member.decompress(b"", CHUNK_BYTES)
        if not chunk:
            raise EOFError
        yield chunk
