"""Folds of patients, and tensors in the units of a fold's own training patients."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor

from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.devices import derive_seed
from lstm_adversarial_attack.errors import UserError

Indices = npt.NDArray[np.int64]

#: A fifth of a fold's training patients is held back to stop by; another fifth for every seed, five in all.
VALIDATION_PARTS = 5
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Fold:
    """The samples of a fold, by index: what is learned from and what is judged on, no patient in both."""

    number: int
    train: Indices
    test: Indices


def folds(labels: Indices, patients: Indices, count: int, seed: int) -> list[Fold]:
    """Cut the samples into ``count`` folds, whole patients each and with like shares of deaths.

    Raises:
        UserError: fewer patients who died, or who survived, than folds.
    """
    pairs = _split(labels, patients, count, derive_seed(seed, "folds"))
    return [Fold(number, train, test) for number, (train, test) in enumerate(pairs)]


def held_back(labels: Indices, patients: Indices, fold: Fold, member: int, seed: int) -> tuple[Indices, Indices]:
    """Return the training and the validation samples of a fold for one of its networks.

    The fold's training patients are cut into `VALIDATION_PARTS`; network ``member`` is stopped by part
    ``member % VALIDATION_PARTS`` and learns from the others. Test patients are in neither.
    """
    inside = _split(
        labels[fold.train], patients[fold.train], VALIDATION_PARTS, derive_seed(seed, "validation", fold.number)
    )
    train, validation = inside[member % VALIDATION_PARTS]
    return fold.train[train], fold.train[validation]


def _split(labels: Indices, patients: Indices, count: int, seed: int) -> list[tuple[Indices, Indices]]:
    for label, words in ((0, "survived"), (1, "died")):
        fewest = len(np.unique(patients[labels == label]))
        if fewest < count:
            raise UserError(
                f"only {fewest} patients {words}, too few for {count} folds; give fewer --folds or more data"
            )
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    return list(splitter.split(labels, labels, patients))


def in_units_of(tensors: Tensors, train: Tensor) -> Tensors:
    """Return all samples, standardised by the measured cells of the samples ``train`` [n] alone.

    The tensors of a dataset are in units of its own training split, part of which a fold holds out. Static columns
    are standardised likewise, but for those of yes and no.
    """
    values = _restandardised(tensors.values, tensors.observed, train)
    yes_or_no = ((tensors.static == 0) | (tensors.static == 1) | ~tensors.static_observed).all(dim=0)
    static = _restandardised(tensors.static, tensors.static_observed, train)
    known = tensors.static_observed & ~yes_or_no
    return replace(tensors, values=values, static=torch.where(known, static, tensors.static))


def _restandardised(values: Tensor, known: Tensor, train: Tensor) -> Tensor:
    """Return ``(values - mean) / std`` by feature, the last axis, over the known cells of ``train``."""
    shown, mask = values[train].double().flatten(0, -2), known[train].flatten(0, -2)
    count = mask.sum(dim=0).clamp_min(1)
    mean = (shown * mask).sum(dim=0) / count
    std = (((shown - mean) ** 2 * mask).sum(dim=0) / count).sqrt()
    usable = (mask.sum(dim=0) > 1) & (std > _SMALLEST_SPREAD)
    mean, std = torch.where(usable, mean, 0.0), torch.where(usable, std, 1.0)
    return ((values.double() - mean) / std).float()
