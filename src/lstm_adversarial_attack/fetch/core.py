"""Fetching a release: its list of checksums, then every file that is not there yet."""

from __future__ import annotations

import os
from pathlib import Path

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.fetch.download import OnBytes, Patience, Say, download, read_whole, sizes_bytes
from lstm_adversarial_attack.fetch.folder import Folder, opened_folder
from lstm_adversarial_attack.fetch.options import FetchOptions
from lstm_adversarial_attack.fetch.releases import LICENCE_FILE, RELEASES, Sums
from lstm_adversarial_attack.fetch.server import Server
from lstm_adversarial_attack.fetch.sums import SUMS_FILE, parse_sums
from lstm_adversarial_attack.progress import Reporter, StageProgress
from lstm_adversarial_attack.settings import checked

_MOST_SUMS_BYTES = 16 * 2**20
#: Above this many files, asking for all sizes first takes longer than it is worth.
_MOST_SIZES = 100


def fetch_release(name: str, out: Path, options: FetchOptions, reporter: Reporter) -> list[str]:
    """Fetch the data set ``name`` (a key of `RELEASES`) into the folder ``out``; return what to tell the user.

    Files that are there with the right checksum are kept; what an earlier fetch has left unfinished is taken up.

    Raises:
        UserError: a bad option, a server that is not there, not trusted or fails for good, a file whose checksum is
            wrong twice, or a folder that cannot be written or holds other files of the same names.
        OSError: the disk is full.
    """
    release, options = RELEASES[name], checked(options)
    release.check(options)
    if os.path.lexists(out) and not out.is_dir():
        raise UserError(f"{out}: not a folder; give --out another address")
    server = Server(options.mirror or release.address, timeout_s=options.timeout_s)
    with reporter.stage("fetch") as progress:
        patience = Patience(options.retries, progress.say)
        listed = read_whole(server, SUMS_FILE, patience, most_bytes=_MOST_SUMS_BYTES)
        files = release.choose(parse_sums(listed, server.address_of(SUMS_FILE)), options)
        with opened_folder(out, replace=options.replace) as folder:
            missing = folder.missing(files)
            _fetch_all(server, folder, missing, options.retries, progress)
    return [
        f"{out}: {release.title}, {len(files)} files: {len(missing)} fetched, {len(files) - len(missing)} there "
        "already; all checksums hold",
        f"Licence: {release.licence}{f' ({out / LICENCE_FILE})' if LICENCE_FILE in files else ''}",
        f"Cite: {release.citation}",
        f"Go on with: {release.next_command(name, out, options, files)}",
    ]


def _fetch_all(server: Server, folder: Folder, files: Sums, retries: int, progress: StageProgress) -> None:
    """Fetch ``files`` one after the other and show the progress over all of them."""
    sizes = sizes_bytes(server, list(files)) if len(files) <= _MOST_SIZES else {}
    here = {name: folder.partial(name, sha256).size_bytes for name, sha256 in files.items()}
    done_bytes = sum(here.values()) if sizes else 0
    progress.start(f"kB of {len(files)} files", _kilobytes(sum(sizes.values())), _kilobytes(done_bytes))
    for name, sha256 in files.items():
        others_bytes = sum(here.values()) - here[name]

        def on_bytes(size_bytes: int, name: str = name, others_bytes: int = others_bytes) -> None:
            here[name] = size_bytes
            progress.reach(_kilobytes(others_bytes + size_bytes), name)

        _fetch_file(server, folder, name, sha256, Patience(retries, progress.say), on_bytes, progress.say)


def _fetch_file(
    server: Server, folder: Folder, name: str, sha256: str, patience: Patience, on_bytes: OnBytes, say: Say
) -> None:
    """Fetch a file into place; one whose checksum is wrong is fetched once more, from the first byte."""
    if folder.accept(name, sha256):  # whole already, but killed before it was renamed
        return
    partial = folder.partial(name, sha256)
    for time in ("first", "second"):
        download(server, name, partial, patience, on_bytes)
        if folder.accept(name, sha256):
            return
        partial.discard()
        say(f"{name}: the checksum does not hold, the {time} time")
    raise UserError(
        f"{server.address_of(name)}: came twice with a checksum other than {SUMS_FILE} says; something on the way, "
        "or the server, damages it: try again later or from another network"
    )


def _kilobytes(size_bytes: int) -> int:
    return -(-size_bytes // 1000)
