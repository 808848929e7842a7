"""L0 attack by a smooth count of cells."""

from __future__ import annotations

import math

import torch

from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.methods.waiting import Waiting
from lstm_adversarial_attack.attack.problem import Problem

_BETAS, _TINY = (0.9, 0.999), 1e-8
_LAST_LR_SHARE = 0.1
#: First threshold below which a cell is put back, and how it changes in a step, both times the range of the cell.
_THRESHOLD, _ADAPTATION = 0.3, 0.01
#: Share of the steps after which a sample leaves whose count has not fallen.
_PATIENCE = 0.2


def sigma_zero(problem: Problem, keeper: Keeper, *, steps: int = 300, lr: float = 1.0, sigma: float = 1e-3) -> None:
    """Minimise a smooth count of the cells beside the margin (Cina et al., sigma-zero, ICLR 2025).

    Cells are measured in shares of their range. The count of a cell is ``x^2 / (x^2 + sigma)``; the gradient of margin
    and count is scaled to a largest entry of 1 and drives Adam, whose step falls along a cosine. Cells below a
    threshold are put back; it grows while the prediction is turned and shrinks while it is not. Samples leave that one
    cell turns, and those whose count has not fallen for a fifth of the steps.

    Args:
        problem: what is attacked.
        keeper: of the examples.
        steps: gradient evaluations at most.
        lr: first step, as a share of a cell's range.
        sigma: how smooth the count is.
    """
    live = problem
    range_ = live.high - live.low
    range_ = torch.where(range_.isfinite() & (range_ > 0), range_, 1.0)
    share, first, second = live.zeros(), live.zeros(), live.zeros()
    threshold = torch.full((len(live), 1), _THRESHOLD, device=share.device)
    cells = share.shape[1]
    waiting = Waiting(keeper.l0, _PATIENCE, steps)
    for step in range(steps):
        margin, slope = live.margin_and_gradient(share * range_)
        turned = keeper.update(live, share * range_, margin)
        gradient = slope * range_ * (margin > 0)[:, None] + 2 * sigma * share / (share**2 + sigma) ** 2 / cells
        gradient = gradient / gradient.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
        rate = lr * (_LAST_LR_SHARE + (1 - _LAST_LR_SHARE) * (1 + math.cos(math.pi * step / steps)) / 2)
        first = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * second + (1 - _BETAS[1]) * gradient**2
        size = rate * math.sqrt(1 - _BETAS[1] ** (step + 1)) / (1 - _BETAS[0] ** (step + 1))
        moved = live.clamp((share - size * first / (second.sqrt() + _TINY)) * range_) / range_
        threshold = (threshold + torch.where(turned, 1.0, -1.0)[:, None] * _ADAPTATION * rate).clamp(0, 1)
        share = torch.where(moved.abs() >= threshold, moved, 0.0)
        if waiting.looks(step):
            left = ~waiting.done(step, keeper.l0)[live.rows] & (keeper.l0[live.rows] > 1)
            if not left.any():
                return
            if not left.all():
                live, range_, share, first, second = live.at(left), range_[left], share[left], first[left], second[left]
                threshold = threshold[left]
