"""A synthetic ICU database in the files and columns of a MIMIC-III release.

It lets every stage run, and be tested and measured, without credentialed data: patients, admissions and
stays, chart and laboratory events in both charting systems, a risk of death that the first 48 hours tell in
part, and the oddities of the real release (unit mixes, error rows, impossible values, missing links). No
row of a real database is used; item ids, labels and units are those of the public dictionaries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .charting import chart_block
from .cohort import MAX_STAYS, IdPool, draw_block
from .dictionaries import item_dictionary, lab_dictionary
from .extended_physiology import extend
from .labs import lab_block
from .outputs import output_block
from .physiology import simulate
from .registry import admissions, icu_stays, patients
from .tables import COLUMNS, TABLE_NAMES, ReleaseWriter

__all__ = ["COLUMNS", "MAX_STAYS", "TABLE_NAMES", "SyntheticCounts", "synthesize"]

BLOCK_STAYS = 1_000


@dataclass(frozen=True)
class SyntheticCounts:
    """Rows written per table."""

    patients: int
    admissions: int
    icustays: int
    chartevents: int
    labevents: int
    outputevents: int
    d_items: int
    d_labitems: int


def synthesize(
    stays: int, seed: int, out: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> SyntheticCounts:
    """Write a synthetic release of `stays` ICU stays into the existing, empty folder `out`.

    The files are `PATIENTS.csv.gz`, `ADMISSIONS.csv.gz`, `ICUSTAYS.csv.gz`, `CHARTEVENTS.csv.gz`,
    `LABEVENTS.csv.gz`, `OUTPUTEVENTS.csv.gz`, `D_ITEMS.csv.gz` and `D_LABITEMS.csv.gz`, with the columns of
    the release in its order. The same (`stays`, `seed`) gives the same rows, and with the same NumPy and zlib
    the same bytes. Memory does not grow with `stays`: blocks of 1,000 stays are generated one after another and
    written a little behind, and `on_progress(done_stays, total_stays)` is called after each.

    Raises `ValueError` if `stays` is below 1 or above what the id ranges of the release can hold, or if
    `seed` is negative.
    """
    _check(stays, seed)
    ids_seed, *block_seeds = np.random.SeedSequence(seed).spawn(1 + -(-stays // BLOCK_STAYS))
    ids = IdPool.shuffled(np.random.default_rng(ids_seed))
    with ReleaseWriter(out) as writer:
        writer.append("D_ITEMS", item_dictionary())
        writer.append("D_LABITEMS", lab_dictionary())
        for number, block_seed in enumerate(block_seeds):
            first_stay = number * BLOCK_STAYS
            done = min(first_stay + BLOCK_STAYS, stays)
            _write_block(writer, block_seed, ids, first_stay, done - first_stay)
            if on_progress is not None:
                on_progress(done, stays)
        return SyntheticCounts(**{name.lower(): writer.rows(name) for name in TABLE_NAMES})


def _check(stays: int, seed: int) -> None:
    """Refuse what the id ranges or NumPy cannot take."""
    if not 1 <= stays <= MAX_STAYS:
        raise ValueError(
            f"stays={stays}: a synthetic release holds 1 to {MAX_STAYS} ICU stays, because each may be "
            "a patient of its own and subject ids end at 99999"
        )
    if seed < 0:
        raise ValueError(f"seed={seed}: must be 0 or above")


def _write_block(writer: ReleaseWriter, seed: np.random.SeedSequence, ids: IdPool, first_stay: int, stays: int) -> None:
    """Generate one block and append it to every table.

    Each table has its own random stream, and another one for what was added later: new rows change no old ones.
    """
    people, bodies, books, charts, labs, more_bodies, more_charts, more_labs, outputs = (
        np.random.default_rng(child) for child in seed.spawn(9)
    )
    block = draw_block(people, ids, first_stay, stays)
    course = extend(more_bodies, block, simulate(bodies, block))
    writer.append("PATIENTS", patients(books, block))
    writer.append("ADMISSIONS", admissions(books, block))
    writer.append("ICUSTAYS", icu_stays(books, block))
    for frame in chart_block(charts, more_charts, block, course):
        writer.append("CHARTEVENTS", frame)
    writer.append("LABEVENTS", lab_block(labs, more_labs, block, course))
    writer.append("OUTPUTEVENTS", output_block(outputs, block, course))
