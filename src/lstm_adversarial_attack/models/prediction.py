"""What a classifier says of samples."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.datasets import Tensors

#: Samples at once; the encoded inputs of an hour take some ten kilobytes a sample.
_BATCH = 256


class Classifier(Protocol):
    """Whatever maps samples to two logits: an LSTM, an ensemble, a baseline, or a model of your own.

    Values and masks are [sample, hour, feature], static data and their masks [sample, column] (no columns where there
    are none); logits are [sample, 2], of survival and death. Baselines take whole batches and have no gradient.
    """

    def __call__(self, values: Tensor, observed: Tensor, static: Tensor, static_observed: Tensor, /) -> Tensor:
        """Return logits [sample, 2]."""
        ...


@torch.no_grad()
def predict_logits(model: Classifier, samples: Tensors) -> Tensor:
    """Return the logits [sample, 2] of ``model``; a torch module is put in eval mode."""
    if isinstance(model, nn.Module):
        model.eval()
    order = torch.arange(len(samples), device=samples.labels.device)
    batches = (samples[index] for index in torch.split(order, _BATCH))
    return torch.cat([model(batch.values, *batch.context) for batch in batches])


def death_probability(logits: Tensor) -> Tensor:
    """Return the probability of death [sample] in float64."""
    return (logits[:, 1].double() - logits[:, 0].double()).sigmoid()
