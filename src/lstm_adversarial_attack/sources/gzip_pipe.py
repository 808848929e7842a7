"""A .gz file as a pipe that other code reads by path, with its checksum verified on the way."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 1 << 20


class GzipPipe:
    """Decompresses ``file`` in a thread; ``path`` is where to read it, once, from start to end.

    DuckDB reads .gz files by itself but does not look at their checksums, so that one wrong bit may pass.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._error: Exception | None = None
        self._end, self._start = os.pipe()
        self._open = True
        self._thread = Thread(target=self._feed, name=f"gunzip {file.name}", daemon=True)

    @property
    def path(self) -> str:
        """The path of the pipe's end."""
        return f"/dev/fd/{self._end}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def damage(self) -> Exception | None:
        """Say that nobody reads any more; return what was found wrong with the file until then."""
        self._stop()
        return self._error

    def _stop(self) -> None:
        if self._open:
            self._open = False
            os.close(self._end)  # if the reader gave up early, the thread's next write fails, and it ends
        self._thread.join()

    def _feed(self) -> None:
        try:
            with os.fdopen(self._start, "wb", buffering=0) as pipe, gzip.open(self._file) as content:
                while chunk := content.read(_CHUNK_BYTES):
                    pipe.write(chunk)
        except BrokenPipeError:
            pass
        except (EOFError, OSError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
            self._error = error
