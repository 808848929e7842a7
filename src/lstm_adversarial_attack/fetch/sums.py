"""Reading a release's list of checksums, SHA256SUMS.txt, which comes from a server and is not believed blindly."""

from __future__ import annotations

import re

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.fetch.releases import Sums

SUMS_FILE = "SHA256SUMS.txt"

#: PhysioNet writes one blank between the two, sha256sum two, or a blank and an asterisk.
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(\S.*)")


def parse_sums(content: bytes, where: str) -> Sums:
    """Return the checksum of each file that the list at ``where`` names.

    Raises:
        UserError: it is not such a list, names a file twice, or names one outside the release's folder.
    """
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not a list of checksums (not text); check the address") from error
    sums: Sums = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.rstrip())
        if not found:
            raise UserError(f"{where}: not a list of checksums (line {number}); check the address")
        name = found[2].removeprefix("./")
        if not _stays_inside(name):
            raise UserError(f"{where}: line {number} names {name!r}, outside the folder; do not trust this server")
        if sums.setdefault(name, found[1].lower()) != found[1].lower():
            raise UserError(f"{where}: two checksums for {name!r} (line {number}); check the address")
    if not sums:
        raise UserError(f"{where}: holds no checksums; check the address")
    return sums


def _stays_inside(name: str) -> bool:
    """Tell whether ``name`` is a plain path below the folder it is joined to, on any system."""
    if "\\" in name or ":" in name or not name.isprintable():
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))
