"""Folds of patients: each is held out once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from lstm_adversarial_attack.devices import derive_seed
from lstm_adversarial_attack.errors import UserError

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Patients of each outcome that a fold holds out at least: one for each half, see `halves`.
_LEAST_OF_EACH = 2


def patient_folds(labels: Integers, patients: Integers, *, folds: int, seed: int) -> Integers:
    """Return the fold that holds out each sample ``[sample]``, from 0.

    All samples of a patient fall in one fold, and each fold has about the same share of deaths.

    Args:
        labels: 0 or 1 (died), ``[sample]``.
        patients: who each sample belongs to, ``[sample]``.
        folds: how many.
        seed: of the order in which patients are dealt.

    Raises:
        UserError: no samples, one class, or too few patients for each fold to hold out both outcomes.
    """
    if labels.size == 0:
        raise UserError("the dataset holds no samples; give a larger source")
    of_each = [np.unique(patients[labels == outcome]).size for outcome in (0, 1)]
    if 0 in of_each:
        outcome = ("survived", "died")[of_each.index(0)]
        raise UserError(f"no patient of the dataset {outcome}; the audit needs both outcomes: give a larger source")
    told = f"{of_each[0]:,} patients who survived and {of_each[1]:,} who died are too few for {folds} folds"
    remedy = "give a larger source, or fewer --folds"
    if min(of_each) < _LEAST_OF_EACH * folds:
        raise UserError(f"{told}; {remedy}")
    fold = _dealt(labels, patients, folds, derive_seed(seed, "folds"))
    for number in range(folds):
        out = fold == number
        if min(np.unique(patients[out & (labels == outcome)]).size for outcome in (0, 1)) < _LEAST_OF_EACH:
            raise UserError(f"{told}; {remedy} or another --seed")
    return fold


def halves(labels: Integers, patients: Integers, *, seed: int) -> Mask:
    """Return which samples belong to the second half of the patients ``[sample]``."""
    second: Mask = _dealt(labels, patients, 2, derive_seed(seed, "halves")) == 1
    return second


def _dealt(labels: Integers, patients: Integers, parts: int, seed: int) -> Integers:
    """Deal patients to ``parts`` parts and return the part of each sample."""
    dealer = StratifiedGroupKFold(parts, shuffle=True, random_state=seed % 2**32)
    part = np.zeros(labels.size, np.int64)
    for number, (_, held_out) in enumerate(dealer.split(labels, labels, patients)):
        part[held_out] = number
    return part
