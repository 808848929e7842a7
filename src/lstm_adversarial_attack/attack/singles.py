"""The smallest single edit of each measurement that turns a prediction, and what the gradient alone says of it.

For every feature and direction the hours are tried, at their bound, that the gradient puts first. Where the prediction
turns there, the change is halved towards the least that still turns it. What is found is an upper bound: another hour,
or a smaller change beyond one that does not turn it, may do as well.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.problem import Grid, Problem

_HOURS = 4
_HALVINGS = 12
#: Cells without a bound go so many times as far as the gradient says is needed.
_UNBOUNDED = 8.0


@dataclass(frozen=True)
class Singles:
    """What single edits of each measurement do to each sample; all [sample, feature].

    Attributes:
        changeable: int32, cells of the measurement that may change.
        saliency: float32, sum over hours of the absolute gradient of the margin, logits for each unit of the values.
        peak: int32, hour of the largest absolute gradient, the earliest of equals; -1 where all are 0.
        hour: int32, hour of the smallest single edit found; -1 where none turns the prediction.
        change: float32, that edit, in the unit of the values; 0 where there is none.
    """

    changeable: Tensor
    saliency: Tensor
    peak: Tensor
    hour: Tensor
    change: Tensor

    @classmethod
    def joined(cls, parts: list[Singles]) -> Singles:
        """Return those of several batches as one, in their order."""
        return cls(
            *(torch.cat([getattr(part, name) for part in parts]) for name in (field.name for field in fields(cls)))
        )


def singles_of(problem: Problem) -> Singles:
    """Return what single edits of each measurement do; where a prediction is wrong already, there is nothing to turn.

    It costs one gradient, and forward passes: 8 for each feature at most, and 12 more for each of these that turns.
    """
    samples, hours, features = problem.values.shape
    shape = (samples, hours, features)
    margin, gradient = problem.margin_and_gradient(problem.zeros())
    slope = gradient.view(shape)
    size = slope.abs()
    turnable = (margin > problem.kappa)[:, None, None]
    least = margin.new_full((samples, features), torch.inf)
    change, hour = torch.zeros_like(least), torch.full_like(least, -1, dtype=torch.int32)
    for bound in _edges(problem, margin, size):
        promised, tried = torch.where(turnable, -slope * bound, 0.0).topk(min(_HOURS, hours), dim=1)
        for rank in range(tried.shape[1]):
            there = tried[:, rank]  # [sample, feature]
            full = torch.where(promised[:, rank] > 0, bound.gather(1, there[:, None])[:, 0], 0.0)
            found = _least_turning(problem, there, full)
            better = found.abs() < least
            least = torch.where(better, found.abs(), least)
            change = torch.where(better, found, change)
            hour = torch.where(better, there.int(), hour)
    low, high = problem.low.view(shape), problem.high.view(shape)
    return Singles(
        changeable=(low < high).sum(dim=1, dtype=torch.int32),
        saliency=size.sum(dim=1),
        peak=torch.where(size.amax(dim=1) > 0, size.argmax(dim=1), -1).int(),
        hour=hour,
        change=change,
    )


def _edges(problem: Problem, margin: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far down and up each cell is tried [sample, hour, feature]: to its bound, or far where it has none."""
    reach = _UNBOUNDED * margin.clamp_min(0)[:, None] / size.amax(dim=1).clamp_min(1e-20)
    far = reach[:, None].expand_as(size).flatten(1)
    ends = []
    for bound, sign in ((problem.low, -1.0), (problem.high, 1.0)):
        end = sign * far if problem.grid is None else problem.grid.outward(sign * far)
        ends.append(torch.where(bound.isinf(), end, bound).view_as(size))
    return ends[0], ends[1]


def _least_turning(problem: Problem, hour: Tensor, full: Tensor) -> Tensor:
    """Return the least change [sample, feature] at ``hour`` found to turn the prediction, up to ``full``; inf if none.

    Args:
        problem: what is attacked.
        hour: [sample, feature].
        full: [sample, feature], the change tried first; 0 where there is nothing to try.
    """
    rows, columns = (full != 0).nonzero(as_tuple=True)
    cells = hour[rows, columns] * full.shape[1] + columns
    whole = full[rows, columns]
    turned = _margins(problem, rows, cells, whole) < 0
    found = torch.full_like(full, torch.inf)
    rows, columns, cells, above = rows[turned], columns[turned], cells[turned], whole[turned]
    below = torch.zeros_like(above)
    for _ in range(_HALVINGS):
        middle = _between(problem, rows, cells, below, above)
        inside = (middle.abs() > below.abs()) & (middle.abs() < above.abs())
        turns = (_margins(problem, rows, cells, middle) < 0) & inside
        above, below = torch.where(turns, middle, above), torch.where(turns | ~inside, below, middle)
    found[rows, columns] = above
    return found


def _between(problem: Problem, rows: Tensor, cells: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """Return changes [edit] halfway between two, on the steps of the problem; one of both where there is none."""
    middle = (below + above) / 2
    if problem.grid is None:
        return middle
    grid = Grid(problem.grid.step[rows, cells], problem.grid.offset[rows, cells])
    outward = grid.outward(middle)
    # Halfway lies in the last step: what is left is the next change that is smaller than the upper end.
    smaller = grid.inward(above - above.sign() * grid.step / 2)
    return torch.where(outward.abs() < above.abs(), outward, smaller)


def _margins(problem: Problem, rows: Tensor, cells: Tensor, change: Tensor) -> Tensor:
    """Return the margins [edit] of edits of single cells of the samples at ``rows``."""
    parts = []
    for part in torch.split(torch.arange(len(cells), device=cells.device), problem.batch):
        delta = problem.low.new_zeros(len(part), problem.low.shape[1])
        parts.append(problem.at(rows[part]).margin(delta.scatter_(1, cells[part, None], change[part, None])))
    return torch.cat(parts) if parts else change.new_empty(0)
