"""The LSTM classifier, and ensembles of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.models.inputs import Decay, PiecewiseLinear, blocks_of, running

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"none": nn.Identity, "relu": nn.ReLU, "tanh": nn.Tanh}


@dataclass(frozen=True)
class Read:
    """What a network reads of samples, before anything that it learns.

    Attributes:
        steps: [sample, step, input] float32, of the LSTM.
        last: [sample, 1, block, feature] float32, of the last hour, for the shortcut.
        known: [sample, 2 columns] float32, static data and their masks.
    """

    steps: Tensor
    last: Tensor
    known: Tensor

    def __getitem__(self, index: Tensor | slice) -> Read:
        """Return the samples at ``index``."""
        return Read(self.steps[index], self.last[index], self.known[index])


class LstmClassifier(nn.Module):
    """An LSTM over the hours, pooled, joined by static data, and a linear layer to two logits.

    Called with values and masks [sample, hour, feature] and, where the architecture has static columns, their values
    and masks [sample, column]; returns logits [sample, 2] of survival and death.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.decay = Decay(architecture.features) if architecture.decay else None
        width = len(blocks_of(architecture.inputs)) * architecture.features
        static = 2 * architecture.static_columns
        self.encoding, self.shortcut = None, None
        if architecture.shortcut_units:
            if architecture.encoding_bins:
                self.encoding = PiecewiseLinear(architecture.inputs, architecture.features, architecture.encoding_bins)
            self.shortcut = self._shortcut((self.encoding.width if self.encoding else width) + static)
        self.projection: nn.Module = nn.Identity()
        if architecture.projection_units:
            self.projection, width = nn.Linear(width, architecture.projection_units), architecture.projection_units
        self.lstm = nn.LSTM(
            width,
            architecture.hidden_units,
            num_layers=architecture.layers,
            bidirectional=architecture.bidirectional,
            dropout=architecture.dropout if architecture.layers > 1 else 0.0,
            batch_first=True,
        )
        states = architecture.hidden_units * (2 if architecture.bidirectional else 1)
        self.attention = nn.Linear(states, 1) if architecture.pooling == "attention" else None
        self.state = nn.Sequential(_ACTIVATIONS[architecture.state_activation](), nn.Dropout(architecture.dropout))
        joined = states * (3 if architecture.pooling == "all" else 1) + static
        self.head: nn.Module = nn.Identity()
        if architecture.head_units:
            activation = _ACTIVATIONS[architecture.head_activation]()
            self.head = nn.Sequential(nn.Linear(joined, architecture.head_units), activation)
        self.output = nn.Linear(architecture.head_units or joined, 2)

    def _shortcut(self, width: int) -> nn.Module:
        units, dropout = self.architecture.shortcut_units, self.architecture.dropout
        return nn.Sequential(nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout), nn.Linear(units, 2))

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
        return self.decide(self.read(values, observed, static, static_observed))

    @property
    def reads_alike(self) -> bool:
        """Whether what is read stays the same while the network learns."""
        return self.decay is None

    def read(
        self, values: Tensor, observed: Tensor, static: Tensor | None = None, static_observed: Tensor | None = None
    ) -> Read:
        """Return what the network reads of samples; arguments as those of a call."""
        shown = values if self.decay is None else self.decay(values, observed)
        blocks = running(shown, observed, self.architecture.inputs)
        last = blocks[:, -1:] if self.shortcut is not None else blocks[:, :0]
        return Read(self._steps(blocks).flatten(2), last, self._static(values, static, static_observed))

    def decide(self, read: Read) -> Tensor:
        """Return logits [sample, 2] for what `read` gave."""
        states = self._states(self.projection(self._dropped(read.steps)))
        pooled: Tensor = self.state(self._pooled(states))
        logits: Tensor = self.output(self.head(torch.cat([pooled, read.known], dim=1)))
        if self.shortcut is not None:
            last = self._dropped(read.last.flatten(2) if self.encoding is None else self.encoding(read.last))
            logits = logits + self.shortcut(torch.cat([last.flatten(1), read.known], dim=1))
        return logits.softmax(dim=1) if self.architecture.softmax_twice else logits

    @torch.no_grad()
    def fit_encoding(self, values: Tensor, observed: Tensor) -> None:
        """Take from training samples [sample, hour, feature] what the encoding of inputs needs to know of them."""
        if self.encoding is not None:
            shown = values if self.decay is None else self.decay(values, observed)
            self.encoding.fit(shown, observed)

    def _steps(self, blocks: Tensor) -> Tensor:
        """Return the hours that are steps of the LSTM; the last step is the last hour."""
        apart = self.architecture.hours_per_step
        return blocks[:, (blocks.shape[1] - 1) % apart :: apart]

    def _static(self, values: Tensor, static: Tensor | None, static_observed: Tensor | None) -> Tensor:
        """Return static data and masks [sample, 2 columns]; no columns where the classifier reads none."""
        if not self.architecture.static_columns:
            return values.new_empty((len(values), 0))
        if static is None or static_observed is None:
            raise ValueError("this classifier reads static data, but none were given")
        return torch.cat([static, static_observed.to(static.dtype)], dim=1)

    def _dropped(self, inputs: Tensor) -> Tensor:
        """Return inputs [sample, step, input], a share of which is dropped in training, each at all steps."""
        share = self.architecture.input_dropout
        if not (self.training and share):
            return inputs
        kept = torch.rand((len(inputs), 1, inputs.shape[2]), device=inputs.device) >= share
        return inputs * kept / (1 - share)

    def _states(self, inputs: Tensor) -> Tensor:
        """Return the LSTM's states [sample, step, unit]; the last alone where nothing else of them is read."""
        architecture = self.architecture
        shorter = architecture.backward_one_hour and architecture.bidirectional and architecture.layers == 1
        if not shorter or architecture.pooling != "last" or inputs.is_cuda:
            states: Tensor = self.lstm(inputs)[0]
            return states
        # The backward direction has read the last step alone: the other steps, half of the work, are left out.
        weights: list[Tensor] = [parameter for _, parameter in self.lstm.named_parameters()]
        start = inputs.new_zeros(1, len(inputs), architecture.hidden_units)
        forward = torch.lstm(inputs, (start, start), weights[:4], True, 1, 0.0, self.training, False, True)[0][:, -1]
        backward = torch.lstm_cell(inputs[:, -1], (start[0], start[0]), *weights[4:])[0]
        return torch.cat([forward, backward], dim=1)[:, None]

    def _pooled(self, states: Tensor) -> Tensor:
        """Return what the output layer sees of the states [sample, step, unit]."""
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
        """Return the state of each direction after its last step."""
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
