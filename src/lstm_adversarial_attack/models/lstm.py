"""The LSTM classifier, and ensembles of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.models.inputs import Decay, blocks_of, running

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"none": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh}


class LstmClassifier(nn.Module):
    """An LSTM over the hours, pooled, joined by static data, and a linear layer to two logits.

    Called with values and masks [sample, hour, feature] and, where the architecture has static columns, their values
    and masks [sample, column]; returns logits [sample, 2] of survival and death.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.decay = Decay(architecture.features) if architecture.decay else None
        self.lstm = nn.LSTM(
            len(blocks_of(architecture.inputs)) * architecture.features,
            architecture.hidden_units,
            num_layers=architecture.layers,
            bidirectional=architecture.bidirectional,
            dropout=architecture.dropout if architecture.layers > 1 else 0.0,
            batch_first=True,
        )
        width = architecture.hidden_units * (2 if architecture.bidirectional else 1)
        self.attention = nn.Linear(width, 1) if architecture.pooling == "attention" else None
        pooled = width * (3 if architecture.pooling == "all" else 1)
        self.state = nn.Sequential(_ACTIVATIONS[architecture.state_activation](), nn.Dropout(architecture.dropout))
        joined = pooled + 2 * architecture.static_columns
        self.head: nn.Module = nn.Identity()
        if architecture.head_units:
            self.head = nn.Sequential(
                nn.Linear(joined, architecture.head_units), _ACTIVATIONS[architecture.head_activation]()
            )
        self.output = nn.Linear(architecture.head_units or joined, 2)

    def forward(
        self, values: Tensor, observed: Tensor, static: Tensor | None = None, static_observed: Tensor | None = None
    ) -> Tensor:
        """Return logits [sample, 2] of survival and death.

        Args:
            values: [sample, hour, feature] float32, standardised units.
            observed: [sample, hour, feature] bool, whether the cell was measured in its hour.
            static: [sample, column] float32, standardised units, 0 where unknown.
            static_observed: [sample, column] bool, whether it is known.
        """
        shown = values if self.decay is None else self.decay(values, observed)
        inputs = running(shown, observed, self.architecture.inputs)
        if self.training and self.architecture.input_dropout:
            share = self.architecture.input_dropout
            kept = torch.rand((len(inputs), 1, inputs.shape[2]), device=inputs.device) >= share
            inputs = inputs * kept / (1 - share)
        states, _ = self.lstm(inputs)
        pooled: Tensor = self.state(self._pooled(states))
        if self.architecture.static_columns:
            if static is None or static_observed is None:
                raise ValueError("this classifier reads static data, but none were given")
            pooled = torch.cat([pooled, static, static_observed.to(pooled.dtype)], dim=1)
        logits: Tensor = self.output(self.head(pooled))
        return logits.softmax(dim=1) if self.architecture.softmax_twice else logits

    def _pooled(self, states: Tensor) -> Tensor:
        """Return what the output layer sees of the states [sample, hour, unit]."""
        pooling = self.architecture.pooling
        if self.attention is not None:
            weights: Tensor = self.attention(states).softmax(dim=1)
            return (weights * states).sum(dim=1)
        if pooling == "mean":
            return states.mean(dim=1)
        if pooling == "max":
            return states.amax(dim=1)
        last = self._last(states)
        return last if pooling == "last" else torch.cat([states.mean(dim=1), states.amax(dim=1), last], dim=1)

    def _last(self, states: Tensor) -> Tensor:
        """Return the state of each direction after its last hour."""
        if not self.architecture.bidirectional or self.architecture.backward_one_hour:
            return states[:, -1]
        units = self.architecture.hidden_units
        return torch.cat([states[:, -1, :units], states[:, 0, units:]], dim=1)


class Ensemble(nn.Module):
    """Networks that differ in their seed; the logits are the mean of theirs."""

    def __init__(self, members: list[LstmClassifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self, values: Tensor, observed: Tensor, static: Tensor | None = None, static_observed: Tensor | None = None
    ) -> Tensor:
        """Return logits [sample, 2]; arguments as those of `LstmClassifier`."""
        logits = [member(values, observed, static, static_observed) for member in self.members]
        return torch.stack(logits).mean(dim=0)


def build(architecture: Architecture) -> LstmClassifier | Ensemble:
    """Return a classifier with fresh weights: a network, or an ensemble where the architecture has several members."""
    if architecture.members == 1:
        return LstmClassifier(architecture)
    return Ensemble([LstmClassifier(architecture) for _ in range(architecture.members)])
