"""What an attack asks of a model: margins, and their gradients with respect to the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

#: Values [sample, hour, feature] and context tensors [sample, ...] in, logits [sample, 2] out.
Classifier = Callable[..., Tensor]


def margin(model: Classifier, values: Tensor, labels: Tensor, context: tuple[Tensor, ...]) -> Tensor:
    """Return ``Z_y - Z_other`` [sample]: positive where the model predicts the label, negative where turned."""
    logits = model(values, *context)
    gap = logits[:, 0] - logits[:, 1]
    return torch.where(labels == 0, gap, -gap)


def margin_and_gradient(
    model: Classifier, values: Tensor, labels: Tensor, context: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """Return the margins [sample] and their gradients [sample, hour, feature].

    Samples of a batch do not depend on one another, so the gradient of the sum holds each sample's own.
    """
    values = values.detach().requires_grad_()
    gap = margin(model, values, labels, context)
    (gradient,) = torch.autograd.grad(gap.sum(), values)
    return gap.detach(), gradient


@contextmanager
def attackable(model: nn.Module) -> Iterator[nn.Module]:
    """Freeze a model in eval mode for an attack, and put it back as it was afterwards.

    cuDNN has no backward pass of a recurrent layer in eval mode, so on a GPU the recurrent layers alone run
    in train mode, with their dropout at 0, which changes nothing in what they compute.
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
