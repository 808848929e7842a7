"""Cells at their bounds, one after another, each the best of those that the gradient puts first."""

from __future__ import annotations

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.descent import descend
from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.problem import Problem

_TINY = 1e-20
#: Where a cell has no bound, it goes so many times as far as the linearised margin asks of the best cell alone.
_UNBOUNDED_REACH = 8.0
_SHRINKING = 0.3


def extremes(problem: Problem, gradient: Tensor, margin: Tensor) -> Tensor:
    """Return the bound of each cell [sample, cell] that lies where the margin falls."""
    far = _UNBOUNDED_REACH * margin.abs() / gradient.abs().amax(dim=1).clamp_min(_TINY)
    low, high = problem.low, problem.high
    if low.isinf().any() or high.isinf().any():
        low, high = torch.maximum(low, -far[:, None]), torch.minimum(high, far[:, None])
    return torch.where(gradient > 0, low, high)


def best_additions(problem: Problem, delta: Tensor, margin: Tensor, gradient: Tensor, width: int) -> Tensor:
    """Return ``width`` candidates [sample, width, cell]: ``delta`` with one more cell at its bound.

    The cells are those whose move would lower the linearised margin most.
    """
    target = extremes(problem, gradient, margin)
    gain = (-gradient * (target - delta)).masked_fill(delta != 0, -torch.inf)
    chosen = gain.topk(min(width, gain.shape[1]), dim=1).indices
    candidates = delta[:, None].repeat(1, chosen.shape[1], 1)
    return candidates.scatter_(2, chosen[:, :, None], target.gather(1, chosen)[:, :, None])


def add_cells(problem: Problem, keeper: Keeper, *, width: int, most_cells: int, start: Tensor | None = None) -> Tensor:
    """Move cells to their bounds until the prediction turns; return the last perturbation [sample, cell].

    It goes on from ``start`` [sample, cell] where there is one.

    Every round takes the gradient, tries the ``width`` cells that it puts first, and keeps the best.
    """
    final = problem.zeros() if start is None else start.clone()
    live = torch.arange(len(problem), device=final.device)
    here, delta = problem, final.clone()
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


def greedy(problem: Problem, keeper: Keeper, *, steps: int = 300, width: int = 8) -> None:
    """Add cells one by one until the prediction turns, take back those that are not needed, and shrink the rest.

    Args:
        problem: what is attacked.
        keeper: of the examples.
        steps: budget in gradient evaluations.
        width: cells that are tried in a round.
    """
    end = problem.spent() + steps
    width = max(1, min(width, 3 * (steps - 1)))
    add_cells(problem, keeper, width=width, most_cells=int(max(0.7 * steps / (1 + width / 3), steps >= 2)))
    turned = keeper.iterations["first"][problem.rows] > 0
    rest, end = problem.at(turned), end[turned]
    prune(rest, keeper, end)
    delta = keeper.deltas["sparsest"][rest.rows]
    left = int((end - rest.spent()).min()) if len(rest) else 0
    if left > 1:
        descend(
            rest,
            keeper,
            min(left, 40),
            start=delta,
            radius=_SHRINKING * delta.abs().amax(dim=1),
            allowed=delta != 0,
            noted=True,
        )


def prune(problem: Problem, keeper: Keeper, end: Tensor) -> None:
    """Take back cells of the sparsest examples, one at a time, for as long as the prediction stays turned.

    A sample may have cost ``end`` [sample] when it is done.
    """
    live = problem
    while len(live):
        delta = keeper.deltas["sparsest"][live.rows]
        count = (delta != 0).sum(dim=1)
        affordable = live.spent() + int(count.max()) / 3 <= end
        if not affordable.any():
            return
        live, delta, count, end = live.at(affordable), delta[affordable], count[affordable], end[affordable]
        cells = delta.abs().topk(int(count.max()), dim=1).indices
        without = delta[:, None].repeat(1, cells.shape[1], 1)
        without.scatter_(2, cells[:, :, None], 0.0)
        margins = live.margin(without)
        real = torch.arange(cells.shape[1], device=delta.device) < count[:, None]
        margins = margins.masked_fill(~real, torch.inf)
        best = margins.argmin(dim=1)
        each = torch.arange(len(live), device=delta.device)
        turned = keeper.note(live, without[each, best], margins[each, best])
        live, end = live.at(turned), end[turned]
