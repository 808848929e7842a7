"""Whose data a source holds: nobody's, patients whose data are open to everybody, or patients of whom that is unknown.

The answer is of the stays themselves and not of the address, so that one data set has one answer wherever it is kept.
"""

from __future__ import annotations

import polars as pl

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.artifacts.contents import Access

_IDS = ("subject_id", "hadm_id", "stay_id")
#: Digest of the `_IDS` of all 136 ICU stays of the MIMIC-III demo 1.4, which is openly licensed.
_CHALLENGE = (132_539, 163_037)  # first and last RecordID of sets a, b and c of the Challenge 2012
_DEMO = "06b076e06806f75c85d95590303b53fab001ded272c35e9fda15806f9f0e3cca"


def access_of(source: str, stays: pl.DataFrame) -> Access:
    """Return who may see the data of a source.

    The MIMIC-III demo is known by its stays: no other data set has these and no others. Whoever holds the full release
    and reads the demo's stays alone reads what is open anyway.

    Args:
        source: name of the data set, as in `sources.EventSource.name`.
        stays: every ICU stay of the source (`sources.RAW_STAYS`), in any order, before any rule of the cohort.
    """
    if source == "synthetic":
        return "synthetic"
    if source == "challenge-2012":
        inside = stays["stay_id"].is_between(*_CHALLENGE).all()
        return "open" if len(stays) and inside else "unknown"
    return "open" if digest_of_stays(stays) == _DEMO else "unknown"


def digest_of_stays(stays: pl.DataFrame) -> str:
    """Return a digest of who has which stays, whatever the order of the rows."""
    return digest_of(stays.select(_IDS).sort(_IDS).rows())
