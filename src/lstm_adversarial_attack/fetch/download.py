"""Downloading one file to a partial file, with as many connections as it takes."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from urllib3.response import BaseHTTPResponse

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.fetch.server import PassingFailureError, Server

_CHUNK_BYTES = 1 << 18
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
#: A server that asks for a longer wait than this is left alone.
_LONGEST_ASKED_WAIT_S = 300.0

#: A weak ETag (W/"...") does not say that the bytes are the same.
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")

Say = Callable[[str], None]
#: Told how many bytes of the file are here.
OnBytes = Callable[[int], None]


class Patience:
    """Counts failures in a row, and waits longer after each."""

    def __init__(self, retries: int, say: Say) -> None:
        self._retries, self._say = retries, say
        self._failures = 0

    def wait_after(self, failure: PassingFailureError, *, got_further: bool = False) -> None:
        """Wait before the next try.

        Raises:
            UserError: there is no next try: too many have failed without getting further.
        """
        self._failures = 1 if got_further else self._failures + 1
        if self._failures > self._retries:
            tries = "a single try" if self._failures == 1 else f"{self._failures} tries in a row"
            raise UserError(f"{failure}; given up after {tries}; start it again to go on where it stopped") from failure
        wait_s = self._wait_s() if failure.wait_s is None else failure.wait_s
        if wait_s > _LONGEST_ASKED_WAIT_S:
            raise UserError(f"{failure} and asks for a wait of more than 5 minutes; start it again then") from failure
        self._say(f"{failure}; trying again in {wait_s:.0f} s ({self._failures} of {self._retries})")
        time.sleep(wait_s)

    def _wait_s(self) -> float:
        """Return a wait that doubles each time, with jitter, so that many clients do not come back at once."""
        doubled = _FIRST_WAIT_S * 2.0 ** (self._failures - 1)
        return min(_LONGEST_WAIT_S, doubled) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Partial:
    """What has come of a file, and beside it the ETag that it came under."""

    path: Path

    @property
    def size_bytes(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def etag(self) -> str | None:
        """The ETag that the bytes came under, if it is one to go on with."""
        etag = self._etag_path.read_text(errors="replace") if self._etag_path.exists() else ""
        return etag if _STRONG_ETAG.fullmatch(etag) else None

    def begin(self, etag: str | None) -> None:
        """Start from nothing, with bytes to come under ``etag``."""
        self.path.write_bytes(b"")  # first, so that no old bytes ever stand beside a new ETag
        self._etag_path.write_text(etag or "")

    def discard(self) -> None:
        """Forget what has come."""
        self.path.unlink(missing_ok=True)
        self._etag_path.unlink(missing_ok=True)

    @property
    def _etag_path(self) -> Path:
        return self.path.with_name(self.path.name + ".etag")


def download(server: Server, name: str, partial: Partial, patience: Patience, on_bytes: OnBytes) -> None:
    """Bring ``partial`` to its end, from where it is.

    Raises:
        UserError: the server does not have the file, or too many tries in a row brought nothing new.
    """
    furthest_bytes = partial.size_bytes
    while True:
        try:
            return _transfer(server, name, partial, on_bytes)
        except PassingFailureError as failure:
            # Measured by the furthest byte: a server that cuts at the same place each time gets nowhere.
            got_further = partial.size_bytes > furthest_bytes
            furthest_bytes = max(furthest_bytes, partial.size_bytes)
            patience.wait_after(failure, got_further=got_further)


def _transfer(server: Server, name: str, partial: Partial, on_bytes: OnBytes) -> None:
    """Ask once for what is missing and write what comes."""
    headers = _range_headers(partial)
    with server.asked(name, headers=headers, also=(206, 416) if headers else ()) as response:
        whole = response.status == 200  # nothing was here, the file has changed, or the server knows no ranges
        if whole:
            partial.begin(response.headers.get("ETag"))
        if whole or _continues(response, partial):
            return _write(response, partial, on_bytes)
    partial.discard()
    return _transfer(server, name, partial, on_bytes)  # which now asks for no range


def _write(response: BaseHTTPResponse, partial: Partial, on_bytes: OnBytes) -> None:
    with partial.path.open("ab") as file:
        # As it comes: waiting for whole chunks would lose what came before a cut.
        while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
            file.write(chunk)
            on_bytes(file.tell())


def _range_headers(partial: Partial) -> dict[str, str]:
    """Return the headers that ask for the rest: the whole file comes if it is no longer the same."""
    if not partial.size_bytes:
        return {}
    unchanged = {"If-Range": partial.etag} if partial.etag else {}
    return {"Range": f"bytes={partial.size_bytes}-", **unchanged}


def _continues(response: BaseHTTPResponse, partial: Partial) -> bool:
    """Tell whether a partial answer goes on where the partial file ends, in the same version of the file."""
    start = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    etags = {partial.etag, response.headers.get("ETag")} - {None}
    same_version = not partial.etag or len(etags) == 1
    return response.status == 206 and start is not None and int(start[1]) == partial.size_bytes and same_version


def read_whole(server: Server, name: str, patience: Patience, *, most_bytes: int) -> bytes:
    """Return a small file.

    Raises:
        UserError: as `download`, or the file is larger than ``most_bytes``.
    """
    while True:
        content = b""
        try:
            with server.asked(name) as response:
                while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
                    content += chunk
                    if len(content) > most_bytes:
                        raise UserError(f"{server.address_of(name)}: larger than {most_bytes:,} bytes; not what it is")
                return content
        except PassingFailureError as failure:
            patience.wait_after(failure)


def sizes_bytes(server: Server, names: list[str]) -> dict[str, int]:
    """Return the sizes that the server tells, without trying twice; it is only for the progress."""
    sizes: dict[str, int] = {}
    try:
        for name in names:
            with server.asked(name, method="HEAD") as response:
                response.drain_conn()  # nothing comes, and the connection stays open for the next
                sizes[name] = int(response.headers.get("Content-Length", ""))
    except (PassingFailureError, UserError, ValueError):
        return {}
    return sizes
