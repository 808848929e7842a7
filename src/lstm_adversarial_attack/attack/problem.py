"""What a method of attack sees: samples as rows of cells, how far each cell may move, and counted evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: Values [sample, hour, feature] and context tensors [sample, ...] in, logits [sample, 2] out.
Classifier = Callable[..., Tensor]

#: Share of a step by which rounding may miss the grid.
_NEAR = 1e-3


@dataclass(frozen=True)
class Grid:
    """The steps in which cells change: a changed cell changes by ``offset + k * step``, k a whole number.

    Attributes:
        step: [sample, cell], above 0.
        offset: [sample, cell].
    """

    step: Tensor
    offset: Tensor

    def at(self, chosen: Tensor) -> Grid:
        """Return that of some of the samples: bool [sample] or indices."""
        return Grid(self.step[chosen], self.offset[chosen])

    def outward(self, delta: Tensor) -> Tensor:
        """Return the next changes [sample, cell] of the grid that are no smaller; 0 where ``delta`` is 0."""
        steps = self._steps(delta)
        steps = torch.where(delta > 0, (steps - _NEAR).ceil(), (steps + _NEAR).floor())
        return torch.where(delta == 0, 0.0, steps * self.step + self.offset)

    def inward(self, delta: Tensor) -> Tensor:
        """Return the next changes [sample, cell] of the grid that are no larger; 0 where there is none."""
        steps = self._steps(delta)
        steps = torch.where(delta > 0, (steps + _NEAR).floor(), (steps - _NEAR).ceil())
        smaller = steps * self.step + self.offset
        steps = torch.where(delta.isfinite(), smaller * delta.sign(), 0.0)
        return torch.where(steps > _NEAR * self.step, smaller, torch.where(delta.isfinite(), 0.0, delta))

    def _steps(self, delta: Tensor) -> Tensor:
        return (delta - self.offset) / self.step


@dataclass(frozen=True)
class Problem:
    """Samples whose predictions are to be turned; a perturbation of them is ``[sample, cell]``.

    Attributes:
        model: gives logits from values and context.
        values: [sample, hour, feature].
        labels: [sample] int64, the class to be turned away from.
        context: tensors [sample, ...] handed to the model beside the values.
        low: [sample, cell], how far down each cell may move, 0 or below; 0 where it may not change.
        high: [sample, cell], how far up.
        weight: [sample, cell], what a unit of change of the cell costs.
        grid: the steps in which cells change; None where they may change by any amount.
        kappa: margin by which the logits must be turned.
        batch: samples computed at once.
        rows: [sample], which samples of the whole attack these are.
        gradients: [samples of the whole attack] int32, gradient evaluations spent so far.
        forwards: likewise, forward passes without a gradient.
    """

    model: Classifier
    values: Tensor
    labels: Tensor
    context: tuple[Tensor, ...]
    low: Tensor
    high: Tensor
    weight: Tensor
    grid: Grid | None
    kappa: float
    batch: int
    rows: Tensor
    gradients: Tensor
    forwards: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, chosen: Tensor) -> Problem:
        """Return the problem of some of the samples: bool [sample] or indices."""
        return replace(
            self,
            values=self.values[chosen],
            labels=self.labels[chosen],
            context=tuple(part[chosen] for part in self.context),
            low=self.low[chosen],
            high=self.high[chosen],
            weight=self.weight[chosen],
            grid=None if self.grid is None else self.grid.at(chosen),
            rows=self.rows[chosen],
        )

    def zeros(self) -> Tensor:
        """Return no perturbation, [sample, cell]."""
        return torch.zeros_like(self.low)

    def spent(self) -> Tensor:
        """Return the cost so far [sample]: gradient evaluations, and a third for each forward pass."""
        return self.gradients[self.rows] + self.forwards[self.rows] / 3

    def clamp(self, delta: Tensor) -> Tensor:
        """Return ``delta`` [sample, cell] within its bounds."""
        return torch.minimum(torch.maximum(delta, self.low), self.high)

    @torch.no_grad()
    def margin(self, delta: Tensor) -> Tensor:
        """Return ``Z_y - Z_other + kappa`` [sample]: where it is below 0, the prediction is turned.

        Several perturbations of each sample may be asked about at once, [sample, n, cell]; the answer is [sample, n].
        """
        several = delta.ndim == 3
        tried = delta if several else delta[:, None]
        self.forwards.index_add_(0, self.rows, torch.full_like(self.rows, tried.shape[1], dtype=torch.int32))
        each = max(1, self.batch // tried.shape[1])
        starts = range(0, len(self), each)
        parts = [self._margin(slice(start, start + each), tried[start : start + each]) for start in starts]
        found = torch.cat(parts) if parts else self.low.new_empty(0, tried.shape[1])
        return found if several else found[:, 0]

    def margin_and_gradient(self, delta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the margins [sample] and their gradients [sample, cell], 0 in cells that may not change.

        Samples of a batch do not depend on one another, so the gradient of the sum holds each sample's own.
        """
        self.gradients[self.rows] += 1
        margins, gradients = [], []
        for start in range(0, len(self), self.batch):
            part = slice(start, start + self.batch)
            moved = delta[part].detach().requires_grad_()
            margin = self._margin(part, moved[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(margin.sum(), moved)
            margins.append(margin.detach())
            gradients.append(gradient)
        if not margins:
            return self.low.new_empty(0), self.zeros()
        gradient = gradients[0] if len(gradients) == 1 else torch.cat(gradients)
        return torch.cat(margins), gradient.masked_fill(self.low == self.high, 0.0)

    def _margin(self, part: slice, delta: Tensor) -> Tensor:
        """Return the margins [sample, n] of perturbations [sample, n, cell] of the samples in ``part``."""
        times = delta.shape[1]
        values, labels, *context = (
            one[part] if times == 1 else one[part].repeat_interleave(times, dim=0)
            for one in (self.values, self.labels, *self.context)
        )
        logits = self.model(values + delta.reshape(values.shape), *context)
        if logits.shape[1:] != (2,):
            raise ValueError(f"the model must give logits [sample, 2], not {list(logits.shape)}")
        gap = logits[:, 0] - logits[:, 1]
        return (torch.where(labels == 0, gap, -gap) + self.kappa).view(delta.shape[:2])
