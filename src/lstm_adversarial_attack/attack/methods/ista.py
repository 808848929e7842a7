"""Proximal-gradient L1 attack."""

from __future__ import annotations

from typing import Literal

import torch

from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.methods.waiting import Waiting
from lstm_adversarial_attack.attack.problem import Problem

Acceleration = Literal["none", "fista", "adam"]

#: Rounds in which the weight of the L1 term is bisected, on a scale of logarithms.
_ROUNDS = 8
_FALL = 8.0
_BETAS = (0.9, 0.999)
_TINY = 1e-12
#: Share of the steps after which a sample leaves whose smallest example has not shrunk.
_PATIENCE = 0.1


def ista(
    problem: Problem,
    keeper: Keeper,
    *,
    steps: int = 300,
    lr: float = 0.05,
    sparsity: float = 0.5,
    acceleration: Acceleration = "fista",
    tolerance: float = 0.005,
) -> None:
    """Search sparse perturbations by iterative shrinkage-thresholding (Beck and Teboulle, SIAM J. Imaging 2009).

    Minimises ``max(Z_y - Z_other + kappa, 0) + w |delta|_1`` as Sun et al. (KDD 2018) do, but for a whole batch, with
    the elementwise L1 norm and the threshold ``w`` times the step. Each sample has a weight ``w`` of its own, bisected
    in rounds: up where the round turned the prediction, down where it did not. A round goes on where the last one
    ended.

    Args:
        problem: what is attacked.
        keeper: of the examples.
        steps: gradient evaluations.
        lr: how far the cell with the largest gradient moves in the first step, in units of the values, where nothing
            is shrunk.
        sparsity: the first weight, as a share of the largest entry of the first gradient, in (0, 1).
        acceleration: none; fista: momentum, restarted every round; adam: each cell's step is divided by a running root
            mean square of its gradient.
        tolerance: samples leave whose smallest example has not shrunk by this share for a tenth of the steps; with 0
            all make all steps.
    """
    delta = before = point = problem.zeros()
    second = problem.zeros()
    scale = weight = low = high = None
    ever = torch.zeros(len(problem), dtype=torch.bool, device=delta.device)
    each = max(1, steps // _ROUNDS)
    momentum = 0
    waiting = Waiting(keeper.l1, _PATIENCE, steps, tolerance) if tolerance else None
    for step in range(steps):
        margin, gradient = problem.margin_and_gradient(point)
        turned = keeper.update(problem, point, margin)
        ever |= turned
        largest = gradient.abs().amax(dim=1, keepdim=True).clamp_min(_TINY)
        if scale is None or weight is None or low is None or high is None:
            scale = lr / largest
            high, low = largest.clone(), torch.zeros_like(largest)
            weight = sparsity * largest
        elif step % each == 0:
            low, high = torch.where(ever[:, None], weight, low), torch.where(ever[:, None], high, weight)
            weight = torch.where(low > 0, (low * high).sqrt(), high / _FALL)
            ever, momentum = turned, 0
            before = point = delta
        if acceleration == "adam":
            second = _BETAS[1] * second + (1 - _BETAS[1]) * gradient**2
            size = lr / ((second / (1 - _BETAS[1] ** (step + 1))).sqrt() + 0.1 * largest)
        else:
            size = scale
        downhill = gradient * (margin > 0)[:, None]
        moved = point - size * downhill
        threshold = size * weight
        moved = moved - torch.minimum(torch.maximum(moved, -threshold), threshold)
        before, delta = delta, problem.clamp(moved)
        momentum += 1
        point = delta
        if acceleration == "fista":
            point = problem.clamp(delta + (momentum - 1) / (momentum + 2) * (delta - before))
            point = torch.where(delta == 0, 0.0, point)
        if waiting is not None and waiting.looks(step):
            left = ~waiting.done(step, keeper.l1)[problem.rows]
            if not left.any():
                return
            if not left.all():
                problem, delta, before, point, second = (
                    problem.at(left),
                    *(one[left] for one in (delta, before, point, second)),
                )
                scale, weight, low, high, ever = (one[left] for one in (scale, weight, low, high, ever))
