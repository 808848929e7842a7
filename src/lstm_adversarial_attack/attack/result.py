"""What an attack has found: for each sample the first, sparsest and smallest example, and the whole trade-off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["first", "sparsest", "smallest"]
#: What the best example at a number of changed cells is the best in.
Size = Literal["l1", "linf", "cost"]


@dataclass(frozen=True)
class Found:
    """One kind of example for every sample; where the attack failed, no cell is changed.

    Attributes:
        shape: of the values that were attacked: samples, hours, features.
        cells: [changed cell, 3] int64, sample, hour and feature of each, in this order.
        changes: [changed cell], what to add to the value.
        iteration: [sample] int32, gradient evaluations spent when it was found, 1 at least; 0 where the attack failed.
    """

    shape: tuple[int, int, int]
    cells: Tensor
    changes: Tensor
    iteration: Tensor

    @classmethod
    def of(cls, delta: Tensor, iteration: Tensor) -> Found:
        """Return what the dense perturbations ``delta`` [sample, hour, feature] hold."""
        cells = delta.nonzero()
        samples, hours, features = delta.shape
        return cls((samples, hours, features), cells, delta[tuple(cells.T)], iteration)

    @property
    def delta(self) -> Tensor:
        """[sample, hour, feature], what to add to the values."""
        dense = torch.zeros(self.shape, dtype=self.changes.dtype, device=self.changes.device)
        dense[tuple(self.cells.T)] = self.changes
        return dense

    @property
    def success(self) -> Tensor:
        """[sample] bool."""
        return self.iteration > 0

    @property
    def l0(self) -> Tensor:
        """[sample] int64, number of changed cells."""
        return torch.bincount(self.cells[:, 0], minlength=self.shape[0])

    @property
    def l1(self) -> Tensor:
        """[sample], sum of absolute changes."""
        return self._zeros().index_add(0, self.cells[:, 0], self.changes.abs())

    @property
    def linf(self) -> Tensor:
        """[sample], largest absolute change."""
        return self._zeros().scatter_reduce(0, self.cells[:, 0], self.changes.abs(), "amax")

    def _zeros(self) -> Tensor:
        return torch.zeros(self.shape[0], dtype=self.changes.dtype, device=self.changes.device)


@dataclass(frozen=True)
class Frontier:
    """The best example of each sample with 1, 2, 3, ... changed cells, in one of the sizes.

    Attributes:
        shape: of the values that were attacked: samples, hours, features.
        sizes: [sample, count - 1], the size of the best; infinite where none was found.
        cells: [sample, count - 1, count] int32, changed cells as hour * features + feature; the first ``count`` count.
        changes: [sample, count - 1, count], what to add to each.
    """

    shape: tuple[int, int, int]
    sizes: Tensor
    cells: Tensor
    changes: Tensor

    @property
    def at_most(self) -> Tensor:
        """[sample, count - 1], the size of the best with so many changed cells or fewer."""
        return self.sizes.cummin(dim=1).values if self.sizes.numel() else self.sizes

    def delta(self, count: int) -> Tensor:
        """Return the examples with ``count`` changed cells [sample, hour, feature]; 0 where none was found."""
        samples, hours, features = self.shape
        dense = torch.zeros(samples, hours * features, dtype=self.changes.dtype, device=self.changes.device)
        dense.scatter_(1, self.cells[:, count - 1].long(), self.changes[:, count - 1])
        return dense.view(self.shape)


@dataclass(frozen=True)
class AttackResult:
    """The examples of an attack and what they cost.

    Attributes:
        first: see `frames.EXAMPLES`, as the next two.
        sparsest: fewest changed cells, then the smallest L1.
        smallest: the smallest L1.
        frontier: by size, the best examples at every number of changed cells, up to a number that was asked for.
        gradients: [sample] int32, gradient evaluations.
        forwards: [sample] int32, forward passes without a gradient.
    """

    first: Found
    sparsest: Found
    smallest: Found
    frontier: dict[Size, Frontier]
    gradients: Tensor
    forwards: Tensor

    @property
    def success(self) -> Tensor:
        """[sample] bool, whether any example was found."""
        return self.first.success | self.sparsest.success | self.smallest.success

    @property
    def l0(self) -> Tensor:
        """[sample], changed cells of the sparsest example; infinite where the attack failed."""
        return torch.where(self.sparsest.success, self.sparsest.l0.float(), torch.inf)

    @property
    def l1(self) -> Tensor:
        """[sample], sum of absolute changes of the smallest example; infinite where the attack failed."""
        return torch.where(self.smallest.success, self.smallest.l1, torch.inf)

    @property
    def linf(self) -> Tensor:
        """[sample], largest absolute change of the smallest example; infinite where the attack failed."""
        return torch.where(self.smallest.success, self.smallest.linf, torch.inf)

    def found(self, kind: Kind) -> Found:
        """Return the examples of one kind."""
        found: Found = getattr(self, kind)
        return found

    def delta(self, kind: Kind) -> Tensor:
        """Return the perturbations of one kind, dense: [sample, hour, feature]."""
        return self.found(kind).delta


def joined(results: Sequence[AttackResult]) -> AttackResult:
    """Return the results of several batches as one, in their order."""

    def kind(name: Kind) -> Found:
        parts = [result.found(name) for result in results]
        before, cells = 0, []
        for part in parts:
            cells.append(part.cells + torch.tensor([before, 0, 0], device=part.cells.device))
            before += part.shape[0]
        shape = (before, *parts[0].shape[1:])
        changes, iteration = (torch.cat([getattr(p, name) for p in parts]) for name in ("changes", "iteration"))
        return Found(shape, torch.cat(cells), changes, iteration)

    def frontier(size: Size) -> Frontier:
        parts = [result.frontier[size] for result in results]
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        tensors = (torch.cat([getattr(part, name) for part in parts]) for name in ("sizes", "cells", "changes"))
        return Frontier(shape, *tensors)

    return AttackResult(
        kind("first"),
        kind("sparsest"),
        kind("smallest"),
        {size: frontier(size) for size in results[0].frontier},
        torch.cat([result.gradients for result in results]),
        torch.cat([result.forwards for result in results]),
    )
