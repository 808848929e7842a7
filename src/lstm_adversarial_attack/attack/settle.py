"""Examples brought onto the steps in which cells change, such as the precision with which values are charted.

Every change first grows to the next step, so that the prediction stays turned. Then cells give back a step each, those
first that gain least for what they cost, as many together as the prediction stands.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.keeper import SIZES, Keeper
from lstm_adversarial_attack.attack.problem import Grid, Problem

#: Rounds of giving back (or of going further, where an example does not turn), and cells that may do so in one.
_ROUNDS, _WIDTH = 2, 6
_TINY = 1e-20


def settled(problem: Problem, found: Keeper, steps: int) -> Keeper:
    """Return what ``found`` holds of ``problem``, on its grid and within ``steps`` gradient evaluations altogether."""
    keeper = Keeper(problem, found.most_cells)
    if problem.grid is None or len(problem) == 0:
        return keeper
    for kind in ("first", "sparsest", "smallest"):
        here = problem.at(found.iterations[kind][problem.rows] > 0)
        when = found.iterations[kind][here.rows]
        _settle(here, keeper, found.deltas[kind][here.rows], steps, when=when)
    for count in range(1, found.most_cells + 1):
        for size in SIZES:
            here = problem.at(found.sizes[size][problem.rows, count - 1].isfinite())
            delta = found.best(size, here.rows, torch.full_like(here.rows, count))
            _settle(here, keeper, delta, steps, rounds=_ROUNDS if size == "l1" else 0)
    return keeper


def _settle(
    problem: Problem, keeper: Keeper, delta: Tensor, steps: int, *, when: Tensor | None = None, rounds: int = _ROUNDS
) -> None:
    """Bring examples ``delta`` [sample, cell] onto the grid and hand them to ``keeper``.

    Examples that were found at ``when`` [sample] are brought there whatever it costs, the others while there is budget.
    """
    grid = problem.grid
    if when is None and len(problem):
        affordable = problem.spent() + 1 <= steps
        problem, delta = problem.at(affordable), delta[affordable]
        grid = problem.grid
    if len(problem) == 0 or grid is None:
        return
    delta = grid.inward(problem.clamp(grid.outward(delta)))
    margin = problem.margin(delta)
    keeper.note(problem, delta, margin, when)
    live = problem.spent() + 1 + _WIDTH / 3 <= steps
    for _ in range(rounds):
        problem, delta = problem.at(live), delta[live]
        grid = problem.grid
        if len(problem) == 0 or grid is None:
            return
        delta, better = _one_round(problem, grid, keeper, delta)
        live = better & (problem.spent() + 1 + _WIDTH / 3 <= steps)


def _one_round(problem: Problem, grid: Grid, keeper: Keeper, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Let cells give back a step each, or go one further where the prediction has not turned.

    Returns:
        The perturbations [sample, cell], and which of them became better.
    """
    margin, gradient = problem.margin_and_gradient(delta)
    turned = margin < 0
    smaller = grid.inward(delta - delta.sign() * grid.step)
    smaller = torch.where(smaller * delta > 0, smaller, 0.0)
    larger = grid.inward(problem.clamp(delta + delta.sign() * grid.step))
    moved = torch.where(turned[:, None], smaller, larger)
    # What a cell costs for what it gains: the most goes back first, the least goes out first.
    price = (moved - delta).abs() * problem.weight / (gradient * (moved - delta)).abs().clamp_min(_TINY)
    price = torch.where(turned[:, None], price, 1 / price.clamp_min(_TINY)).masked_fill(moved == delta, 0.0)
    order = price.topk(min(_WIDTH, price.shape[1]), dim=1)
    rank = torch.full_like(delta, order.indices.shape[1], dtype=torch.int64)
    rank.scatter_(1, order.indices, torch.arange(order.indices.shape[1], device=delta.device).expand_as(order.indices))
    rank = rank.masked_fill(moved == delta, order.indices.shape[1])
    place = torch.arange(order.indices.shape[1], device=delta.device)
    candidates = torch.where(rank[:, None] <= place[:, None], moved[:, None], delta[:, None])
    margins = problem.margin(candidates)
    for number in range(candidates.shape[1]):
        keeper.note(problem, candidates[:, number], margins[:, number])
    stands = margins < 0
    last = torch.where(stands, place, -1).amax(dim=1)
    first = torch.where(stands, place, candidates.shape[1] - 1).amin(dim=1)
    chosen = torch.where(turned, last, first)
    each = torch.arange(len(problem), device=delta.device)
    at = chosen.clamp_min(0)
    taken = (chosen >= 0) & (candidates[each, at] != delta).any(dim=1)
    delta = torch.where(taken[:, None], candidates[each, at], delta)
    return delta, taken
