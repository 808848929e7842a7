"""The user's folder that files are fetched into: what is there already, and how new files come to stand in it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lstm_adversarial_attack.errors import UserError, disk_is_full
from lstm_adversarial_attack.fetch.download import Partial
from lstm_adversarial_attack.fetch.releases import Sums

_WORK = ".lstm-aa-fetch"


class Folder:
    """The folder, locked; unfinished files live in a hidden folder in it until they are renamed into place."""

    def __init__(self, path: Path, *, replace: bool) -> None:
        self.path, self._replace = path, replace

    @property
    def work(self) -> Path:
        """Where unfinished files are."""
        return self.path / _WORK

    def partial(self, name: str, sha256: str) -> Partial:
        """Return the partial file of ``name``; the checksum in its name keeps versions of the file apart."""
        return Partial(self.work / f"{Path(name).name}.{sha256[:12]}.partial")

    def missing(self, files: Sums) -> Sums:
        """Return those of ``files`` that are not there with the right checksum.

        Raises:
            UserError: another file has such a name, and ``replace`` is not set.
        """
        return {name: sha256 for name, sha256 in files.items() if not self._is_there(name, sha256)}

    def _is_there(self, name: str, sha256: str) -> bool:
        path = self.path / name
        if not os.path.lexists(path):
            return False
        if path.is_dir():
            raise UserError(f"{path}: a folder where a file of the release belongs; move it away")
        if path.is_file() and digest_of_file(path) == sha256:
            return True
        if not self._replace:
            raise UserError(
                f"{path}: differs from the release (checksum), so it may be yours; move it away, or overwrite it "
                "with --replace"
            )
        return False

    def accept(self, name: str, sha256: str) -> bool:
        """Move a partial file into place if its checksum holds, else leave it; tell which."""
        partial = self.partial(name, sha256)
        if not partial.path.exists() or digest_of_file(partial.path) != sha256:
            return False
        if self._is_there(name, sha256):  # put there since the fetch began
            partial.discard()
            return True
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(partial.path)
        partial.path.replace(target)
        partial.discard()
        return True


@contextmanager
def opened_folder(path: Path, *, replace: bool) -> Iterator[Folder]:
    """Yield the folder at ``path``, made if need be; partial files stay when the block ends in an error.

    Raises:
        UserError: it is no folder, cannot be written, or another process is fetching into it.
        OSError: the disk is full.
    """
    made = not os.path.lexists(path)
    folder = Folder(path, replace=replace)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            folder.work.mkdir(exist_ok=True)
            try:
                yield folder
            except BaseException:
                _remove_if_empty(folder.work, *([path] if made else []))
                raise
            shutil.rmtree(folder.work, ignore_errors=True)
            _sync(path)
    except OSError as error:
        if disk_is_full(error):
            raise
        where = error.filename or path
        raise UserError(f"{where}: cannot be written here ({error.strerror}); give --out another folder") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on the folder, which the system takes back when the process dies."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UserError(f"{path}: another process is fetching into it; wait for it or give --out another") from error
    except OSError:
        pass  # some network file systems lock no folders; then the checksums alone stand guard
    try:
        yield
    finally:
        os.close(handle)


def digest_of_file(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _remove_if_empty(*folders: Path) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _sync(path: Path) -> None:
    """See that a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
