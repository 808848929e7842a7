"""The artifact folder: the one place that opens, checks and writes what stages hand to one another.

An artifact is a folder of data files and a ``manifest.json``. Opening one verifies every checksum; writing
one happens under another name and ends in a rename, so that nothing ever looks complete that is not.
"""

from lstm_adversarial_attack.artifacts.folder import (
    Artifact,
    Draft,
    Occupant,
    discard_work,
    local_folder,
    occupant,
    open_artifact,
    read_manifest,
    write_artifact,
)
from lstm_adversarial_attack.artifacts.manifest import Identity, Manifest, digest_of

__all__ = [
    "Artifact",
    "Draft",
    "Identity",
    "Manifest",
    "Occupant",
    "digest_of",
    "discard_work",
    "local_folder",
    "occupant",
    "open_artifact",
    "read_manifest",
    "write_artifact",
]
