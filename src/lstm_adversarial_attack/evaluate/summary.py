"""The report in Markdown, for places that show text: Kubeflow's UI, MLflow, a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lstm_adversarial_attack.evaluate.classification import OUTCOMES
from lstm_adversarial_attack.evaluate.headline import UNDEFINED, counted, model_words, number, number_interval, percent
from lstm_adversarial_attack.evaluate.headline import percent_interval as share
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.results import Metrics, Quantiles
from lstm_adversarial_attack.frames import EXAMPLE_KINDS

_FIGURES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
}
_COMPARED = ("auroc", "auprc", "brier")
_MOST_MEASUREMENTS = 10
_INFINITE = "\N{INFINITY}"
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#&~])")

Rows = Iterable[Sequence[str]]


def summary(inputs: EvaluationInputs, metrics: Metrics) -> str:
    """Return the five sentences, the verdict of the gate and the main tables; no HTML."""
    parts = [
        "# What turns a prediction of death in intensive care",
        "\n".join(f"- {plain(line)}" for line in metrics.headline),
        *_gate(metrics),
        *_prediction(metrics),
        *_attack(inputs, metrics),
        *_classification(metrics),
        *_susceptibility(inputs, metrics),
        *_provenance(inputs),
        "Intervals are of 95 %, from a bootstrap over patients. Figures, methods and caveats are in `report.html`.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def plain(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is."""
    return _SPECIAL.sub(r"\\\1", text.replace("\n", " "))


def table(head: Sequence[str], rows: Rows) -> str:
    """Return a table, its first column to the left and the others to the right; nothing without rows."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    if not body:
        return ""
    rule = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join([f"| {' | '.join(head)} |", rule, *body])


def _gate(metrics: Metrics) -> Iterator[str]:
    if metrics.gate.passed:
        yield "**Quality gate: passed.**"
    else:
        yield "**Quality gate: not passed.**"
        yield "\n".join(f"- {plain(reason)}" for reason in metrics.gate.reasons)


def _prediction(metrics: Metrics) -> Iterator[str]:
    test, calibration = metrics.prediction["test"], metrics.calibration
    yield "## Prediction on the test split"
    rows = [(words, number_interval(test[name])) for name, words in _FIGURES.items()]
    rows += [
        ("Brier score, before calibration", number_interval(calibration.raw["brier"])),
        ("Brier score, after calibration", number_interval(calibration.calibrated["brier"])),
        ("Calibration error, before calibration", number_interval(calibration.raw["ece"])),
        ("Calibration error, after calibration", number_interval(calibration.calibrated["ece"])),
        ("Share of deaths", share(test["prevalence"])),
    ]
    yield table(("Figure", "Value"), rows)
    if len(metrics.models) > 1:
        yield "Beside the baselines:"
        yield table(
            ("Model", "AUROC", "AUPRC", "Brier score"),
            (
                (plain(model_words(name)), *(number_interval(model.figures[figure]) for figure in _COMPARED))
                for name, model in metrics.models.items()
            ),
        )


def _attack(inputs: EvaluationInputs, metrics: Metrics) -> Iterator[str]:
    yield "## Attack"
    yield (
        f"On samples of the {metrics.attacked_split} split, threat model {plain(inputs.threat)}. Sizes are medians "
        f"over all attacked samples, a failed attack counting as {_INFINITE}; SD: standard deviations of the training "
        "split."
    )
    outcomes = [
        (f"{direction.arrow}, {kind}", metrics.attack[direction.key].kinds[kind])
        for direction in DIRECTIONS
        for kind in EXAMPLE_KINDS
        if metrics.attack[direction.key].attacked
    ]
    yield table(
        ("Direction and kind", "Attacked", "Turned", "Success", "Cells (L0)", "Sum (L1), SD", "Largest, SD"),
        (
            (
                name,
                f"{of.attacked:,}",
                f"{of.succeeded:,}",
                share(of.success_rate),
                _median(of.l0, 0),
                _median(of.l1, 2),
                _median(of.linf, 2),
            )
            for name, of in outcomes
        ),
    )
    if outcomes:
        yield f"Turned by at most so many of {inputs.cells:,} cells:"
        budgets = outcomes[0][1].within_cells
        yield table(
            ("Direction and kind", *(counted(int(budget), "cell") for budget in budgets)),
            ((name, *(percent(reached) for reached in of.within_cells.values())) for name, of in outcomes),
        )


def _classification(metrics: Metrics) -> Iterator[str]:
    yield f"## The {metrics.attacked_split} split before and after the attack"
    rows = []
    for condition, found in metrics.classification.items():
        auroc = number_interval(found.figures["auroc"])
        for outcome, counts in zip(OUTCOMES, found.confusion.rows(), strict=True):
            rows.append((f"{condition}, {outcome}", *(f"{count:,}" for count in counts), auroc))
    yield table(("Outcome", "Predicted: survived", "Predicted: died", "AUROC"), rows)


def _susceptibility(inputs: EvaluationInputs, metrics: Metrics) -> Iterator[str]:
    units = {feature.name: feature.measurement for feature in inputs.features}
    for direction in DIRECTIONS:
        result = metrics.susceptibility[direction.key]["sparsest"]
        changed = [(name, of) for name, of in result.measurements.items() if of.examples]
        changed.sort(key=lambda item: -item[1].examples)
        if changed:
            yield f"## Most susceptible: {direction.words}"
            yield f"Of {counted(result.examples, 'sparsest example')}; changes are medians over the changed cells."
            yield table(
                ("Measurement", "Examples that change it", "Change, in its unit", "Change, SD"),
                (
                    (
                        plain(units[name].label),
                        share(of.share),
                        f"{_significant(of.delta_clinical.median)} {_unit(units[name].unit)}".rstrip(),
                        _significant(of.delta_std.median),
                    )
                    for name, of in changed[:_MOST_MEASUREMENTS]
                ),
            )


def _provenance(inputs: EvaluationInputs) -> Iterator[str]:
    if inputs.provenance:
        yield "## Made from"
        yield table(("Item", "Value"), ((plain(name), plain(value)) for name, value in inputs.provenance.items()))


def _median(sizes: Quantiles, decimals: int) -> str:
    return _INFINITE if sizes.median is None else number(sizes.median, decimals)


def _significant(value: float | None) -> str:
    """Return a number to three significant digits, never in powers of ten."""
    return UNDEFINED if value is None else f"{float(f'{value:.3g}'):,.10g}"


def _unit(unit: str) -> str:
    return "" if unit == "1" else plain(unit)
