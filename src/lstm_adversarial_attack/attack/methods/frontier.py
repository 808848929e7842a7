"""The whole trade-off between how many cells change and by how much, for every sample."""

from __future__ import annotations

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.descent import descend
from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.methods.greedy import add_cells, best_additions
from lstm_adversarial_attack.attack.problem import Problem
from lstm_adversarial_attack.attack.result import Kind, Size

#: Shares of the budget: the descent from the sparsest example, that from the smallest, each descent at a number of
#: cells, and each evening out.
_AGAIN, _POLISH, _LEVEL, _EVEN = 0.1, 0.1, 0.025, 0.015
#: Radius of the first box as a share of the largest change so far.
_AGAIN_RADIUS, _POLISH_RADIUS, _LEVEL_RADIUS = 0.8, 0.05, 0.3
_MOST_CELLS, _WIDTH, _LEVELS = 12, 8, 6
#: Gradient evaluations that a round of exchanges costs at most: for a base of its own and for no base.
_EXCHANGE_COST = 1 + 3 * (1 + _WIDTH / 3) + 4 * _WIDTH / 3
_OVERSHOOT = 1e-4
_HALVINGS = 30
_TINY = 1e-20


def frontier(problem: Problem, keeper: Keeper, *, steps: int = 300, width: int = 8, descent: float = 0.2) -> None:
    """Find for every sample the sparsest and the smallest example, and the best at each number of cells between.

    Cells at their bounds give the sparsest (`greedy.add_cells`, then two cells exchanged for one), descents by linear
    programs the smallest (`descent`): from no perturbation, from the sparsest example, which may lead to another place,
    and from the best so far. Between the two, cells are let in one by one from the sparsest on, and left out
    one by one from the smallest on, with a short descent in the cells that remain; where cells differ in cost, once
    more by cost. Each number of cells is then evened out for the least largest change.

    Args:
        problem: what is attacked.
        keeper: of the examples.
        steps: budget in gradient evaluations. Samples that are done sooner cost less.
        width: cells tried in a round.
        descent: share of the budget for the descent from no perturbation.
    """
    budget = _Budget(problem, steps)
    width = min(width, max(1, steps // 10))
    add_cells(problem, keeper, width=width, most_cells=budget.rounds(1 + width / 3, _MOST_CELLS))
    descend(problem, keeper, budget.rounds(1, int(descent * steps)))
    rest = problem.at(keeper.iterations["first"][problem.rows] > 0)
    if len(rest) == 0:
        return
    starts: tuple[tuple[Kind, float, float], ...] = (
        ("sparsest", _AGAIN, _AGAIN_RADIUS),
        ("smallest", _POLISH, _POLISH_RADIUS),
    )
    for kind, share, reach in starts:
        start = keeper.deltas[kind][rest.rows]
        radius = reach * start.abs().amax(dim=1)
        descend(rest, keeper, budget.rounds(1, int(share * steps)), start=start, radius=radius)
    fewer_cells(rest, keeper, budget)
    keeper.note_best(rest)
    level, even = max(2, int(_LEVEL * steps)), max(2, int(_EVEN * steps))
    grow(rest, keeper, budget, level)
    if (problem.weight != problem.weight[:1, :1]).any():
        grow(rest, keeper, budget, level, weight=keeper.weight)
    shrink(rest, keeper, budget, level)
    for count in range(2, keeper.most_cells + 1):
        even_out(rest, keeper, budget.rounds(1, even), count)


class _Budget:
    """What is left to spend on the sample that has cost most so far."""

    def __init__(self, problem: Problem, steps: int) -> None:
        self._problem, self._end = problem, float(problem.spent().max()) + steps if len(problem) else 0.0

    def rounds(self, cost: float, most: int) -> int:
        """Return how many rounds of ``cost`` gradient evaluations may be made, ``most`` at most."""
        left = self._end - float(self._problem.spent().max()) if len(self._problem) else 0.0
        return max(0, min(most, int(left / cost)))


def fewer_cells(problem: Problem, keeper: Keeper, budget: _Budget) -> None:
    """Look for examples with a cell less than the sparsest: two cells go, one comes."""
    live = problem
    for _ in range(budget.rounds(_EXCHANGE_COST, 2)):
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


def grow(problem: Problem, keeper: Keeper, budget: _Budget, steps: int, weight: Tensor | None = None) -> None:
    """From the sparsest example on, let in the cell that promises most for its weight, again and again.

    A descent in those cells follows each time, and another one without the cell that then matters least: so the new
    cell may take the place of an old one.
    """
    size: Size = "l1" if weight is None else "cost"
    live, delta = problem, keeper.deltas["sparsest"][problem.rows]
    allowed = delta != 0
    for level in range(_LEVELS):
        made = budget.rounds(2 if level else 1, steps)
        if len(live) == 0 or made < 2:
            return
        delta, gradient = _descend_in(live, keeper, made, delta, allowed, weight)
        if level:
            matters = torch.where(allowed, (gradient * delta).abs(), torch.inf)
            fewer = allowed.scatter(1, matters.argmin(dim=1, keepdim=True), value=False)
            _descend_in(live, keeper, made, delta * fewer, fewer, weight)
        count = allowed.sum(dim=1)
        more = count < keeper.most_cells
        more &= level == 0 or count < (keeper.deltas["smallest"][live.rows] != 0).sum(dim=1)
        more &= keeper.sizes[size][live.rows, (count - 1).clamp_max(keeper.most_cells - 1)].isfinite()
        live, allowed, gradient, count = live.at(more), allowed[more], gradient[more], count[more]
        if len(live) == 0:
            return
        movable = torch.where(gradient > 0, live.low, live.high) != 0
        promise = gradient.abs() if weight is None else gradient.abs() / weight[live.rows]
        entering = torch.where(movable & ~allowed, promise, 0.0).argmax(dim=1, keepdim=True)
        allowed = allowed.scatter(1, entering, value=True)
        delta = keeper.best(size, live.rows, count)


def _descend_in(
    problem: Problem, keeper: Keeper, steps: int, start: Tensor, allowed: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Descend in the ``allowed`` cells [sample, cell]; ``weight`` is that of the whole attack's samples."""
    here = None if weight is None else weight[problem.rows]
    radius = _LEVEL_RADIUS * (start.abs() if here is None else start.abs() * here).amax(dim=1)
    return descend(problem, keeper, steps, start=start, radius=radius, allowed=allowed, weight=here, noted=True)


def shrink(problem: Problem, keeper: Keeper, budget: _Budget, steps: int) -> None:
    """From the smallest example on, leave out the cell that matters least, and descend in the rest, again and again."""
    live, delta = problem, keeper.deltas["smallest"][problem.rows]
    for _ in range(_LEVELS):
        count = (delta != 0).sum(dim=1)
        more = count > (keeper.deltas["sparsest"][live.rows] != 0).sum(dim=1) + 1
        live, delta, count = live.at(more), delta[more], count[more]
        made = budget.rounds(1, steps + 1) - 1
        if len(live) == 0 or made < 2:
            return
        _, gradient = live.margin_and_gradient(delta)
        matters = torch.where(delta != 0, (gradient * delta).abs(), torch.inf)
        leaving = torch.maximum(count - keeper.most_cells, torch.ones_like(count))
        allowed = (delta != 0) & (matters.argsort(dim=1).argsort(dim=1) >= leaving[:, None])
        delta, _ = _descend_in(live, keeper, made, delta * allowed, allowed, None)


def even_out(problem: Problem, keeper: Keeper, steps: int, count: int) -> None:
    """Make the largest change small in the cells of the smallest examples with ``count`` changed cells.

    What is least in the largest change moves all cells alike, but for those that meet their bounds.
    """
    live = problem.at(keeper.sizes["l1"][problem.rows, count - 1].isfinite())
    if len(live) == 0 or steps < 1:
        return
    delta = keeper.best("l1", live.rows, torch.full_like(live.rows, count))
    cells = delta.abs().topk(count, dim=1).indices
    low, high = live.low.gather(1, cells), live.high.gather(1, cells)
    for _ in range(steps):
        margin, gradient = live.margin_and_gradient(delta)
        keeper.note(live, delta, margin)
        slope, here = gradient.gather(1, cells), delta.gather(1, cells)
        outward = torch.where(slope == 0, here.sign(), -slope.sign())
        room = torch.where(outward > 0, high, -low)
        needed = (margin - (slope * here).sum(dim=1)) * (1 + _OVERSHOOT) + _TINY
        reach = _even_reach(slope.abs(), room, needed)
        moved = outward * torch.minimum(room, reach[:, None])
        delta = live.clamp(torch.zeros_like(delta).scatter(1, cells, moved))
    keeper.note(live, delta, live.margin(delta))


def _even_reach(slope: Tensor, room: Tensor, needed: Tensor) -> Tensor:
    """Return the least reach [sample] with ``sum(slope * min(room, reach)) >= needed``, by halving."""
    finite = torch.where(room.isfinite(), room, needed.abs()[:, None] / slope.clamp_min(_TINY))
    low, high = torch.zeros_like(needed), finite.amax(dim=1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = (slope * torch.minimum(room, middle[:, None])).sum(dim=1) >= needed
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high
