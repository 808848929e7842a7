"""Copies of unfinished work at an address that outlives the machine: a folder, or a prefix of an S3 bucket.

A stage keeps its checkpoints in its work folder (`artifacts.Draft.work`) and names each file that it has renamed into
place; the copies lie below ``ADDRESS/KEY``, where the key is the work folder's name and so tells the same work, done by
the same code, from any other. Copies are made in a thread: a slow or broken server never holds the stage up.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from lstm_adversarial_attack.artifacts.manifest import is_file_name
from lstm_adversarial_attack.errors import UserError

#: An object that is put at the start, to see that the address can be written, and to tell what the rest belongs to.
_SIGN = "unfinished-work"
#: Ending of the names of files that say how long they are.
_TENSORS = ".safetensors"
_PAUSES_S = (1.0, 3.0)
_LONGEST_WAIT_S = 30.0

Say = Callable[[str], None]


class CopyError(Exception):
    """A copy could not be made, read or deleted; the message says why and names no credentials."""


class Copies(Protocol):
    """A flat place for files; every method raises `CopyError`."""

    def names(self) -> dict[str, datetime]:
        """Return the files that are there and when each was put (UTC)."""
        ...

    def put(self, name: str, file: Path) -> None:
        """Copy ``file`` there; it is seen under its name when it is whole, not before."""
        ...

    def get(self, name: str, file: Path) -> None:
        """Copy it to ``file``."""
        ...

    def delete(self, name: str) -> None:
        """Delete it."""
        ...


class Checkpoints:
    """What a stage hands its checkpoints to; without copies it does nothing."""

    def __init__(self, copies: Copies | None = None, work: Path | None = None, say: Say = lambda _line: None) -> None:
        self._copies, self._work, self._say = copies, work, say
        self._waiting: list[str] = []
        self._change = threading.Condition()
        self._ended = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._copy_all, daemon=True)
        if copies:
            self._thread.start()

    def put(self, name: str) -> None:
        """Copy the file ``name`` of the work folder, in the background; it may be replaced again meanwhile."""
        if self._copies:
            with self._change:
                if name not in self._waiting:
                    self._waiting.append(name)
                self._change.notify()

    def close(self) -> None:
        """Wait, for a bounded time, until what was handed over is copied."""
        if self._copies:
            with self._change:
                self._ended.set()
                self._change.notify()
            self._thread.join(_LONGEST_WAIT_S)

    def discard(self) -> None:
        """Delete the copies, because the work is finished."""
        if self._copies and not self._failed:
            try:
                for name in self._copies.names():
                    self._copies.delete(name)
            except Exception as error:  # of any kind: the work is finished, and stays so
                self._say(f"checkpoints: {_why(error)}; what is left there can be deleted")

    def _copy_all(self) -> None:
        assert self._copies is not None
        assert self._work is not None
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ended.is_set())
                if not self._waiting:
                    return
                name = self._waiting.pop(0)
            self._copy(self._copies, name, self._work / name)

    def _copy(self, copies: Copies, name: str, file: Path) -> None:
        """Copy a file, trying again where it fails, and again with the next one."""
        for pause in (*(() if self._failed else _PAUSES_S), 0.0):
            try:
                copies.put(name, file)
            except Exception as error:  # of any kind: the thread has the next ones to copy
                problem = _why(error)
                self._ended.wait(pause)
            else:
                self._failed = False
                return
        if not self._failed:
            self._say(f"checkpoints: {problem}; the stage goes on, and keeps them beside its output")
        self._failed = True


@contextmanager
def open_checkpoints(address: str, work: Path, say: Say) -> Iterator[Checkpoints]:
    """Fetch what is kept at ``address`` of this work into the folder ``work``, and yield what takes more.

    Where both have a file, the later one stays. An empty address keeps nothing.

    Raises:
        UserError: the address cannot be used.
    """
    if not address:
        yield Checkpoints()
        return
    try:
        copies = _copies(address, work.name)
        found = copies.names()
        fetched = [name for name, put in found.items() if is_file_name(name) and _later(put, work / name)]
        for name in fetched:
            if name != _SIGN:
                _fetch(copies, name, work, say)
        sign = work / _SIGN
        sign.write_text("The work of this key is not finished, or its end could not be told here.\n")
        copies.put(_SIGN, sign)
        sign.unlink()
    except CopyError as error:
        raise UserError(f"--checkpoints {_shown(address)}: {error}") from error
    checkpoints = Checkpoints(copies, work, say)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def _copies(address: str, key: str) -> Copies:
    if not address.startswith("s3://"):
        return FolderCopies(Path(address) / key)
    try:
        from lstm_adversarial_attack.s3 import BucketCopies
    except ModuleNotFoundError as error:
        if error.name != "minio":
            raise
        raise UserError("s3:// needs minio; install it, or this package with its extra 's3'") from error
    return BucketCopies(address, key)


def _later(put: datetime, file: Path) -> bool:
    return not file.is_file() or put > datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _fetch(copies: Copies, name: str, work: Path, say: Say) -> None:
    partial = work / f"{name}.fetched"
    copies.get(name, partial)
    if not name.endswith(_TENSORS) or _is_whole(partial):
        partial.replace(work / name)
        return
    partial.unlink()
    instead = "going on from the one that is here" if (work / name).is_file() else "beginning anew"
    say(f"checkpoints: the copy of {name} is not whole; {instead}")


def _is_whole(file: Path) -> bool:
    """Tell whether a file of tensors is as long as its header says."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            return True
    except SafetensorError:
        return False


def _why(error: Exception) -> str:
    """Return why a copy failed. Words of libraries are not passed on: they may hold requests."""
    return str(error) if isinstance(error, CopyError) else f"something unforeseen ({type(error).__name__})"


def _shown(address: str) -> str:
    """Return the address without what may be a password in it."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else address


class FolderCopies:
    """Copies in a folder, such as a mounted volume."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CopyError(f"the folder cannot be made ({error.strerror})") from error

    def names(self) -> dict[str, datetime]:
        """See `Copies`."""
        try:
            files = [path for path in self._folder.iterdir() if path.is_file() and is_file_name(path.name)]
            return {path.name: datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in files}
        except OSError as error:
            raise CopyError(f"the folder cannot be read ({error.strerror})") from error

    def put(self, name: str, file: Path) -> None:
        """See `Copies`."""
        partial = self._folder / f".{name}.partial"
        try:
            shutil.copyfile(file, partial)
            partial.replace(self._folder / name)
        except OSError as error:
            raise CopyError(f"the folder cannot be written ({error.strerror})") from error

    def get(self, name: str, file: Path) -> None:
        """See `Copies`."""
        try:
            shutil.copyfile(self._folder / name, file)
        except OSError as error:
            raise CopyError(f"the folder cannot be read ({error.strerror})") from error

    def delete(self, name: str) -> None:
        """See `Copies`; the folder goes with its last file."""
        try:
            (self._folder / name).unlink(missing_ok=True)
            if not any(self._folder.iterdir()):
                self._folder.rmdir()
        except OSError as error:
            raise CopyError(f"a file cannot be deleted there ({error.strerror})") from error
