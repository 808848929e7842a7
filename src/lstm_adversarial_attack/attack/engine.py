"""The attack as a library: any model, any values, no artifacts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.attack.gradients import attackable, margin
from lstm_adversarial_attack.attack.ista import ista
from lstm_adversarial_attack.attack.result import AttackResult, Found

Bound = Tensor | float | None


def attack(
    model: nn.Module,
    values: Tensor,
    labels: Tensor,
    *,
    context: tuple[Tensor, ...] = (),
    lower: Bound = None,
    upper: Bound = None,
    editable: Tensor | None = None,
    steps: int = 200,
    lr: float = 0.5,
    sparsity: float = 0.5,
    kappa: float = 0.0,
) -> AttackResult:
    """Look for sparse and small perturbations of ``values`` that turn the model's predictions.

    The larger of the two logits is the prediction. Every example returned was verified by a forward pass of
    its own, stays within the bounds and leaves the cells that are not editable untouched. A sample that the
    model already gets wrong counts as a failure: there is nothing to turn.

    Args:
        model: maps ``values`` and ``context`` to logits [sample, 2]; its parameters are left as they are.
        values: [sample, hour, feature] float32, in whatever unit the model reads.
        labels: [sample] int64, 0 or 1, the class to be turned away from.
        context: more inputs of the model, each [sample, ...], that the attack does not change.
        lower: least value of a perturbed cell, broadcast to ``values``; where a value lies below it already,
            the value itself is the bound.
        upper: likewise, the largest.
        editable: bool, broadcast to ``values``; all cells where None.
        steps: gradient steps a sample.
        lr: step size in the unit of the values.
        sparsity: weight of the L1 term at the first step, in (0, 1).
        kappa: margin by which the logits must be turned for an example to count.

    Raises:
        ValueError: shapes that do not fit, or settings out of range.
    """
    _check(values, labels, steps=steps, lr=lr, sparsity=sparsity, kappa=kappa)
    low, high = _bound(lower, -torch.inf, values), _bound(upper, torch.inf, values)
    if (low > high).any():
        raise ValueError("lower exceeds upper in some cell")
    low, high = torch.minimum(low, values), torch.maximum(high, values)
    cells = torch.ones_like(values, dtype=torch.bool)
    if editable is not None:
        cells = editable.to(values.device).expand_as(values)
    with attackable(model):
        found = ista(
            model,
            values,
            labels,
            context,
            low,
            high,
            cells,
            steps=steps,
            lr=lr,
            sparsity=sparsity,
            kappa=kappa,
        )
        return verified(model, values, labels, context, found, kappa=kappa)


def _check(values: Tensor, labels: Tensor, *, steps: int, lr: float, sparsity: float, kappa: float) -> None:
    if values.ndim != 3:
        raise ValueError(f"values must be [sample, hour, feature], not {list(values.shape)}")
    if labels.shape != values.shape[:1]:
        raise ValueError(f"labels must be [{len(values)}], not {list(labels.shape)}")
    if steps < 1 or lr <= 0 or not 0 < sparsity < 1 or kappa < 0:
        raise ValueError(
            f"steps >= 1, lr > 0, 0 < sparsity < 1 and kappa >= 0 are needed, not {steps}, {lr}, {sparsity}, {kappa}"
        )


def _bound(bound: Bound, default: float, values: Tensor) -> Tensor:
    return torch.as_tensor(default if bound is None else bound, dtype=values.dtype, device=values.device).expand_as(
        values
    )


@torch.no_grad()
def verified(
    model: nn.Module,
    values: Tensor,
    labels: Tensor,
    context: tuple[Tensor, ...],
    result: AttackResult,
    *,
    kappa: float,
) -> AttackResult:
    """Drop every example that a plain forward pass in eval mode does not confirm."""
    model.eval()

    def confirmed(found: Found) -> Found:
        turned = margin(model, values + found.delta, labels, context) + kappa <= 0
        holds = found.success & turned
        return Found(torch.where(holds[:, None, None], found.delta, 0.0), torch.where(holds, found.iteration, 0))

    return AttackResult(
        confirmed(result.first),
        confirmed(result.sparsest),
        confirmed(result.smallest),
        result.gradients,
        result.forwards + 3,
    )
