"""What cross-validation has found: figures of each method over the folds, and differences to the LSTM."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from lstm_adversarial_attack.cross_validate.core import Plan, Predicted, Task, ensemble
from lstm_adversarial_attack.cross_validate.folds import Indices, folds, held_back
from lstm_adversarial_attack.metrics import Difference, best_f1_threshold, paired_differences, prediction_metrics

Floats = npt.NDArray[np.float64]

#: The method that the others are compared with.
LSTM = "lstm"
_FIGURES = ("auroc", "auprc", "brier")


class Figure(msgspec.Struct, frozen=True):
    """A figure over the folds: its mean, standard deviation over folds, and the value in each fold."""

    mean: float
    sd: float
    folds: list[float]


class Method(msgspec.Struct, frozen=True):
    """How a method did on held-out patients.

    ``ensemble`` is of all fits of a fold together, ``single`` of one alone (the mean over fits); the two are the same
    for a method that is fitted once. ``f1`` and its ``threshold`` go with the ensemble; the threshold is chosen on
    training patients whom the predicting network had not learned from. Null for methods without such predictions.
    """

    fits: int
    ensemble: dict[str, Figure]
    single: dict[str, Figure]
    f1: Figure | None
    epochs_mean: float


class CrossValidation(msgspec.Struct, frozen=True):
    """``metrics.json`` of a cross-validation.

    ``differences`` are the LSTM's ensemble less each method's, over the held-out predictions of all folds.
    """

    folds: int
    samples: int
    patients: int
    deaths: int
    methods: dict[str, Method]
    differences: dict[str, dict[str, Difference]]


def summarise(
    plan: Plan, results: Mapping[Task, Predicted], labels: Indices, patients: Indices, *, resamples: int
) -> tuple[CrossValidation, dict[str, Floats]]:
    """Return the figures, and each method's held-out probability of every sample [sample].

    Args:
        plan: what was repeated.
        results: those of every task.
        labels: [sample], 1 for death.
        patients: [sample].
        resamples: bootstrap resamples over patients.
    """
    names = list(dict.fromkeys(task.method for task in results))
    held_out = {name: np.full(len(labels), np.nan) for name in names}
    methods = {}
    for name in names:
        together: dict[str, list[float]] = {figure: [] for figure in _FIGURES}
        alone: dict[str, list[float]] = {figure: [] for figure in _FIGURES}
        f1: list[float] = []
        done = {(t.fold, t.member): predicted for t, predicted in results.items() if t.method == name}
        members = max(member for _, member in done) + 1
        for fold in folds(labels, patients, plan.folds, plan.seed):
            fits = [done[fold.number, member] for member in range(members)]
            probabilities = [np.array(predicted.probability) for predicted in fits]
            held_out[name][fold.test] = joined = ensemble(probabilities)
            y, who = labels[fold.test], patients[fold.test]
            threshold = 0.5
            if fits[0].validation:
                parts = [held_back(labels, patients, fold, member, plan.seed)[1] for member in range(members)]
                seen = np.concatenate([predicted.validation for predicted in fits])
                threshold = best_f1_threshold(np.concatenate([labels[part] for part in parts]), seen)
            of_ensemble = _values(y, joined, who, threshold)
            of_members = [_values(y, probability, who, threshold) for probability in probabilities]
            for figure in _FIGURES:
                together[figure].append(of_ensemble[figure])
                alone[figure].append(float(np.mean([values[figure] for values in of_members])))
            if fits[0].validation:
                f1.append(of_ensemble["f1"])
        methods[name] = Method(
            fits=members,
            ensemble={figure: _figure(values) for figure, values in together.items()},
            single={figure: _figure(values) for figure, values in alone.items()},
            f1=_figure(f1) if f1 else None,
            epochs_mean=float(np.mean([predicted.epochs for predicted in done.values()])),
        )
    found = CrossValidation(
        folds=plan.folds,
        samples=len(labels),
        patients=len(np.unique(patients)),
        deaths=int(labels.sum()),
        methods=methods,
        differences={
            name: paired_differences(
                labels, held_out[LSTM], held_out[name], patients, resamples=resamples, seed=plan.seed
            )
            for name in names
            if name != LSTM and LSTM in names
        },
    )
    return found, held_out


def _values(labels: Indices, probability: Floats, patients: Indices, threshold: float) -> dict[str, float]:
    figures = prediction_metrics(labels, probability, patients, threshold=threshold, resamples=0)
    return {name: np.nan if estimate.value is None else estimate.value for name, estimate in figures.items()}


def _figure(values: list[float]) -> Figure:
    return Figure(float(np.mean(values)), float(np.std(values, ddof=1)), values)


def table(found: CrossValidation) -> list[str]:
    """Return the lines of a table: a method a line, its figures as mean and standard deviation over the folds."""
    head = f"{'method':<24} {'fits':>4} {'AUROC':>15} {'AUPRC':>15} {'Brier':>7} {'F1':>6} {'one alone':>15}"
    lines = [
        f"{found.folds} folds of {found.patients:,} patients: {found.samples:,} samples, {found.deaths:,} deaths; "
        "held-out figures, mean (standard deviation over folds)",
        head,
    ]
    for name, method in found.methods.items():
        auroc, auprc, brier = (method.ensemble[figure] for figure in _FIGURES)
        alone = f"{method.single['auroc'].mean:.4f} {method.single['auprc'].mean:.4f}" if method.fits > 1 else ""
        f1 = f"{method.f1.mean:.3f}" if method.f1 else "-"
        lines.append(
            f"{name:<24} {method.fits:>4} {auroc.mean:.4f} ({auroc.sd:.4f}) {auprc.mean:.4f} ({auprc.sd:.4f}) "
            f"{brier.mean:>7.4f} {f1:>6} {alone:>15}"
        )
    for name, differences in found.differences.items():
        shown = "; ".join(f"{figure.upper()} {_shown(differences[figure])}" for figure in ("auroc", "auprc"))
        lines.append(f"{LSTM} less {name}, all folds together: {shown}")
    return lines


def _shown(difference: Difference) -> str:
    values = (difference.value, difference.low, difference.high)
    return "{:+.4f} [{:+.4f}, {:+.4f}]".format(*(np.nan if value is None else value for value in values))
