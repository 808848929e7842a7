"""Survivors beside deaths, in the training split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from lstm_adversarial_attack.artifacts.contents import Scaling
from lstm_adversarial_attack.preprocess.card_cells import CellSummary, Single
from lstm_adversarial_attack.preprocess.card_splits import LEAST_FOR_QUARTILES
from lstm_adversarial_attack.preprocess.hourly import Int, Mask


@dataclass(frozen=True)
class Quartiles:
    """Quartiles over samples of their means over the measured hours, in the feature's unit."""

    low: float
    median: float
    high: float


#: Of survivors and of deaths.
Outcomes = tuple[Quartiles, Quartiles]


def outcomes(samples: pl.DataFrame, cells: CellSummary, scaling: Scaling) -> list[Outcomes | None]:
    """Return the quartiles of each feature; None where either group has too few patients for quartiles."""
    counts, means = cells.counts(), cells.means()
    training = (samples["split"] == "train").to_numpy()
    subjects, labels = samples["subject_id"].to_numpy(), samples["label"].to_numpy()
    groups = [np.flatnonzero(training & (labels == label)) for label in (0, 1)]
    patients = [_patients(subjects[group], counts[group] > 0) for group in groups]
    return [
        (_quartiles(means[groups[0], column], centre, spread), _quartiles(means[groups[1], column], centre, spread))
        if min(people[column] for people in patients) >= LEAST_FOR_QUARTILES
        else None
        for column, (centre, spread) in enumerate(zip(scaling.mean, scaling.std, strict=True))
    ]


def _patients(subjects: Int, measured: Mask) -> Int:
    """Return the number of patients in whom each feature was measured; ``measured`` is [sample, feature]."""
    if not subjects.size:
        return np.zeros(measured.shape[1], np.int64)
    order = np.argsort(subjects, kind="stable")
    first = np.flatnonzero(np.diff(subjects[order], prepend=subjects[order][0] - 1))
    patients: Int = np.logical_or.reduceat(measured[order], first).sum(axis=0)
    return patients


def _quartiles(means: Single, centre: float, spread: float) -> Quartiles:
    known = means[~np.isnan(means)].astype(np.float64)
    return Quartiles(*(float(q) for q in np.percentile(known, [25, 50, 75]) * spread + centre))
