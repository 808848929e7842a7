"""What an attack has found: for each sample the first, the sparsest and the smallest example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["first", "sparsest", "smallest"]


@dataclass(frozen=True)
class Found:
    """One kind of example for every sample; where the attack failed, all cells are 0.

    Attributes:
        delta: [sample, hour, feature], what to add to the values.
        iteration: [sample] int32, the step at which it was found, from 1; 0 where the attack failed.
    """

    delta: Tensor
    iteration: Tensor

    @property
    def success(self) -> Tensor:
        """[sample] bool."""
        return self.iteration > 0

    @property
    def l0(self) -> Tensor:
        """[sample] int64, number of changed cells."""
        return (self.delta != 0).flatten(1).sum(dim=1)

    @property
    def l1(self) -> Tensor:
        """[sample], sum of absolute changes."""
        return self.delta.abs().flatten(1).sum(dim=1)

    @property
    def linf(self) -> Tensor:
        """[sample], largest absolute change."""
        return self.delta.abs().flatten(1).amax(dim=1)


@dataclass(frozen=True)
class AttackResult:
    """The examples of an attack and what they cost.

    Attributes:
        first, sparsest, smallest: see `frames.EXAMPLES`.
        gradients: [sample] int32, gradient evaluations.
        forwards: [sample] int32, forward passes without a gradient.
    """

    first: Found
    sparsest: Found
    smallest: Found
    gradients: Tensor
    forwards: Tensor

    @property
    def success(self) -> Tensor:
        """[sample] bool, whether any example was found."""
        return self.first.success

    def found(self, kind: Kind) -> Found:
        """Return the examples of one kind."""
        found: Found = getattr(self, kind)
        return found

    def delta(self, kind: Kind) -> Tensor:
        """Return the perturbations of one kind, dense: [sample, hour, feature]."""
        return self.found(kind).delta


class BestSoFar:
    """Keeps the first, sparsest and smallest examples while an attack goes on; nothing leaves the device."""

    def __init__(self, values: Tensor) -> None:
        samples = len(values)
        self._deltas = {kind: torch.zeros_like(values) for kind in ("first", "sparsest", "smallest")}
        self._iterations = {
            kind: torch.zeros(samples, dtype=torch.int32, device=values.device) for kind in self._deltas
        }
        self._l0 = torch.full((samples,), torch.iinfo(torch.int64).max, device=values.device)
        self._l0_l1 = torch.full((samples,), torch.inf, device=values.device)
        self._l1 = torch.full((samples,), torch.inf, device=values.device)

    def update(self, delta: Tensor, turned: Tensor, iteration: int) -> None:
        """Take in the perturbations ``delta`` [sample, hour, feature] where they ``turned`` [sample] the prediction."""
        size = delta.abs().flatten(1)
        l0, l1 = (size > 0).sum(dim=1), size.sum(dim=1)
        sparser = (l0 < self._l0) | ((l0 == self._l0) & (l1 < self._l0_l1))
        better = {
            "first": turned & (self._iterations["first"] == 0),
            "sparsest": turned & sparser,
            "smallest": turned & (l1 < self._l1),
        }
        self._l0 = torch.where(better["sparsest"], l0, self._l0)
        self._l0_l1 = torch.where(better["sparsest"], l1, self._l0_l1)
        self._l1 = torch.where(better["smallest"], l1, self._l1)
        for kind, which in better.items():
            self._deltas[kind] = torch.where(which[:, None, None], delta, self._deltas[kind])
            self._iterations[kind] = torch.where(which, iteration, self._iterations[kind])

    def found(self, kind: Kind) -> Found:
        """Return the examples of one kind so far."""
        return Found(self._deltas[kind], self._iterations[kind])
