"""Fast minimum-norm attack, L0 and L1."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.problem import Problem

_FIRST_SHARE, _LAST_SHARE = 0.05, 0.001
_LAST_LR_SHARE = 0.01
_TINY = 1e-12


def fmn(
    problem: Problem, keeper: Keeper, *, steps: int = 300, lr: float = 1.0, norm: Literal["l0", "l1"] = "l0"
) -> None:
    """Alternate a step of the margin's gradient with a projection on a ball that adapts (Pintor et al., NeurIPS 2021).

    The ball shrinks below the smallest example while the prediction is turned and grows while it is not, from one cell
    on, or, for L1, from what the linearised margin asks for. Cells are measured in shares of their range.

    Args:
        problem: what is attacked.
        keeper: of the examples.
        steps: gradient evaluations.
        lr: length of the first step, in shares of the cells' ranges.
        norm: of the ball.
    """
    range_ = problem.high - problem.low
    range_ = torch.where(range_.isfinite() & (range_ > 0), range_, 1.0)
    share = problem.zeros()
    size = torch.ones(len(problem), device=share.device)
    best = torch.full_like(size, torch.inf)
    for step in range(steps):
        margin, slope = problem.margin_and_gradient(share * range_)
        turned = keeper.update(problem, share * range_, margin)
        gradient = slope * range_
        length = (share != 0).sum(dim=1).float() if norm == "l0" else share.abs().sum(dim=1)
        best = torch.where(turned & (length < best), length, best)
        cosine = (1 + math.cos(math.pi * step / steps)) / 2
        gamma = _LAST_SHARE + (_FIRST_SHARE - _LAST_SHARE) * cosine
        if norm == "l0":
            inside = torch.minimum(torch.minimum(size - 1, size * (1 - gamma)), best - 1)
            size = torch.where(turned, inside, torch.maximum(size + 1, size * (1 + gamma))).floor().clamp_min(1)
        else:
            needed = length + margin.abs() / gradient.abs().amax(dim=1).clamp_min(_TINY)
            outside = torch.where(best.isfinite(), size * (1 + gamma), needed)
            size = torch.where(turned, torch.minimum(size * (1 - gamma), best), outside)
        rate = lr * (_LAST_LR_SHARE + (1 - _LAST_LR_SHARE) * cosine)
        moved = share - rate * gradient / gradient.norm(dim=1, keepdim=True).clamp_min(_TINY)
        moved = _largest(moved, size) if norm == "l0" else _on_l1_ball(moved, size)
        share = problem.clamp(moved * range_) / range_


def _largest(x: Tensor, count: Tensor) -> Tensor:
    """Return the ``count`` [sample] largest cells of ``x`` [sample, cell], and 0 elsewhere."""
    rank = x.abs().argsort(dim=1, descending=True).argsort(dim=1)
    return torch.where(rank < count[:, None], x, 0.0)


def _on_l1_ball(x: Tensor, size: Tensor) -> Tensor:
    """Return the nearest point of the L1 ball of ``size`` [sample] (Duchi et al., ICML 2008)."""
    sorted_ = x.abs().sort(dim=1, descending=True).values
    index = torch.arange(1, x.shape[1] + 1, device=x.device)
    above = (sorted_.cumsum(dim=1) - size[:, None]) / index
    last = ((sorted_ > above) * index).amax(dim=1, keepdim=True).clamp_min(1) - 1
    threshold = above.gather(1, last).clamp_min(0)
    return x - torch.minimum(torch.maximum(x, -threshold), threshold)
