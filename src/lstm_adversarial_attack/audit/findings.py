"""``audit.json``: what the audit found, every number of it."""

from __future__ import annotations

from typing import Any

import msgspec

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.audit.checkpoint import EpochScore
from lstm_adversarial_attack.metrics import Estimate


class Counts(msgspec.Struct, frozen=True):
    """A set of samples: of how many patients, and how many of them ended in death."""

    samples: int
    patients: int
    deaths: int


class View(msgspec.Struct, frozen=True):
    """The same weights, judged in one way.

    Attributes:
        name: key of the view.
        title: what it is, in a few words.
        patients: training or held-out.
        balanced: whether the samples were drawn so that half of them died.
        honest: whether the figures say how well deaths of new patients are predicted.
        threshold: how the threshold was chosen.
        samples: that the figures are of, draws of the same sample included, over all folds.
        folds: the figures of each fold.
        mean: of each figure over the folds.
        pooled: the figures over the samples of all folds, with intervals over patients.
        implied_prevalence: the share of deaths that pooled accuracy, precision and recall give away.
    """

    name: str
    title: str
    patients: str
    balanced: bool
    honest: bool
    threshold: str
    samples: int
    folds: list[dict[str, Estimate]]
    mean: dict[str, float | None]
    pooled: dict[str, Estimate]
    implied_prevalence: float | None


class Fold(msgspec.Struct, frozen=True):
    """One network: whom it learned from, whom it never saw, and its epochs.

    ``thresholds`` are those chosen on either half of the held-out patients and applied to the other; ``weights`` is
    the SHA-256 of its tensors, by name, as they stand in ``weights.safetensors``.
    """

    fold: int
    training: Counts
    held_out: Counts
    best_epoch: int
    thresholds: tuple[float, float]
    weights: str
    history: list[EpochScore]


class Steps(msgspec.Struct, frozen=True):
    """The distance from the honest F1 to the claimed one, taken apart; all at threshold 0.5, means over the folds.

    ``training_alone`` is what judging on training patients adds without resampling, ``resampling_alone`` what
    resampling adds on held-out patients, and ``together`` what the two add beyond their sum.
    """

    honest: float
    training_alone: float
    resampling_alone: float
    together: float
    claimed: float


class Limits(msgspec.Struct, frozen=True):
    """What F1 the ranking of held-out patients allows, and what ranking the claimed F1 would need.

    Attributes:
        prevalence: share of deaths in the dataset.
        auroc: held-out, mean over the folds.
        max_f1: at that AUROC and prevalence under the binormal model, at the best threshold.
        f1_bound: at that AUROC and prevalence, for any concave ROC curve whatever.
        claimed_f1: reference-style, mean over the folds.
        auroc_for_claimed: that the binormal model needs for it at this prevalence.
        published_f1: of the reference system.
        auroc_for_published: that the binormal model needs for it at this prevalence.
        always_death: F1 of predicting death of everybody at this prevalence.
        always_death_balanced: the same where half of the samples died.
    """

    prevalence: float
    auroc: float
    max_f1: float
    f1_bound: float
    claimed_f1: float
    auroc_for_claimed: float | None
    published_f1: float
    auroc_for_published: float
    always_death: float
    always_death_balanced: float


class Findings(msgspec.Struct, frozen=True):
    """The whole of the audit."""

    headline: tuple[str, ...]
    dataset: str  # digest
    features: tuple[str, ...]
    hours: int
    cohort: Counts
    settings: dict[str, Any]
    architecture: Architecture
    views: list[View]
    steps: Steps
    limits: Limits
    folds: list[Fold]

    def view(self, name: str) -> View:
        """Return the view of that name."""
        return next(view for view in self.views if view.name == name)
