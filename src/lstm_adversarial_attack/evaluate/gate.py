"""Whether the results can be built on: the model predicts, and the examples are what they claim to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from lstm_adversarial_attack.evaluate.attack_results import cells_out_of_range, needed, of_kind
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.results import Criterion, Gate
from lstm_adversarial_attack.settings import EvaluateSettings

#: Probabilities are rounded to float32 on their way; a smaller trespass over the threshold is none.
_PROBABILITY_SLACK = 1e-6


def gate(inputs: EvaluationInputs, figures: Figures, settings: EvaluateSettings) -> Gate:
    """Judge prediction and robustness against the thresholds of ``settings``, and the examples by their own claims."""
    criteria = (
        _criterion("min_auroc", "AUROC on the test split", figures.auroc, least=settings.min_auroc),
        _criterion(
            "max_calibration_error",
            "Expected calibration error on the test split, after calibration",
            figures.calibration_error,
            most=settings.max_calibration_error,
        ),
        _criterion(
            "max_turned",
            f"Larger share of a direction turned by {settings.gate_cells} changed "
            f"{'cell' if settings.gate_cells == 1 else 'cells'} or fewer",
            figures.turned,
            most=settings.max_turned,
        ),
    )
    reasons = [*(_reason(criterion) for criterion in criteria if not criterion.passed), *_example_problems(inputs)]
    return Gate(passed=not reasons, reasons=tuple(reasons), criteria=criteria)


class Figures(NamedTuple):
    """What is judged; None where undefined."""

    auroc: float | None
    calibration_error: float | None
    turned: float | None


def turned_within(inputs: EvaluationInputs, cells: int) -> float | None:
    """Return the larger of both directions' shares that so many changed cells turn; None where nothing was attacked."""
    shares = []
    for direction in DIRECTIONS:
        sparsest = needed(of_kind(inputs.examples, direction, "sparsest"), "l0")
        if sparsest.size:
            shares.append(float((sparsest <= cells).mean()))
    return max(shares, default=None)


def _criterion(
    name: str, figure: str, value: float | None, *, least: float | None = None, most: float | None = None
) -> Criterion:
    asks_nothing = (least or 0.0) <= 0 and (most is None or most >= 1)
    passed = asks_nothing or (
        value is not None and (least is None or value >= least) and (most is None or value <= most)
    )
    return Criterion(name, figure, value, least, most, passed)


def _reason(criterion: Criterion) -> str:
    if criterion.value is None:
        return f"{criterion.figure} is undefined"
    side, limit = ("below", criterion.least) if criterion.least is not None else ("above", criterion.most)
    return f"{criterion.figure} is {criterion.value:.3f}, {side} {criterion.name} {limit:.3f}"


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
