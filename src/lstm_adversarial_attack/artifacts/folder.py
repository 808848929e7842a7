"""Opening and writing artifact folders on a local disk."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
import polars as pl

from lstm_adversarial_attack.artifacts.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSIONS,
    Identity,
    Manifest,
    environment,
    file_entry,
    is_file_path,
)
from lstm_adversarial_attack.errors import UserError, disk_is_full
from lstm_adversarial_attack.frames import Schema, conform

T = TypeVar("T")

_REPLACED = "replaced"
#: Times that the work folder may vanish under who wants to lock it.
_MOST_TRIES = 100
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class Artifact:
    """A verified artifact: its folder and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """The manifest's digest, the name of the work."""
        return self.manifest.digest

    def file(self, name: str) -> Path:
        """Return the path of a data file.

        Raises:
            UserError: the artifact holds no such file.
        """
        if name not in self.manifest.files:
            raise UserError(f"{self.path}: an artifact of kind {self.manifest.kind!r} without {name}; make it again")
        return self.path / name

    def frame(self, name: str, schema: Schema) -> pl.DataFrame:
        """Read a Parquet table and check it against ``schema``."""
        path = self.file(name)
        try:
            return conform(pl.read_parquet(path), schema)
        except ValueError as error:
            raise UserError(f"{path}: not the table expected: {error}") from error

    def json(self, name: str, kind: type[T]) -> T:
        """Read a JSON file as ``kind`` (a msgspec struct)."""
        path = self.file(name)
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise UserError(f"{path}: not what a {self.manifest.kind} artifact holds: {error}") from error


@dataclass
class Draft:
    """An artifact being written: the folder for its files, a folder that survives a kill, and its counts."""

    path: Path
    work: Path
    rows: dict[str, int] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    def write_frame(self, name: str, frame: pl.DataFrame, schema: Schema) -> None:
        """Write a table as Parquet and count its rows."""
        encoded = BytesIO()  # not straight to the file: of a full disk Polars says only "transport error"
        conform(frame, schema).write_parquet(encoded, compression="zstd", compression_level=3)
        (self.path / name).write_bytes(encoded.getbuffer())
        self.rows[name.removesuffix(".parquet")] = frame.height

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file, whose name may have a folder before it, as in ``figures/roc.png``."""
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as strict, indented JSON (msgspec writes NaN as null)."""
        encoded = msgspec.json.encode(value, order="deterministic")
        (self.path / name).write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")


@dataclass(frozen=True)
class Occupant:
    """What stands at an output address: nothing, a whole artifact, or a damaged one (with the reason)."""

    artifact: Artifact | None = None
    damage: str | None = None


def local_folder(address: str | Path) -> Path:
    """Return ``address`` as an absolute path.

    Raises:
        UserError: it is an address of another kind, such as ``s3://``.
    """
    if _SCHEME.match(str(address)):
        raise UserError(f"{address}: artifacts are read from and written to local folders; give a path")
    return Path(address).absolute()


def open_artifact(address: str | Path, kind: str) -> Artifact:
    """Open the ``kind`` artifact at ``address`` and verify it: schema version, digest, size and checksums.

    Raises:
        UserError: nothing there, another kind, an unknown schema version, or a file that is missing or changed.
    """
    path = local_folder(address)
    manifest = read_manifest(path, kind)
    for name, entry in manifest.files.items():
        if not is_file_path(name):
            raise UserError(
                f"{path}: manifest.json names the file {name!r}, which is not a plain file name, alone or in a folder"
            )
        file = path / name
        if not file.is_file() or file.is_symlink() or (file.parent != path and file.parent.is_symlink()):
            raise UserError(f"{file}: missing from the {kind} artifact; make the artifact again")
        if file_entry(file) != entry:
            raise UserError(f"{file}: checksum does not match manifest.json; make the artifact again")
    return Artifact(path, manifest)


def read_manifest(address: str | Path, kind: str) -> Manifest:
    """Return what the ``kind`` artifact at ``address`` says of itself; its files are not looked at.

    Raises:
        UserError: nothing there, another kind, an unknown schema version, or a manifest that was changed.
    """
    path = local_folder(address)
    manifest = _parsed_manifest(path, kind)
    if manifest.kind != kind:
        raise UserError(f"{path}: holds {manifest.kind!r} where {kind!r} is needed; give the artifact of that kind")
    if manifest.digest != manifest.expected_digest():
        raise UserError(f"{path}: manifest.json was changed (its digest does not match); make the artifact again")
    return manifest


def _parsed_manifest(path: Path, kind: str) -> Manifest:
    file = path / MANIFEST_NAME
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; give that of an artifact of kind {kind!r}")
    if not file.is_file():
        raise UserError(f"{path}: no manifest.json, so not a finished artifact; give one of kind {kind!r}")
    content = file.read_bytes()
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.schema_version != SCHEMA_VERSIONS.get(head.kind):
            raise UserError(
                f"{path}: {head.kind!r} schema version {head.schema_version}, but this package reads "
                f"{SCHEMA_VERSIONS.get(head.kind, 'none of that kind')}; make the artifact again"
            )
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UserError(f"{file}: not a manifest: {error}; make the artifact again") from error


class _Head(msgspec.Struct):
    """The fields that tell whether the rest can be read."""

    kind: str
    schema_version: int


class _Contents(msgspec.Struct):
    """The fields that tell what a folder should hold, whatever the schema version."""

    kind: str
    files: dict[str, Any]


