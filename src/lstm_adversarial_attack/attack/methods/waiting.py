"""Which samples an attack need not go on with."""

from __future__ import annotations

import torch
from torch import Tensor

#: Steps between two looks, and the least number of steps without progress after which a sample is done.
_EVERY, _LEAST = 5, 30


class Waiting:
    """Tells which samples have made no progress for some time."""

    def __init__(self, size: Tensor, patience: float, steps: int, tolerance: float = 0.0) -> None:
        """Watch a size that falls.

        Args:
            size: [sample] before the first step, infinite or very large where nothing was found.
            patience: share of ``steps`` without progress after which a sample is done; 30 steps at least.
            steps: of the attack.
            tolerance: share by which a size must fall to count as progress.
        """
        self._best, self._since = size.clone(), torch.zeros_like(size, dtype=torch.int64)
        self._patience, self._keeps = max(_LEAST, round(patience * steps)), 1 - tolerance
        self._nothing = size.clone()

    @staticmethod
    def looks(step: int) -> bool:
        """Return whether `done` is to be asked after ``step``."""
        return step % _EVERY == _EVERY - 1

    def done(self, step: int, size: Tensor) -> Tensor:
        """Return bool [sample], where ``size`` [sample] has not fallen for so long; never where nothing is found."""
        fallen = size < self._best * self._keeps
        self._best = torch.where(fallen, size, self._best)
        self._since = torch.where(fallen | (size >= self._nothing), step, self._since)
        return step - self._since >= self._patience
