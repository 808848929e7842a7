"""The same weights seen in different ways: on training or held-out patients, resampled or as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lstm_adversarial_attack.audit.findings import View
from lstm_adversarial_attack.audit.folds import halves
from lstm_adversarial_attack.audit.implied import implied_prevalence
from lstm_adversarial_attack.audit.recipe import THRESHOLD, Floats, Integers, balanced_draw
from lstm_adversarial_attack.devices import derive_seed
from lstm_adversarial_attack.metrics import Estimate, best_f1_threshold, prediction_metrics

#: Figures that a set threshold has; the others are of the probabilities, whatever the threshold.
_OF_DECISIONS = ("f1", "precision", "recall", "specificity", "accuracy", "prevalence")


@dataclass(frozen=True)
class Judged:
    """Predictions of one fold's weights.

    Attributes:
        labels: of all samples of the dataset, 0 or 1 (died).
        patients: who each sample belongs to.
        probability: of death, by this fold's weights.
        held_out: whether the fold holds the sample out.
        drawn: the draw of the training fold on which the epoch was chosen, as indices.
        seed: of what is drawn to judge the fold.
    """

    labels: Integers
    patients: Integers
    probability: Floats
    held_out: npt.NDArray[np.bool_]
    drawn: Integers
    seed: int

    @property
    def thresholds(self) -> tuple[float, float]:
        """The best thresholds of the first and of the second half of the held-out patients."""
        out, second = self._out, self._second
        first = best_f1_threshold(self.labels[out[~second]], self.probability[out[~second]])
        return first, best_f1_threshold(self.labels[out[second]], self.probability[out[second]])

    @property
    def _out(self) -> Integers:
        return np.flatnonzero(self.held_out)

    @property
    def _second(self) -> npt.NDArray[np.bool_]:
        return halves(self.labels[self._out], self.patients[self._out], seed=self.seed)

    def seen(self, view: str) -> Seen:
        """Return the samples of a view, draws of the same sample included, and the threshold of each."""
        if view == "reference":
            return Seen(self, self.drawn, THRESHOLD)
        if view == "training":
            return Seen(self, np.flatnonzero(~self.held_out), THRESHOLD)
        out = self._out
        if view == "held-out-balanced":
            labels = torch.from_numpy(self.labels[out])
            return Seen(self, out[balanced_draw(labels, derive_seed(self.seed, "held out")).numpy()], THRESHOLD)
        if view == "held-out":
            return Seen(self, out, THRESHOLD)
        if view == "held-out-threshold":
            of_first, of_second = self.thresholds
            return Seen(self, out, np.where(self._second, of_first, of_second))
        return Seen(self, out, best_f1_threshold(self.labels[out], self.probability[out]))


class Seen:
    """What a view shows of one fold: samples, some of them several times, their probabilities and decisions."""

    def __init__(self, judged: Judged, index: Integers, threshold: float | Floats) -> None:
        self.labels, self.patients = judged.labels[index], judged.patients[index]
        self.probability = judged.probability[index]
        self.died = self.probability >= threshold


@dataclass(frozen=True)
class Kind:
    """One way of looking; fields as those of `View`.

    ``ranks`` tells whether AUROC, AUPRC and Brier score belong to it; a threshold of its own does not change them.
    """

    title: str
    patients: str
    balanced: bool = False
    honest: bool = False
    threshold: str = "0.5"
    ranks: bool = True


#: The ways of looking, from the claim to the truth.
KINDS: Mapping[str, Kind] = {
    "reference": Kind("The reference's way: training patients, resampled", "training", balanced=True),
    "training": Kind("Training patients as they are", "training"),
    "held-out-balanced": Kind("Held-out patients, resampled", "held-out", balanced=True),
    "held-out": Kind("Held-out patients as they are", "held-out", honest=True),
    "held-out-threshold": Kind(
        "Held-out patients, threshold chosen on others", "held-out", honest=True, threshold="half by half", ranks=False
    ),
    "held-out-hindsight": Kind(
        "Held-out patients, best threshold in hindsight", "held-out", threshold="best of all", ranks=False
    ),
}


def view(name: str, folds: Sequence[Judged], *, resamples: int, seed: int) -> View:
    """Return the figures of one view: of each fold, their mean, and pooled.

    Args:
        name: key of `KINDS`.
        folds: the predictions of each fold's weights.
        resamples: bootstrap resamples over patients.
        seed: of the bootstrap.
    """
    kind = KINDS[name]
    seen = [fold.seen(name) for fold in folds]
    each = [_figures([one], kind.ranks, resamples, seed) for one in seen]
    pooled = _figures(seen, kind.ranks, resamples, seed)
    return View(
        name=name,
        title=kind.title,
        patients=kind.patients,
        balanced=kind.balanced,
        honest=kind.honest,
        threshold=kind.threshold,
        samples=sum(len(one.labels) for one in seen),
        folds=each,
        mean={figure: _mean([fold[figure].value for fold in each]) for figure in pooled},
        pooled=pooled,
        implied_prevalence=_implied(pooled),
    )


def _figures(seen: Sequence[Seen], ranks: bool, resamples: int, seed: int) -> dict[str, Estimate]:
    labels = np.concatenate([one.labels for one in seen])
    patients = np.concatenate([one.patients for one in seen])
    died = np.concatenate([one.died for one in seen]).astype(np.float64)
    of_decisions = prediction_metrics(labels, died, patients, threshold=0.5, resamples=resamples, seed=seed)
    figures = {name: of_decisions[name] for name in _OF_DECISIONS}
    if not ranks:
        return figures
    shares = np.concatenate([one.probability for one in seen])
    of_ranks = prediction_metrics(labels, shares, patients, threshold=THRESHOLD, resamples=resamples, seed=seed)
    return figures | {name: of_ranks[name] for name in ("auroc", "auprc", "brier")}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _implied(figures: Mapping[str, Estimate]) -> float | None:
    accuracy, precision, recall = (figures[name].value for name in ("accuracy", "precision", "recall"))
    if not precision or not recall or accuracy is None or precision == recall == 1:
        return None
    return implied_prevalence(accuracy, precision, recall)
