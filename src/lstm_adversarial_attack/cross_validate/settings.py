"""What is repeated, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from lstm_adversarial_attack.settings import Count, Natural, TrainSettings

#: The published reference system's network, without its mistakes: values alone, the last state of each direction, a
#: layer before the logits, of sizes within its search space. It is trained as every other network is.
REFERENCE = TrainSettings(
    inputs="values",
    static=False,
    encoding_bins=0,
    projection_units=0,
    shortcut_units=0,
    hours_per_step=1,
    pooling="last",
    hidden_units=128,
    state_activation="relu",
    head_units=128,
    head_activation="relu",
    optimizer="adam",
    lr=1e-3,
    weight_decay=0.0,
    batch_size=128,
    distillation=0.0,
    weight_averaging=0.0,
    dropout=0.2,
    input_dropout=0.0,
    schedule="cosine",
    max_epochs=30,
)


@dataclass(frozen=True, kw_only=True)
class CrossValidateSettings:
    """Folds, seeds and methods."""

    folds: Annotated[int, Meta(ge=2, le=100)] = 5
    """Folds over patients. Every patient is held out once."""

    seeds: Annotated[int, Meta(ge=1, le=100)] = 5
    """Networks fitted in each fold, each from a seed of its own and stopped by another fifth of the fold's training
    patients. They are judged one by one, and together as an ensemble."""

    refit: bool = False
    """Networks learn from all training patients of a fold and make all max_epochs, in place of being stopped by some
    who are held back. There is no threshold then, and no F1. For settings that were chosen already."""

    compare: bool = True
    """Judge logistic regression, gradient boosting and the published reference system's network on the same folds."""

    resamples: Count = 1000
    """Bootstrap resamples over patients for intervals of differences."""

    seed: Natural = 0
    """Seed of folds, networks and bootstrap."""

    train: TrainSettings = field(default_factory=TrainSettings)
    """The network and its training; ensemble, calibration, baselines, resamples and seed are not read."""