def occupant(out: Path, kind: str) -> Occupant:
    """Look at the output address ``out`` before any work.

    Raises:
        UserError: it holds something that is not a ``kind`` artifact, which must not be overwritten.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{out}: not a folder; give --out another address")
    if out.exists() and (out.is_mount() or out.samefile(Path.cwd())):
        raise UserError(f"{out}: a mount point or the working folder cannot be replaced; give --out a folder below it")
    _settle(out)
    if not out.is_dir() or not any(out.iterdir()):
        return Occupant()
    strange = _strange_files(out, kind)
    if strange:
        raise UserError(
            f"{out}: the output folder holds something else than {kind!r} ({strange[0]}); "
            "empty it or give --out another"
        )
    try:
        return Occupant(open_artifact(out, kind))
    except UserError as error:
        return Occupant(damage=str(error))


def _settle(out: Path) -> None:
    """Put right what a kill between the two renames of a replacement has left behind."""
    replaced = _work_root(out) / _REPLACED
    if replaced.exists():
        with _locked(_work_root(out), out):
            if replaced.exists() and not out.exists():
                replaced.rename(out)
            shutil.rmtree(replaced, ignore_errors=True)


def discard_work(out: Path) -> None:
    """Delete what earlier, unfinished work on ``out`` has kept, unless another process is at it."""
    if _work_root(out).exists():
        with _locked(_work_root(out), out):
            shutil.rmtree(_work_root(out), ignore_errors=True)


def _work_root(out: Path) -> Path:
    return out.parent / f".{out.name}.work"


def _strange_files(out: Path, kind: str) -> list[str]:
    """Return the names in ``out`` that a manifest of ``kind`` does not account for."""
    names = {path.name for path in out.iterdir()}
    try:
        contents = msgspec.json.decode((out / MANIFEST_NAME).read_bytes(), type=_Contents)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError):
        return sorted(names)
    if contents.kind != kind:
        return sorted(names)
    known = {MANIFEST_NAME, *filter(is_file_path, contents.files)}
    folders = {name.rpartition("/")[0] for name in known} - {""}
    inside = [out / folder for folder in folders if (out / folder).is_dir() and not (out / folder).is_symlink()]
    names |= {path.relative_to(out).as_posix() for folder in inside for path in folder.iterdir()}
    return sorted(names - known - folders)


@contextmanager
def write_artifact(out: Path, identity: Identity, *, stage: str, how: Any = None) -> Iterator[Draft]:
    """Yield a `Draft`; when the block ends well, the artifact stands whole at ``out``, else nothing changed.

    What the block keeps under ``draft.work`` is there again when the same work (same settings, seed and
    inputs, same code and libraries, same ``how``, such as the device) is begun anew after a kill; it is
    deleted when the artifact is done.

    Raises:
        UserError: another process is writing the same artifact, or ``out`` cannot be written.
    """
    work_root = _work_root(out)
    with _locked(work_root, out):
        work = _only(work_root, identity.key(how))
        draft_path = work_root / "draft"
        shutil.rmtree(draft_path, ignore_errors=True)
        draft_path.mkdir()
        draft = Draft(draft_path, work)
        try:
            yield draft
            _seal(draft, identity, stage)
        except BaseException:
            shutil.rmtree(draft_path, ignore_errors=True)
            if not any(work.iterdir()):
                shutil.rmtree(work_root, ignore_errors=True)
            raise
        _move_into_place(draft_path, out)
        shutil.rmtree(work_root, ignore_errors=True)


def _locked(work_root: Path, out: Path) -> IO[str]:
    """Make the work folder and return an open lock in it, which the system takes back when the process dies."""
    try:
        for _ in range(_MOST_TRIES):
            work_root.mkdir(parents=True, exist_ok=True)
            lock = _lock_in(work_root)
            if lock:
                return lock
    except BlockingIOError as error:
        raise UserError(
            f"{out}: another process is writing this artifact; wait for it or give --out another"
        ) from error
    except OSError as error:
        if disk_is_full(error):
            raise
        raise UserError(f"{out}: cannot be written here ({error.strerror}); give --out another address") from error
    raise UserError(f"{out}: cannot be written here ({work_root} vanishes again and again); give --out another address")


def _lock_in(work_root: Path) -> IO[str] | None:
    """Return the lock, or None where who held it has just finished and removed the folder."""
    path = work_root / "lock"
    try:
        lock = path.open("w")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            return lock
    except FileNotFoundError:
        pass
    except OSError:
        lock.close()
        raise
    lock.close()
    return None


def _only(work_root: Path, key: str) -> Path:
    """Return the work folder ``key``, having dropped those of other settings."""
    for other in work_root.iterdir():
        if other.is_dir() and other.name != key:
            shutil.rmtree(other, ignore_errors=True)
    work = work_root / key
    work.mkdir(exist_ok=True)
    return work


def _seal(draft: Draft, identity: Identity, stage: str) -> None:
    """Checksum the files, write the manifest last, and see that all of it is on disk."""
    names = sorted(path.relative_to(draft.path).as_posix() for path in draft.path.rglob("*") if path.is_file())
    files = {name: file_entry(draft.path / name) for name in names}
    manifest = Manifest(
        kind=identity.kind,
        schema_version=SCHEMA_VERSIONS[identity.kind],
        stage=stage,
        settings=identity.settings,
        seed=identity.seed,
        inputs=identity.inputs,
        files=files,
        rows=draft.rows,
        digest="0" * 64,
        environment=environment() | draft.environment,
    )
    draft.write_json(MANIFEST_NAME, msgspec.structs.replace(manifest, digest=manifest.expected_digest()))
    for path in draft.path.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # some writers make files that their owner alone can read
        _sync(path)
    _sync(draft.path)


def _move_into_place(draft: Path, out: Path) -> None:
    """Rename the draft to ``out``; an older artifact there is first renamed away, then deleted."""
    old = draft.with_name(_REPLACED)
    if out.exists():
        out.rename(old)
    draft.rename(out)
    _sync(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """See that a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
