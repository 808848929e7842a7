"""What ``manifest.json`` says: what an artifact is, what made it, and how to tell that it is whole."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import msgspec

from lstm_adversarial_attack import __version__

#: The kinds of artifact and the schema version that this package writes and reads.
SCHEMA_VERSIONS = {
    "events": 1,
    "dataset": 2,
    "hyperparameters": 1,
    "model": 3,
    "attack-settings": 1,
    "examples": 3,
    "transfer": 1,
    "cross-validation": 1,
    "report": 3,
    "audit": 1,
}

MANIFEST_NAME = "manifest.json"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DEEPEST = 2
_SOURCES = (".py", ".yaml", ".sql", ".j2", ".css", ".js")
_LIBRARIES = (
    "duckdb",
    "jinja2",
    "matplotlib",
    "msgspec",
    "numpy",
    "optuna",
    "plotly",
    "polars",
    "safetensors",
    "scikit-learn",
    "torch",
)

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Checksum and size in bytes of one data file."""

    sha256: Sha256
    size: int


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one piece of work from another before it is done; inputs are kinds with their digests."""

    kind: str
    settings: dict[str, Any]
    seed: int | None
    inputs: dict[str, str]

    def key(self, how: Any) -> str:
        """Return a short name of the work as it is done here: by this code, these libraries, and ``how``."""
        return digest_of([code_fingerprint(), library_versions(), how, self])[:16]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The manifest of an artifact.

    ``digest`` names the work: it covers kind, schema version, settings, seed, files and inputs, and nothing
    of where or when the work was done, which stands in ``environment``.
    """

    kind: str
    schema_version: int
    stage: str
    settings: dict[str, Any]
    seed: int | None
    inputs: dict[str, Sha256]
    files: dict[str, FileEntry]
    rows: dict[str, int]
    digest: Sha256
    environment: dict[str, Any]

    @property
    def identity(self) -> Identity:
        """What the artifact was made of."""
        return Identity(kind=self.kind, settings=self.settings, seed=self.seed, inputs=self.inputs)

    def expected_digest(self) -> str:
        """Return the digest that the other fields call for."""
        return digest_of(
            {
                "kind": self.kind,
                "schema_version": self.schema_version,
                "settings": self.settings,
                "seed": self.seed,
                "inputs": self.inputs,
                "files": {name: entry.sha256 for name, entry in self.files.items()},
            }
        )


def digest_of(value: Any) -> str:
    """Return the SHA-256 of ``value`` as canonical JSON (sorted keys, no spaces, shortest numbers)."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def file_entry(path: Path) -> FileEntry:
    """Read a file once and return its checksum and size."""
    with path.open("rb") as stream:
        return FileEntry(hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size)


def is_file_name(name: str) -> bool:
    """Tell whether ``name`` is plain: no folder, nothing hidden, not the manifest's own."""
    return bool(_FILE_NAME.fullmatch(name)) and name != MANIFEST_NAME


def is_file_path(name: str) -> bool:
    """Tell whether ``name`` may stand in a manifest's files: a plain name, alone or in one folder (``a/b``)."""
    parts = name.split("/")
    return len(parts) <= _DEEPEST and all(map(is_file_name, parts))


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that results depend on, of those that are installed."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return libraries


@cache
def code_fingerprint() -> str:
    """Return a digest of the package's source, which tells what its version cannot in a checkout."""
    package = Path(__file__).parents[1]
    folders = (package, package.parents[1] / "sql")  # in a checkout, SQL lies beside the package's parent
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in _SOURCES]
    return digest_of([[path.name, file_entry(path).sha256] for path in files])


def environment() -> dict[str, Any]:
    """Return where and with what an artifact is made: versions, image, platform and time."""
    return {
        "package": __version__,
        "code": code_fingerprint(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": library_versions(),
        "image_digest": os.environ.get("LSTM_AA_IMAGE_DIGEST"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
