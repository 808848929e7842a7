"""What the JSON files inside artifacts say: small types that stages share."""

from __future__ import annotations

from typing import Any

import msgspec


class CohortStep(msgspec.Struct, frozen=True):
    """What is left of the cohort after a rule: ICU stays, their patients, and stays that ended in death."""

    rule: str
    description: str
    stays: int
    patients: int
    deaths: int


class ValueCount(msgspec.Struct, frozen=True):
    """How many values of a feature were read, and how many of them lay inside the accepted range."""

    read: int
    accepted: int


class Extraction(msgspec.Struct, frozen=True):
    """``extraction.json`` of events: the window, the cohort flow, and the values of each feature."""

    window_hours: int
    cohort_flow: list[CohortStep]
    values: dict[str, ValueCount]


class Scaling(msgspec.Struct, frozen=True):
    """``scaling.json`` of a dataset: ``(value - mean) / std`` of each feature, in column order."""

    mean: list[float]
    std: list[float]


class Architecture(msgspec.Struct, frozen=True):
    """What it takes to build a classifier before its weights are loaded."""

    features: int
    hidden_units: int
    layers: int
    bidirectional: bool
    dropout: float


class ModelCard(msgspec.Struct, frozen=True):
    """``model.json`` of a model: the architecture, the features it reads, and its decision threshold.

    ``threshold`` is the probability of death from which a death is predicted; it was chosen on validation
    patients.
    """

    architecture: Architecture
    features: tuple[str, ...]
    threshold: float
    best_epoch: int
    epochs: int
    settings: dict[str, Any]  # of the training, what a search had found included


class Trial(msgspec.Struct, frozen=True):
    """One finished trial of a search: its place in the order of finishing, its settings and its score."""

    number: int
    state: str  # COMPLETE or PRUNED
    value: float | None
    settings: dict[str, Any]


class Search(msgspec.Struct, frozen=True):
    """``search.json`` of hyperparameters and attack settings: the best settings and all trials."""

    objective: str
    best: dict[str, Any]
    best_value: float
    trials: list[Trial]


class AttackCard(msgspec.Struct, frozen=True):
    """``attack.json`` of examples: the settings of the attack, what a search had found included."""

    settings: dict[str, Any]


class Headline(msgspec.Struct, frozen=True):
    """What ``metrics.json`` of a report says first: what the run has shown, a sentence a line."""

    headline: tuple[str, ...]
