"""The answer in five sentences, in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from lstm_adversarial_attack.catalogue import Feature
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.metrics import Estimate

#: What stands for an undefined number.
UNDEFINED = "\N{EN DASH}"


def headline(metrics: Metrics, features: Sequence[Feature], changeable: float) -> tuple[str, ...]:
    """Return exactly five lines: cohort, prediction, attack, smallest change, most susceptible.

    Args:
        metrics: the numbers; its own ``headline`` is not read.
        features: in column order, for their labels.
        changeable: cells of a sample that may change.
    """
    labels = {feature.name: feature.measurement.label for feature in features}
    return (
        _cohort(metrics),
        _prediction(metrics),
        "Attack: " + "; ".join(_success(metrics, d) for d in DIRECTIONS) + ".",
        "Smallest change: " + "; ".join(_size(metrics, d, changeable) for d in DIRECTIONS) + ".",
        "Most susceptible: " + "; ".join(_places(metrics, d, labels) for d in DIRECTIONS) + ".",
    )


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, such as ``1 patient`` or ``1,204 patients``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def model_words(name: str) -> str:
    """Return the name of a model as a reader sees it, such as ``Logistic regression``."""
    return "LSTM" if name == "lstm" else name.replace("-", " ").capitalize()


def percent(value: float | None) -> str:
    """Return a share as a percentage with one decimal; a dash where undefined."""
    return UNDEFINED if value is None else f"{100 * value:.1f} %"


def number(value: float | None, decimals: int) -> str:
    """Return a number with so many decimals; a dash where undefined."""
    return UNDEFINED if value is None else f"{value:,.{decimals}f}"


def percent_interval(estimate: Estimate) -> str:
    """Return a share with its interval, such as ``93.1 % (90.2 to 95.7)``."""
    if estimate.low is None or estimate.high is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def number_interval(estimate: Estimate) -> str:
    """Return a figure with its interval to three decimals, such as ``0.861 (0.842 to 0.880)``."""
    return interval(estimate, 3)


def interval(estimate: Estimate, decimals: int) -> str:
    """Return a figure with its interval to so many decimals."""
    if estimate.low is None or estimate.high is None:
        return number(estimate.value, decimals)
    return f"{number(estimate.value, decimals)} ({number(estimate.low, decimals)} to {number(estimate.high, decimals)})"


def _cohort(metrics: Metrics) -> str:
    whole, test = metrics.cohort, metrics.splits["test"]
    if whole.samples == 0:
        return "Cohort: no ICU stay is left in it."
    shared = metrics.shared_patients
    return (
        f"Cohort: {counted(whole.samples, 'ICU stay')} of {counted(whole.patients, 'patient')}, "
        f"{percent(whole.deaths / whole.samples)} of the stays ending in death in hospital; the test holds "
        f"{counted(test.samples, 'stay')} of {counted(test.patients, 'patient')}"
        + (f", but {counted(shared, 'patient')} also in another split." if shared else ", none in another split.")
    )


def _prediction(metrics: Metrics) -> str:
    test = metrics.prediction["test"]
    if test["auroc"].value is None:
        return (
            "Prediction: AUROC and AUPRC are undefined, because the test stays "
            f"{_classes(metrics.splits['test'].samples, metrics.splits['test'].deaths)}."
        )
    return (
        f"Prediction: on the test split AUROC {number_interval(test['auroc'])}, "
        f"AUPRC {number_interval(test['auprc'])} where {percent(test['prevalence'].value)} died, "
        f"and F1 {number_interval(test['f1'])} at the threshold chosen on the validation split."
    )


def _classes(samples: int, deaths: int) -> str:
    if samples == 0:
        return "are none"
    return "hold no death" if deaths == 0 else "hold no survivor"


def _success(metrics: Metrics, direction: Direction) -> str:
    attack = metrics.attack[direction.key]
    if attack.attacked == 0:
        return f"no {direction.patients} were attacked"
    outcome = attack.kinds["first"]
    return (
        f"{percent_interval(outcome.success_rate)} of {attack.attacked:,} attacked {direction.patients} "
        f"were turned into predicted {'deaths' if direction.label == 0 else 'survivors'}"
    )


def _size(metrics: Metrics, direction: Direction, changeable: float) -> str:
    kinds = metrics.attack[direction.key].kinds
    if kinds["first"].attacked == 0:
        return f"{direction.words}: nothing attacked"
    fewest, least = kinds["sparsest"].l0.median, kinds["smallest"].l1.median
    if fewest is None or least is None:
        return f"{direction.words}: no median, the attack failed too often"
    return (
        f"{direction.words}: the median sample is turned by changing {fewest:,.5g} of {changeable:,.0f} cells "
        f"that may change, or by changes that sum to {least:.2f} standard deviations"
    )


def _places(metrics: Metrics, direction: Direction, labels: dict[str, str]) -> str:
    sparsest = metrics.susceptibility[direction.key]["sparsest"]
    if sparsest.examples == 0:
        return f"{direction.words}: no example was found"
    measurements = ", ".join(
        f"{labels[name]} ({percent(sparsest.measurements[name].share.value)})" for name in sparsest.top_measurements
    )
    hours = ", ".join(str(hour) for hour in sparsest.top_hours)
    return f"{direction.words}: {measurements} of the sparsest examples, mostly in hours {hours}"
