"""The smallest perturbation by a sequence of linear programs, each of which is solved by sorting.

Near a point the margin is taken as linear. What then costs least, within a box around the point, turns the
prediction by the cells that gain most for a unit of cost: every cell first gives back as much as the box allows, and
then cells go out in the order of their gain until the margin is gone. The box shrinks, so that the linear picture gets
ever truer; where all cells that move gain the same for a unit of cost, nothing is left to exchange.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.problem import Problem

#: Radius of the first box as a share of what the best cell alone would have to move, at most this share of the widest
#: range of a cell; and the last box's share of it.
_FIRST_RADIUS, _WIDEST_RADIUS, _LAST_RADIUS = 0.25, 0.15, 0.01
#: Radii of all boxes together, as a multiple of what the best cell alone would have to move, at least.
_REACH = 1.5
#: Share of the first margin by which a step aims beyond the boundary at the first radius.
_OVERSHOOT = 1e-2
#: Cells that may go out in one step.
_MOST_CELLS = 128
_TINY = 1e-20


def cheapest_step(
    problem: Problem, delta: Tensor, margin: Tensor, gradient: Tensor, radius: Tensor, weight: Tensor
) -> Tensor:
    """Return the cheapest perturbation [sample, cell] in the box around ``delta`` that turns the linearised margin.

    Args:
        problem: gives the bounds.
        delta: [sample, cell], where the margin was taken.
        margin: [sample], of which 0 is to be reached.
        gradient: [sample, cell], of the margin; a cell with 0 there only gives back.
        radius: [sample], how much a cell may move that costs 1 a unit.
        weight: what a unit of change costs, broadcast to [sample, cell].
    """
    reach = radius[:, None] / weight
    base = delta - torch.minimum(torch.maximum(delta, -reach), reach)
    outward = -gradient.sign()
    limit = problem.clamp(delta + outward * reach)
    room = ((limit - base) * outward).clamp_min(0)
    gained = gradient.abs() * room
    order = torch.where(gained > 0, gradient.abs() / weight, 0.0).topk(min(_MOST_CELLS, gained.shape[1]), dim=1).indices
    gained = gained.gather(1, order)
    needed = margin + (gradient * (base - delta)).sum(dim=1)
    share = ((needed[:, None] - (gained.cumsum(dim=1) - gained)) / gained.clamp_min(_TINY)).clamp(0, 1)
    return problem.clamp(base.scatter_add(1, order, share * (room * outward).gather(1, order)))


def descend(
    problem: Problem,
    keeper: Keeper,
    steps: int,
    *,
    start: Tensor | None = None,
    radius: Tensor | None = None,
    allowed: Tensor | None = None,
    weight: Tensor | None = None,
    noted: bool = False,
) -> tuple[Tensor, Tensor]:
    """Search the cheapest perturbation, and hand every point on the way to ``keeper``.

    Args:
        problem: what is attacked.
        keeper: of the examples.
        steps: gradient evaluations.
        start: [sample, cell], where to begin; at no perturbation where None.
        radius: [sample], of the first box at least, in units of cost; chosen by the first gradient where None.
        allowed: [sample, cell] bool, cells that may go out; all where None.
        weight: what a unit of change costs, broadcast to [sample, cell]; 1 where None.
        noted: let points compete at their number of changed cells.

    Returns:
        The point [sample, cell] at which the margin was taken last, and its gradient [sample, cell] there.
    """
    delta = following = problem.zeros() if start is None else start
    gradient = delta
    weight = torch.ones((), device=delta.device) if weight is None else weight
    overshoot = None
    for step in range(steps):
        delta = following
        margin, gradient = problem.margin_and_gradient(delta)
        _ = keeper.note(problem, delta, margin) if noted else keeper.update(problem, delta, margin)
        usable = gradient if allowed is None else gradient * allowed
        if overshoot is None:
            needed = margin.clamp_min(0) / (usable.abs() / weight).amax(dim=1).clamp_min(_TINY)
            if radius is None:
                radius = _first_radius(problem, needed, weight)
                if start is None:  # few steps are to get there at all
                    reach = sum(_LAST_RADIUS ** (at / max(1, steps - 1)) for at in range(steps))
                    radius = torch.maximum(radius, _REACH * needed / reach)
            else:
                radius = torch.maximum(radius, needed)
            overshoot = _OVERSHOOT * (usable.abs() / weight).amax(dim=1) * radius
        share = _LAST_RADIUS ** (step / max(1, steps - 1))
        following = cheapest_step(problem, delta, margin + overshoot * share, usable, radius * share, weight)
    return delta, gradient


def _first_radius(problem: Problem, needed: Tensor, weight: Tensor) -> Tensor:
    """Return a radius [sample] in units of cost, by what the best cell alone is ``needed`` [sample] to move."""
    room = (problem.high - problem.low) * weight
    widest = torch.where(room.isfinite(), room, 0.0).amax(dim=1)
    return torch.minimum(_FIRST_RADIUS * needed, torch.where(widest > 0, _WIDEST_RADIUS * widest, torch.inf))
