"""What a trial is fitted on and judged by: the validation split, or folds of patients inside the training split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor

from lstm_adversarial_attack.datasets import LoadedDataset, Tensors
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.models.baselines import lesson


@dataclass(frozen=True)
class Fold:
    """Samples to learn from and others, of other patients, to stop and judge by.

    Attributes:
        dataset: all samples.
        fitted_on: [n] int64, which of them to learn from.
        left_out: [m] int64, which of them to stop and judge by.
        seed: of what gradient boosting teaches.
    """

    dataset: LoadedDataset
    fitted_on: Tensor
    left_out: Tensor
    seed: int

    @property
    def train(self) -> Tensors:
        """Samples to learn from."""
        return self.dataset.tensors[self.fitted_on]

    @property
    def validation(self) -> Tensors:
        """Samples to stop and judge by."""
        return self.dataset.tensors[self.left_out]

    @cached_property
    def lesson(self) -> Tensor:
        """What gradient boosting teaches of the samples to learn from [sample]; made once, for all trials."""
        return lesson(self.train, _patients(self.dataset, self.fitted_on), self.seed)


def folds_of(dataset: LoadedDataset, folds: int, seed: int) -> list[Fold]:
    """Return the folds.

    Args:
        dataset: of which no test sample is in a fold.
        folds: parts of the training split, of which each is left out once; 0 for one fold, that of training and
            validation split.
        seed: of the parts.

    Raises:
        UserError: too few patients of one outcome for so many folds.
    """
    train = dataset.of_split("train")
    if folds == 0:
        return [Fold(dataset, train, dataset.of_split("validation"), seed)]
    if folds == 1:
        raise UserError("--folds 1: one fold leaves nothing to learn from; give 0 or at least 2")
    labels, patients = dataset.tensors.labels[train].cpu().numpy(), _patients(dataset, train)
    fewest = min(len(np.unique(patients[labels == label])) for label in (0, 1))
    if fewest < folds:
        raise UserError(
            f"--folds {folds}: the training split holds only {fewest} patients of one outcome; give fewer folds"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    parts = [(pair[0], pair[1]) for pair in splitter.split(labels, labels, patients)]
    if any(len(np.unique(labels[part])) < 2 for pair in parts for part in pair):
        raise UserError(f"--folds {folds}: a fold would hold one outcome alone; give fewer folds")

    def of(part: npt.NDArray[np.int64]) -> Tensor:
        return train[torch.from_numpy(part).to(train.device)]

    return [Fold(dataset, of(fitted_on), of(left_out), seed) for fitted_on, left_out in parts]


def _patients(dataset: LoadedDataset, index: Tensor) -> npt.NDArray[np.int64]:
    patients: npt.NDArray[np.int64] = dataset.samples["subject_id"].to_numpy().astype(np.int64)
    chosen: npt.NDArray[np.int64] = patients[index.cpu().numpy()]
    return chosen
