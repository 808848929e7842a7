"""A classifier whose larger logit is its decision."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Decision(nn.Module):
    """A classifier with its threshold moved into the logits.

    With few deaths the threshold that serves best lies far below one half. Subtracting its log-odds from the
    logit of death makes the larger logit the decision, so that an attack has one thing to turn.
    """

    def __init__(self, model: nn.Module, threshold: float) -> None:
        """Wrap ``model``; ``threshold`` is the probability of death from which a death is predicted."""
        super().__init__()
        self.model = model
        inside = min(max(threshold, 1e-6), 1 - 1e-6)
        self.shift = math.log(inside) - math.log1p(-inside)
        self.shifts: Tensor
        self.register_buffer("shifts", torch.tensor([0.0, self.shift]), persistent=False)

    def forward(self, values: Tensor, *context: Tensor) -> Tensor:
        """Return logits [batch, 2] whose larger one is the decision."""
        logits: Tensor = self.model(values, *context)
        return logits - self.shifts
