"""What an attack has found so far: the first, sparsest and smallest examples, and the best at each number of cells."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.problem import Problem
from lstm_adversarial_attack.attack.result import Kind, Size

#: What the best at each number of changed cells is the best in.
SIZES: tuple[Size, ...] = get_args(Size)
KINDS: tuple[Kind, ...] = get_args(Kind)


class Keeper:
    """Keeps the best examples of every sample while an attack goes on; nothing leaves the device."""

    def __init__(self, problem: Problem, most_cells: int = 0) -> None:
        """Start with nothing found; ``most_cells`` is up to how many changed cells the frontier goes."""
        samples, device = len(problem), problem.low.device
        self.weight = problem.weight
        self.deltas = {kind: problem.zeros() for kind in KINDS}
        self.iterations = {kind: torch.zeros(samples, dtype=torch.int32, device=device) for kind in KINDS}
        self.l0 = torch.full((samples,), torch.iinfo(torch.int64).max, device=device)
        self.l1 = torch.full((samples,), torch.inf, device=device)
        self._sparsest_l1 = torch.full((samples,), torch.inf, device=device)
        shape = (samples, most_cells)
        self.sizes = {size: torch.full(shape, torch.inf, device=device) for size in SIZES}
        self.cells = {size: torch.zeros(*shape, most_cells, dtype=torch.int32, device=device) for size in SIZES}
        self.changes = {size: torch.zeros(*shape, most_cells, device=device) for size in SIZES}

    @property
    def most_cells(self) -> int:
        """Up to how many changed cells the frontier goes."""
        return self.sizes["l1"].shape[1]

    def update(self, problem: Problem, delta: Tensor, margin: Tensor, when: Tensor | None = None) -> Tensor:
        """Take in perturbations [sample, cell] with their margins [sample]; return which turned the prediction.

        ``when`` [sample] is the count of gradient evaluations at which they were found, this moment's if None.
        """
        rows = problem.rows
        size = delta.abs()
        l0, l1 = (delta != 0).sum(dim=1), size.sum(dim=1)
        turned = (margin < 0) & (l0 > 0)
        sparser = (l0 < self.l0[rows]) | ((l0 == self.l0[rows]) & (l1 < self._sparsest_l1[rows]))
        better: dict[Kind, Tensor] = {
            "first": turned & (self.iterations["first"][rows] == 0),
            "sparsest": turned & sparser,
            "smallest": turned & (l1 < self.l1[rows]),
        }
        self.l0[rows] = torch.where(better["sparsest"], l0, self.l0[rows])
        self._sparsest_l1[rows] = torch.where(better["sparsest"], l1, self._sparsest_l1[rows])
        self.l1[rows] = torch.where(better["smallest"], l1, self.l1[rows])
        when = problem.gradients[rows].clamp_min(1) if when is None else when
        for kind, which in better.items():
            self.deltas[kind][rows] = torch.where(which[:, None], delta, self.deltas[kind][rows])
            self.iterations[kind][rows] = torch.where(which, when, self.iterations[kind][rows])
        return turned

    def note(self, problem: Problem, delta: Tensor, margin: Tensor, when: Tensor | None = None) -> Tensor:
        """As `update`, and let the perturbations compete at their number of changed cells."""
        turned = self.update(problem, delta, margin, when)
        if not self.most_cells:
            return turned
        size = delta.abs()
        l0 = (delta != 0).sum(dim=1)
        counted = turned & (l0 <= self.most_cells)
        column = (l0.clamp(1, self.most_cells) - 1).long()
        cost = (size * problem.weight).sum(dim=1)
        sizes: dict[Size, Tensor] = {"l1": size.sum(dim=1), "linf": size.amax(dim=1), "cost": cost}
        cells = size.topk(self.most_cells, dim=1).indices
        changes = delta.gather(1, cells)
        for name, value in sizes.items():
            at = problem.rows, column
            better = counted & (value < self.sizes[name][at])
            self.sizes[name][at] = torch.where(better, value, self.sizes[name][at])
            self.cells[name][at] = torch.where(better[:, None], cells.int(), self.cells[name][at])
            self.changes[name][at] = torch.where(better[:, None], changes, self.changes[name][at])
        return turned

    def note_best(self, problem: Problem) -> None:
        """Let the sparsest and the smallest examples compete at their number of changed cells."""
        for kind in ("sparsest", "smallest"):
            here = problem.at(self.iterations[kind][problem.rows] > 0)
            self.note(here, self.deltas[kind][here.rows], here.low.new_full((len(here),), -1.0))

    def best(self, size: Size, rows: Tensor, count: Tensor) -> Tensor:
        """Return the best perturbations [n, cell] of ``rows`` [n] with ``count`` [n] changed cells."""
        column = (count - 1).long()
        cells, changes = self.cells[size][rows, column].long(), self.changes[size][rows, column]
        return torch.zeros_like(self.deltas["first"][rows]).scatter(1, cells, changes)
