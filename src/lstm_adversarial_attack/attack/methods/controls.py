"""Controls: what chance and forward passes alone reach."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.problem import Problem

#: Forward passes that cost as much as a gradient.
_FORWARDS = 3
_MOST_AT_ONCE = 16


def random(problem: Problem, keeper: Keeper, *, steps: int = 300, seed: int = 0) -> None:
    """Move cells drawn by lot to bounds drawn by lot, more and more of them: what a gradient has to beat.

    Args:
        problem: what is attacked; cells without a bound go one unit.
        keeper: of the examples.
        steps: budget in gradient evaluations; all of it goes into forward passes, three for one.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    cells = problem.low.shape[1]
    passes = steps * _FORWARDS
    low, high = _bounded(problem)
    for done in range(passes):
        count = max(1, round(math.exp(math.log(cells) * done / max(1, passes - 1))))
        chosen = torch.rand(len(problem), cells, generator=generator).to(low.device)
        moved = chosen <= chosen.kthvalue(count, dim=1, keepdim=True).values
        up = (torch.rand(len(problem), cells, generator=generator) < 0.5).to(low.device)
        delta = torch.where(moved, torch.where(up, high, low), 0.0)
        keeper.note(problem, delta, problem.margin(delta))


def gradient_free(problem: Problem, keeper: Keeper, *, steps: int = 300, seed: int = 0) -> None:
    """Try cells at their bounds, then add up those that helped most: forward passes alone.

    Two thirds of the passes try single cells, each at its upper or its lower bound, drawn by lot without repetition.
    The rest add cells in the order of what they did alone, for as long as each still helps. It breaks models that hide
    their gradient.

    Args:
        problem: what is attacked; cells without a bound go one unit.
        keeper: of the examples.
        steps: budget in gradient evaluations, three forward passes for one.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    low, high = _bounded(problem)
    moves = torch.cat([low, high], dim=1)  # [sample, 2 cells]
    order = torch.rand(moves.shape, generator=generator).to(low.device)
    order = order.masked_fill(moves == 0, torch.inf).argsort(dim=1)
    passes = steps * _FORWARDS
    singles = min(moves.shape[1], max(1, passes * 2 // 3))
    cells = low.shape[1]
    margins = low.new_full(moves.shape, torch.inf)
    for start in range(0, singles, _MOST_AT_ONCE):
        tried = order[:, start : min(start + _MOST_AT_ONCE, singles)]
        candidates = low.new_zeros(len(problem), tried.shape[1], cells)
        candidates.scatter_(2, (tried % cells)[:, :, None], moves.gather(1, tried)[:, :, None])
        found = problem.margin(candidates)
        margins.scatter_(1, tried, found)
        best = found.argmin(dim=1)
        each = torch.arange(len(problem), device=low.device)
        keeper.note(problem, candidates[each, best], found[each, best])
    ranked = margins.argsort(dim=1)
    delta, margin = problem.zeros(), low.new_full((len(problem),), torch.inf)
    for at in range(min(passes - singles, ranked.shape[1])):
        move = ranked[:, at : at + 1]
        cell = move % cells
        trial = torch.where(delta.gather(1, cell) == 0, moves.gather(1, move), delta.gather(1, cell))
        candidate = delta.scatter(1, cell, trial)
        found = problem.margin(candidate)
        helped = (found < margin) & (margin > 0)
        delta, margin = torch.where(helped[:, None], candidate, delta), torch.where(helped, found, margin)
        keeper.note(problem, delta, margin)


def _bounded(problem: Problem) -> tuple[Tensor, Tensor]:
    """Return the bounds, of one unit where there is none."""
    return problem.low.clamp_min(-1.0).where(problem.low.isinf(), problem.low), problem.high.clamp_max(1.0).where(
        problem.high.isinf(), problem.high
    )
