"""Cells at their bounds, one after another, each the best of those that the gradient puts first."""

from __future__ import annotations

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.problem import Problem

_TINY = 1e-20
#: Where a cell has no bound, it goes so many times as far as the linearised margin asks of the best cell alone.
_UNBOUNDED_REACH = 8.0


def extremes(problem: Problem, gradient: Tensor, margin: Tensor) -> Tensor:
    """Return the bound of each cell [sample, cell] that lies where the margin falls."""
    far = _UNBOUNDED_REACH * margin.abs() / gradient.abs().amax(dim=1).clamp_min(_TINY)
    low, high = problem.low, problem.high
    if low.isinf().any() or high.isinf().any():
        low, high = torch.maximum(low, -far[:, None]), torch.minimum(high, far[:, None])
    return torch.where(gradient > 0, low, high)


def best_additions(
    problem: Problem, delta: Tensor, margin: Tensor, gradient: Tensor, width: int
) -> Tensor:
    """Return ``width`` candidates [sample, width, cell]: ``delta`` with one more cell at its bound.

    The cells are those whose move would lower the linearised margin most.
    """
    target = extremes(problem, gradient, margin)
    gain = (-gradient * (target - delta)).masked_fill(delta != 0, -torch.inf)
    chosen = gain.topk(min(width, gain.shape[1]), dim=1).indices
    candidates = delta[:, None].repeat(1, chosen.shape[1], 1)
    return candidates.scatter_(2, chosen[:, :, None], target.gather(1, chosen)[:, :, None])


def add_cells(problem: Problem, keeper: Keeper, *, width: int, most_cells: int) -> Tensor:
    """Move cells to their bounds until the prediction turns; return the last perturbation [sample, cell].

    Every round takes the gradient, tries the ``width`` cells that it puts first, and keeps the best.
    """
    final = problem.zeros()
    live = torch.arange(len(problem), device=final.device)
    here, delta = problem, problem.zeros()
    for _ in range(most_cells):
        if len(live) == 0:
            break
        margin, gradient = here.margin_and_gradient(delta)
        candidates = best_additions(here, delta, margin, gradient, width)
        margins = here.margin(candidates)
        best = margins.argmin(dim=1)
        each = torch.arange(len(live), device=final.device)
        delta, margin = candidates[each, best], margins[each, best]
        turned = keeper.note(here, delta, margin)
        final[live] = delta
        live, here, delta = live[~turned], here.at(~turned), delta[~turned]
    return final
