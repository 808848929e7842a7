"""What a classifier says of samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.datasets import Tensors

_BATCH = 4096


@torch.no_grad()
def predict_logits(model: nn.Module, samples: Tensors) -> Tensor:
    """Return the logits [sample, 2] of ``model`` in eval mode."""
    model.eval()
    order = torch.arange(len(samples), device=samples.labels.device)
    batches = (samples[index] for index in torch.split(order, _BATCH))
    return torch.cat([model(batch.values, batch.observed) for batch in batches])


def death_probability(logits: Tensor) -> Tensor:
    """Return the probability of death [sample] in float64."""
    return (logits[:, 1].double() - logits[:, 0].double()).sigmoid()
