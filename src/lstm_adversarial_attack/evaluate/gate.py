"""Whether the results can be built on: the model predicts, and the examples are what they claim to be."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from lstm_adversarial_attack.evaluate.attack_results import cells_out_of_range
from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.results import Gate

#: Probabilities are rounded to float32 on their way; a smaller trespass over the threshold is none.
_PROBABILITY_SLACK = 1e-6


def gate(inputs: EvaluationInputs, test_auroc: float | None, min_auroc: float) -> Gate:
    """Judge the AUROC on the test split against ``min_auroc`` and the examples against their own claims."""
    reasons = [*_prediction_problems(test_auroc, min_auroc), *_example_problems(inputs)]
    return Gate(passed=not reasons, reasons=tuple(reasons))


def _prediction_problems(test_auroc: float | None, min_auroc: float) -> Iterator[str]:
    if test_auroc is None:
        yield "AUROC on the test split is undefined: it does not hold both survivors and deaths"
    elif test_auroc < min_auroc:
        yield f"AUROC on the test split is {test_auroc:.3f}, below min_auroc {min_auroc:.3f}"


def _example_problems(inputs: EvaluationInputs) -> Iterator[str]:
    found = inputs.examples.filter("success").join(
        inputs.perturbations.group_by("sample", "kind").agg(listed=pl.len()),
        on=["sample", "kind"],
        how="left",
    )
    checks = {
        "do not cross the threshold": ~_turned("probability", inputs.threshold),
        "start on the wrong side of the threshold": _turned("clean_probability", inputs.threshold),
        "change another number of cells than is listed": pl.col("l0") != pl.col("listed").fill_null(0),
    }
    for problem, wrong in checks.items():
        count = found.filter(wrong.fill_null(True)).height
        if count:
            yield f"of {found.height} found examples, {count} {problem}"
    outside = cells_out_of_range(inputs)
    if outside and inputs.threat != "data-entry":  # slips lead to what a body cannot show
        yield f"{outside} changed cells end outside the physiological range"


def _turned(column: str, threshold: float) -> pl.Expr:
    """Tell whether a probability calls the sample the opposite of its label, within the slack."""
    called_dead = pl.col(column) >= threshold - _PROBABILITY_SLACK
    called_survivor = pl.col(column) < threshold + _PROBABILITY_SLACK
    return pl.when(pl.col("label") == 0).then(called_dead).otherwise(called_survivor)
