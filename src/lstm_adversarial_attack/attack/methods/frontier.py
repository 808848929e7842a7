"""The whole trade-off between how many cells change and by how much, for every sample."""

from __future__ import annotations

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.descent import descend
from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.methods.greedy import add_cells, best_additions, extremes
from lstm_adversarial_attack.attack.problem import Problem

#: Shares of the budget: the descent from no perturbation, the one from the best, and each descent at a number of cells.
_DESCENT, _POLISH, _LEVEL = 0.2, 0.1, 0.025
_POLISH_RADIUS, _LEVEL_RADIUS = 0.05, 0.3
_WIDTH = 8


def frontier(problem: Problem, keeper: Keeper, *, steps: int) -> None:
    add_cells(problem, keeper, width=_WIDTH, most_cells=12)
    descend(problem, keeper, max(2, int(_DESCENT * steps)))
    found = keeper.iterations["first"][problem.rows] > 0
    rest = problem.at(found)
    start = keeper.deltas["smallest"][rest.rows]
    descend(rest, keeper, max(2, int(_POLISH * steps)), start=start, radius=_POLISH_RADIUS * start.abs().amax(dim=1))
    fewer_cells(rest, keeper)
    each = max(2, int(_LEVEL * steps))
    grow(rest, keeper, each, levels=6)
    shrink(rest, keeper, each, levels=6)


def fewer_cells(problem: Problem, keeper: Keeper, rounds: int = 2) -> None:
    """Look for examples with a cell less than the sparsest: two cells go, one comes."""
    live = problem
    for _ in range(rounds):
        delta = keeper.deltas["sparsest"][live.rows]
        several = (delta != 0).sum(dim=1) > 1
        live, delta = live.at(several), delta[several]
        if len(live) == 0:
            return
        before = (delta != 0).sum(dim=1)
        _, gradient = live.margin_and_gradient(delta)
        part = torch.where(delta != 0, (gradient * delta).abs(), torch.inf)
        least = part.topk(3, dim=1, largest=False)
        for first, second in ((0, 1), (0, 2), (1, 2)):
            usable = least.values[:, second].isfinite()
            here, base = live.at(usable), delta[usable]
            if len(here) == 0:
                continue
            gone = least.indices[usable][:, [first, second]]
            base = base.scatter(1, gone, 0.0)
            margin, slope = here.margin_and_gradient(base)
            wide = (base != 0).any(dim=1)
            for which, width in ((wide, _WIDTH), (~wide, 4 * _WIDTH)):
                some, at = here.at(which), base[which]
                if len(some) == 0:
                    continue
                candidates = best_additions(some, at, margin[which], slope[which], width)
                margins = some.margin(candidates)
                best = margins.argmin(dim=1)
                each = torch.arange(len(some), device=at.device)
                keeper.note(some, candidates[each, best], margins[each, best])
        live = live.at((keeper.deltas["sparsest"][live.rows] != 0).sum(dim=1) < before)


def grow(problem: Problem, keeper: Keeper, steps: int, levels: int) -> None:
    """From the sparsest example on, let the cell in that promises most, and descend in those cells, again and again."""
    live, delta = problem, keeper.deltas["sparsest"][problem.rows]
    allowed = delta != 0
    for level in range(levels):
        if len(live) == 0:
            return
        radius = _LEVEL_RADIUS * delta.abs().amax(dim=1)
        _, gradient = descend(live, keeper, steps, start=delta, radius=radius, allowed=allowed, noted=True)
        count = allowed.sum(dim=1)
        more = (count < keeper.most_cells) & (count < (keeper.deltas["smallest"][live.rows] != 0).sum(dim=1))
        live, allowed, gradient = live.at(more), allowed[more], gradient[more]
        promising = torch.where(allowed | (extremes(live, gradient, torch.ones_like(gradient[:, 0])) == 0), 0.0, gradient.abs())
        allowed = allowed.scatter(1, promising.argmax(dim=1, keepdim=True), True)
        delta = keeper.best("l1", live.rows, count[more])


def shrink(problem: Problem, keeper: Keeper, steps: int, levels: int) -> None:
    """From the smallest example on, leave out the cells that matter least, and descend in the rest, again and again."""
    live, delta = problem, keeper.deltas["smallest"][problem.rows]
    gradient = None
    for _ in range(levels):
        count = (delta != 0).sum(dim=1)
        excess = count - (keeper.deltas["sparsest"][live.rows] != 0).sum(dim=1)
        more = excess > 1
        live, delta, count, excess = live.at(more), delta[more], count[more], excess[more]
        if len(live) == 0:
            return
        _, gradient = live.margin_and_gradient(delta)
        part = torch.where(delta != 0, (gradient * delta).abs(), torch.inf)
        leaving = torch.where(count > keeper.most_cells + 1, count - keeper.most_cells, torch.ones_like(count))
        rank = part.argsort(dim=1).argsort(dim=1)
        allowed = (delta != 0) & (rank >= leaving[:, None])
        radius = _LEVEL_RADIUS * delta.abs().amax(dim=1)
        delta, _ = descend(live, keeper, steps, start=delta * allowed, radius=radius, allowed=allowed, noted=True)
