"""The options of a fetch, apart from the code that carries it out, so that the command line can show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """What to fetch from where, and how patiently."""

    sets: str = "a,b,c"
    """Sets of challenge-2012, separated by commas."""

    mirror: str = ""
    """https:// address of a folder that holds the same files as the release on PhysioNet, SHA256SUMS.txt included."""

    replace: bool = False
    """Overwrite files that carry a name of the release but have another checksum; else they are refused, for they
    may be yours."""

    timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Seconds without a sign of the server after which it is tried again."""

    retries: Annotated[int, Meta(ge=0, le=100)] = 5
    """Tries in a row that may bring nothing new (connection cut, no answer, server busy) before the fetch gives up."""
