"""Who is in which split, and whether the splits are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from lstm_adversarial_attack.frames import SPLITS
from lstm_adversarial_attack.preprocess.card_shown import (
    FEW,
    FEW_SHOWN,
    UNDEFINED,
    few_of,
    is_few,
    is_some_few,
    withheld,
)
from lstm_adversarial_attack.preprocess.hourly import Float, Int, Mask

#: A standardised difference from the training split above this is large.
LARGE = 0.2
#: A large difference of more standard errors than this is more than chance.
ERRORS = 3.0
#: Patients from which quartiles are shown, so that each quartile has `FEW` patients or more on either side.
LEAST_FOR_QUARTILES = 4 * FEW
#: What stands in a cell that is hidden for the sake of another.
NOT_SHOWN = "not shown"

_SYSTEMS = {"carevue": "CareVue", "metavision": "MetaVision", "challenge-2012": "Challenge 2012"}
_SEXES = {"F": "Female", "M": "Male"}


@dataclass(frozen=True)
class Row:
    """A line of the table of splits: all samples first, then each of `frames.SPLITS`.

    ``difference`` is the largest standardised difference from the training split; ``mark`` is empty, large
    (more than chance) or chance.
    """

    label: str
    cells: tuple[str, ...]
    difference: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Group:
    """Lines that belong together."""

    label: str
    rows: tuple[Row, ...]


def split_groups(samples: pl.DataFrame) -> list[Group]:
    """Return the table of splits; ``samples`` is of `frames.SAMPLES`."""
    ids = [samples["subject_id"], *(part["subject_id"] for part in _by_split(samples))]
    sizes = Row("Samples", tuple(f"{len(part):,}" for part in ids))
    patients = Row("Patients", tuple(f"{part.n_unique():,}" for part in ids))
    outcome = _categories(samples, "label", {1: "Died in hospital", 0: "Survived"}.get)
    return [
        Group("Size", (sizes, patients)),
        Group("Outcome", outcome),
        Group("Age in years", (_age(samples),)),
        Group("Sex", _categories(samples, "sex", _SEXES.get)),
        Group("First care unit", _categories(samples, "unit", lambda word: word)),
        Group("Charting system", _categories(samples, "charting_system", lambda word: _SYSTEMS.get(word, word))),
    ]


def shared_patients(samples: pl.DataFrame) -> int:
    """Return how many patients stand in more than one split."""
    return samples.group_by("subject_id").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height


def _by_split(samples: pl.DataFrame) -> list[pl.DataFrame]:
    return [samples.filter(pl.col("split") == split) for split in SPLITS]


def _categories(samples: pl.DataFrame, column: str, named: Callable[..., str | None]) -> tuple[Row, ...]:
    """Return a line for each value of ``column``."""
    words = samples[column].unique().sort(descending=column == "label", nulls_last=True).to_list()
    parts = (samples, *_by_split(samples))
    counts, patients = _counts(parts, column, words)
    hidden = is_some_few(patients)
    recorded = [word is not None for word in words]
    hidden[recorded] = withheld(patients[recorded])  # that something is not recorded gives nobody away
    sizes = np.array([len(part) for part in parts])
    people = np.array([part["subject_id"].n_unique() for part in parts])
    rows = []
    for word, count, number, unseen in zip(words, counts, patients, hidden, strict=True):
        cells = [_cell(*cell) for cell in zip(count.tolist(), sizes.tolist(), number.tolist(), unseen, strict=True)]
        label = "Not recorded" if word is None else str(named(word) or word)
        share = count / np.maximum(sizes, 1)
        spread = np.sqrt(share * (1 - share))
        rows.append(Row(label, tuple(cells), *_difference(share[1:], spread[1:], people[1:], unseen[1:])))
    return tuple(rows)


def _counts(parts: Iterable[pl.DataFrame], column: str, words: list[object]) -> tuple[Int, Int]:
    """Return samples and patients of each part by word: [word, part] each."""
    subject = pl.col("subject_id")
    found = [part.group_by(column).agg(n=pl.len(), patients=subject.n_unique()) for part in parts]
    counts, patients = np.zeros((2, len(words), len(found)), np.int64)
    for index, table in enumerate(found):
        for word, n, people in table.iter_rows():
            counts[words.index(word), index], patients[words.index(word), index] = n, people
    return counts, patients


def _cell(count: int, whole: int, patients: int, unseen: bool) -> str:
    if is_few(patients):
        return FEW_SHOWN
    return NOT_SHOWN if unseen else few_of(count, whole)


def _age(samples: pl.DataFrame) -> Row:
    parts = _by_split(samples)
    ages = [part["age_years"].drop_nulls().cast(pl.Float64).to_numpy() for part in parts]
    people = np.array([part.drop_nulls("age_years")["subject_id"].n_unique() for part in parts])
    everybody = samples.drop_nulls("age_years")
    cells = [_ages(everybody["age_years"].cast(pl.Float64).to_numpy(), everybody["subject_id"].n_unique())]
    cells += [_ages(*cell) for cell in zip(ages, people.tolist(), strict=True)]
    mean, std = (np.array([f(age) if age.size else np.nan for age in ages]) for f in (np.mean, np.std))
    return Row("Median (quartiles)", tuple(cells), *_difference(mean, std, people, people < FEW))


def _ages(ages: Float, patients: int) -> str:
    """Return median and quartiles as far as there are patients enough for them."""
    if patients < FEW:
        return FEW_SHOWN if patients else UNDEFINED
    low, median, high = np.percentile(ages, [25, 50, 75])
    return f"{median:.0f}" + (f" ({low:.0f} to {high:.0f})" if patients >= LEAST_FOR_QUARTILES else "")


def _difference(mean: Float, std: Float, patients: Int, unseen: Mask) -> tuple[str, str]:
    """Return the largest standardised difference of a split from the first one, in words, and its mark."""
    pairs = [split for split in range(1, len(SPLITS)) if not (unseen[split] or unseen[0]) and patients[split]]
    found = [_standardised(mean[[0, split]], std[[0, split]], patients[[0, split]]) for split in pairs]
    found = [pair for pair in found if not math.isnan(pair[0])]
    if not found:
        return UNDEFINED, ""
    largest = max(difference for difference, _ in found)
    beyond = any(difference > LARGE and errors > ERRORS for difference, errors in found)
    mark = "large" if beyond else "chance" if largest > LARGE else ""
    return f"{largest:.2f}" if largest < 10 else ">10", mark


def _standardised(mean: Float, std: Float, patients: Int) -> tuple[float, float]:
    """Return the distance of two means in their common standard deviation, and in standard errors."""
    distance = abs(float(mean[1] - mean[0]))
    if distance == 0:
        return 0.0, 0.0
    spread = math.sqrt(float(np.mean(std**2)))
    standardised = distance / spread if spread else math.inf
    return standardised, standardised / math.sqrt(float(np.sum(1 / np.maximum(patients, 1))))
