"""Proximal-gradient L1 attack."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lstm_adversarial_attack.attack.gradients import Classifier, margin, margin_and_gradient
from lstm_adversarial_attack.attack.result import AttackResult, BestSoFar

#: Factor by which a sample's L1 weight grows after a step that turned the prediction, and shrinks after others.
_ADAPTATION = 1.1
_LARGEST_WEIGHT = 0.99
_LAST_LR_SHARE = 0.1


def ista(
    model: Classifier,
    values: Tensor,
    labels: Tensor,
    context: tuple[Tensor, ...],
    lower: Tensor,
    upper: Tensor,
    editable: Tensor,
    *,
    steps: int,
    lr: float,
    sparsity: float,
    kappa: float,
) -> AttackResult:
    """Search sparse perturbations by iterative shrinkage-thresholding (Beck and Teboulle, SIAM J. Imaging 2009).

    Minimises ``max(Z_y - Z_other + kappa, 0) + w |delta|_1`` as Sun et al. (KDD 2018) do, but for a whole batch,
    with the elementwise L1 norm, the threshold scaled by the step (``lr * w``), each sample's gradient
    scaled to a largest entry of 1 (so that ``w`` is the share of it that a cell needs to enter), and each
    sample's weight ``w`` adapted: it grows while the prediction is turned and shrinks while it is not. So the
    search goes on after the first success, along the boundary, towards fewer and smaller changes.

    Args:
        model: gives logits [sample, 2] from values and context.
        values: [sample, hour, feature].
        labels: [sample], the class to be turned away from.
        context: tensors [sample, ...] handed to the model beside the values.
        lower: [sample, hour, feature], least value of a perturbed cell.
        upper: likewise, the largest.
        editable: [sample, hour, feature] bool, cells that may change.
        steps: gradient steps.
        lr: first step size, in the unit of the values; it falls along a cosine to a tenth.
        sparsity: first weight ``w``, in (0, 1).
        kappa: margin by which the logits must be turned.
    """
    delta = torch.zeros_like(values)
    weight = torch.full((len(values), 1, 1), sparsity, dtype=values.dtype, device=values.device)
    best = BestSoFar(values)
    for step in range(steps):
        gap, gradient = margin_and_gradient(model, values + delta, labels, context)
        turned = gap + kappa <= 0
        best.update(delta, turned & (delta != 0).flatten(1).any(dim=1), step)
        size = lr * (_LAST_LR_SHARE + (1 - _LAST_LR_SHARE) * (1 + math.cos(math.pi * step / steps)) / 2)
        gradient = gradient * (editable & ~turned[:, None, None])
        moved = delta - size * gradient / gradient.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
        delta = _shrink(moved, size * weight)
        delta = torch.minimum(torch.maximum(values + delta, lower), upper) - values
        delta = torch.where(editable & (moved.abs() > size * weight), delta, 0.0)
        factor = torch.where(turned[:, None, None], _ADAPTATION, 1 / _ADAPTATION)
        weight = (weight * factor).clamp_max(_LARGEST_WEIGHT)
    with torch.no_grad():
        turned = margin(model, values + delta, labels, context) + kappa <= 0
    best.update(delta, turned & (delta != 0).flatten(1).any(dim=1), steps)
    spent = torch.full((len(values),), steps, dtype=torch.int32, device=values.device)
    return AttackResult(
        best.found("first"), best.found("sparsest"), best.found("smallest"), spent, torch.ones_like(spent)
    )


def _shrink(x: Tensor, threshold: Tensor) -> Tensor:
    """Return the proximal operator of ``threshold * |x|_1``: soft thresholding."""
    return x.sign() * (x.abs() - threshold).clamp_min(0.0)
