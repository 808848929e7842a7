"""The published reference system's loop, for comparison."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.attack.keeper import Keeper
from lstm_adversarial_attack.attack.problem import Problem

#: Samples over which the loss is a mean: the step of a sample must not depend on how many others there are.
_BATCH = 64


def reference(
    problem: Problem,
    keeper: Keeper,
    *,
    steps: int = 1000,
    lr: float = 0.0144,
    weight: float = 1.6e-5,
    optimizer: Literal["adam", "rmsprop", "sgd"] = "sgd",
) -> None:
    """Repeat the reference system's loop: one optimizer for the batch, as many steps for every sample.

    The loss is the mean over a batch of 64, however many samples there are, of
    ``max(Z_y - Z_other, -kappa) + weight * R``, where ``R`` is the induced
    matrix 1-norm of the perturbation: the sum over the hours of the worst feature alone. After every step cells are
    shrunk by ``weight``, whatever the step, and clamped. Its optimizer would carry moments from one batch to the next;
    here every call begins anew.

    Args:
        problem: what is attacked; here ``margin`` holds kappa already.
        keeper: of the examples; the reference system keeps the example of least loss, here the smallest is kept.
        steps: of the optimizer.
        lr: its learning rate, in units of the values; the default is what the published run found on a scale of 0 to 1.
        weight: of ``R``, and the threshold.
        optimizer: which.
    """
    perturbation = nn.Parameter(problem.zeros())
    kinds = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}
    stepper = kinds[optimizer]([perturbation], lr=lr)
    for _ in range(steps):
        delta = perturbation.detach().clone()
        margin, gradient = problem.margin_and_gradient(delta)
        keeper.update(problem, delta, margin)
        gradient = gradient * (margin > 0)[:, None] + weight * _slope_of_induced_norm(delta, problem.values.shape)
        perturbation.grad = gradient / _BATCH
        stepper.step()
        with torch.no_grad():
            shrunk = perturbation - perturbation.clamp(-weight, weight)
            perturbation.copy_(problem.clamp(shrunk))


def _slope_of_induced_norm(delta: Tensor, shape: torch.Size) -> Tensor:
    """Return a subgradient [sample, cell] of the largest sum over the hours of absolute changes of a feature."""
    by_feature = delta.view(shape)
    worst = by_feature.abs().sum(dim=1).argmax(dim=1)
    chosen = nn.functional.one_hot(worst, shape[2])[:, None].to(delta.dtype)
    return (by_feature.sign() * chosen).flatten(1)
