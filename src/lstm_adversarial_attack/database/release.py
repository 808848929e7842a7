"""The 26 tables of MIMIC-III, how many rows each has in the published releases, and which release a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Release = Literal["full", "demo", "other"]

#: Rows of (the full release v1.4, the demo v1.4). The full release: PhysioNet's table counts, as the checks of the
#: public PostgreSQL scripts (mimic-code, postgres_checks.sql) have them. The demo: counted in files whose SHA-256 sums
#: are those that PhysioNet publishes.
_ROWS = {
    "admissions": (58_976, 129),
    "callout": (34_499, 77),
    "caregivers": (7_567, 7_567),
    "chartevents": (330_712_483, 758_355),
    "cptevents": (573_146, 1_579),
    "d_cpt": (134, 134),
    "d_icd_diagnoses": (14_567, 14_567),
    "d_icd_procedures": (3_882, 3_882),
    "d_items": (12_487, 12_487),
    "d_labitems": (753, 753),
    "datetimeevents": (4_485_937, 15_551),
    "diagnoses_icd": (651_047, 1_761),
    "drgcodes": (125_557, 297),
    "icustays": (61_532, 136),
    "inputevents_cv": (17_527_935, 34_799),
    "inputevents_mv": (3_618_991, 13_224),
    "labevents": (27_854_055, 76_074),
    "microbiologyevents": (631_726, 2_003),
    "noteevents": (2_083_180, 0),
    "outputevents": (4_349_218, 11_320),
    "patients": (46_520, 100),
    "prescriptions": (4_156_450, 10_398),
    "procedureevents_mv": (258_066, 753),
    "procedures_icd": (240_095, 506),
    "services": (73_343, 163),
    "transfers": (261_897, 524),
}
TABLES = tuple(_ROWS)

#: The small tables by which a release is known.
TELLING = ("patients", "admissions", "icustays")


def published_rows(release: Release, table: str) -> int | None:
    """Return how many rows ``table`` has in ``release``, or None where nobody has published it."""
    if release == "other":
        return None
    full, demo = _ROWS[table]
    return full if release == "full" else demo


def release_of(rows: Mapping[str, int]) -> Release:
    """Return the release whose tables have ``rows``, of which only the `TELLING` count.

    PATIENTS decides; where it fits no release, the other two together do, so that a PATIENTS that was cut is
    found out and does not pass for a release of its own.

    >>> release_of({"patients": 100}), release_of({"patients": 99, "admissions": 129, "icustays": 136})
    ('demo', 'demo')
    >>> release_of({"patients": 99, "admissions": 140, "icustays": 136})
    'other'
    """
    patients, *others = TELLING
    for release in ("full", "demo"):
        fits = {table for table in TELLING if rows.get(table) == published_rows(release, table)}
        if patients in fits or fits.issuperset(others):
            return release
    return "other"
