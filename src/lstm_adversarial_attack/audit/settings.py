"""The settings of the audit, which is none of the seven stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.settings import Count, Natural, Positive


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """The published recipe, and how its weights are judged.

    The kind of network, its mistakes, the sampler and the choice of the epoch are the reference system's. Sizes and
    step lie in its search space. It makes 1000 epochs on a GPU; the default here takes fewer, to end in tens of
    minutes on a processor.
    """

    folds: Annotated[int, Meta(ge=2, le=100)] = 5
    """Parts of the patients; each is held out once from the training of one network."""

    epochs: Count = 300
    """Passes over a training fold; all of them are made, and the one with the best reference-style F1 is kept."""

    hidden_units: Annotated[int, Meta(ge=1, le=4096)] = 128
    """Units of the LSTM in each direction."""

    head_units: Annotated[int, Meta(ge=1, le=4096)] = 256
    """Units of the layer between the LSTM's last states and the two outputs."""

    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the LSTM's last states dropped in training."""

    lr: Positive = 5e-4
    """Learning rate of Adam, the same in all epochs."""

    batch_size: Count = 32
    """Samples a step."""

    resamples: Count = 1000
    """Bootstrap resamples over patients for the intervals."""

    seed: Natural = 0
    """Seed of folds, initial weights, draws of samples and dropout."""


def architecture_of(settings: AuditSettings, features: int) -> Architecture:
    """Return the reference system's network over ``features`` columns, its mistakes included."""
    return Architecture(
        features=features,
        hidden_units=settings.hidden_units,
        layers=1,
        bidirectional=True,
        dropout=settings.dropout,
        inputs="values",
        pooling="last",
        state_activation="relu",
        head_units=settings.head_units,
        head_activation="relu",
        backward_one_hour=True,
        softmax_twice=True,
    )
