"""A model made ready for gradients of its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def judging(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model in eval mode, and back as it was afterwards."""
    was_training = {module: module.training for module in model.modules()}
    try:
        yield model.eval()
    finally:
        for module, training in was_training.items():
            module.training = training


@contextmanager
def attackable(model: nn.Module) -> Iterator[nn.Module]:
    """Freeze a model in eval mode for an attack, and put it back as it was afterwards.

    cuDNN has no backward pass of a recurrent layer in eval mode, so on a GPU the recurrent layers alone run in train
    mode, with their dropout at 0, which changes nothing in what they compute.
    """
    was_training = {module: module.training for module in model.modules()}
    wanted_gradient = {weight: weight.requires_grad for weight in model.parameters()}
    recurrent = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    dropouts = [layer.dropout for layer in recurrent]
    try:
        model.eval()
        for weight in wanted_gradient:
            weight.requires_grad_(False)
        for layer in recurrent:
            layer.dropout = 0.0
            layer.train(next(layer.parameters()).is_cuda)
        yield model
    finally:
        for layer, dropout in zip(recurrent, dropouts, strict=True):
            layer.dropout = dropout
        for weight, wanted in wanted_gradient.items():
            weight.requires_grad_(wanted)
        for module, training in was_training.items():
            module.training = training
