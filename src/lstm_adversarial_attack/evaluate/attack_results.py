"""How often the attack succeeds, and how little it changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction, EvaluationInputs
from lstm_adversarial_attack.evaluate.results import AttackDirection, AttackOutcome, quantiles, share
from lstm_adversarial_attack.frames import EXAMPLE_KINDS
from lstm_adversarial_attack.metrics import patient_shares

#: Budgets of changed cells that the tables show.
CELL_BUDGETS = (1, 2, 5, 10, 20, 50)

_CURVE_POINTS = 200

#: Of the width of a range: values come as float32, through a change of unit.
_RANGE_SLACK = 1e-4
_BUDGETS = ("l0", "l1", "linf", "iteration")

_CURVES = {
    "direction": pl.String,
    "kind": pl.String,
    "against": pl.String,
    "budget": pl.Float64,
    "share": pl.Float64,
}


def attack_directions(inputs: EvaluationInputs, *, resamples: int, seed: int) -> dict[str, AttackDirection]:
    """Return the outcome of the attack, by direction."""
    return {d.key: _direction(inputs, d, resamples, seed) for d in DIRECTIONS}


def success_curves(examples: pl.DataFrame) -> pl.DataFrame:
    """Return the share of attacked samples turned within a budget, for each direction, kind and budget.

    A row: direction, kind, against (``l0``, ``l1``, ``linf`` or ``iteration``), budget, share. Between two
    budgets the share is that of the lower one. Failures never succeed, so a curve ends at the success rate,
    at the largest budget that any example needed.
    """
    rows = [
        (direction.key, kind, against, budget, reached)
        for direction in DIRECTIONS
        for kind in EXAMPLE_KINDS
        for against in _BUDGETS
        for budget, reached in _curve(needed(of_kind(examples, direction, kind), against))
    ]
    return pl.DataFrame(rows, schema=_CURVES, orient="row")


def cells_out_of_range(inputs: EvaluationInputs) -> int:
    """Count the changed cells whose new value lies outside the measurement's physiological range."""
    ranges = np.array([feature.measurement.physiological for feature in inputs.features])
    cells = inputs.perturbations
    low, high = ranges[cells["feature"].to_physical().to_numpy()].T
    changed = (cells["original_clinical"].cast(pl.Float64) + cells["delta_clinical"].cast(pl.Float64)).to_numpy()
    slack = _RANGE_SLACK * (high - low)
    return int(((changed < low - slack) | (changed > high + slack)).sum())


def of_kind(examples: pl.DataFrame, direction: Direction, kind: str) -> pl.DataFrame:
    """Return the examples of one direction and kind, one row for each attacked sample."""
    return examples.filter(pl.col("label") == direction.label, pl.col("kind").cast(pl.String) == kind)


def needed(examples: pl.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """Return what each attack needed, ``[example]``: infinity where it failed."""
    values = examples.select(pl.when("success").then(pl.col(column).cast(pl.Float64))).to_series()
    return values.fill_null(np.inf).to_numpy()


def _direction(inputs: EvaluationInputs, direction: Direction, resamples: int, seed: int) -> AttackDirection:
    predictions = inputs.attacked_predictions.filter(pl.col("label") == direction.label)
    predicted = (predictions["probability"] >= inputs.threshold).cast(pl.Int8)
    attacked = inputs.examples.filter(pl.col("label") == direction.label).unique("sample", keep="first")
    means = attacked.select(pl.col("gradients", "forwards").cast(pl.Float64).mean()).row(0)
    return AttackDirection(
        samples=predictions.height,
        correct=int((predicted == direction.label).sum()),
        attacked=attacked.height,
        gradients_mean=means[0],
        forwards_mean=means[1],
        kinds={kind: _outcome(of_kind(inputs.examples, direction, kind), resamples, seed) for kind in EXAMPLE_KINDS},
    )


def _outcome(examples: pl.DataFrame, resamples: int, seed: int) -> AttackOutcome:
    success = examples["success"].to_numpy()
    cells = needed(examples, "l0")
    rate = patient_shares(success[:, None], examples["subject_id"], resamples=resamples, seed=seed)
    return AttackOutcome(
        attacked=examples.height,
        succeeded=int(success.sum()),
        success_rate=rate[0],
        l0=quantiles(cells),
        l1=quantiles(needed(examples, "l1")),
        linf=quantiles(needed(examples, "linf")),
        within_cells={str(b): share(int((cells <= b).sum()), cells.size) for b in CELL_BUDGETS},
    )


def _curve(values: npt.NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    """Yield (budget, share of ``values`` within it), from (0, 0); nothing where nothing was attacked."""
    if values.size == 0:
        return
    yield 0.0, 0.0
    budgets, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    shares = np.cumsum(counts) / values.size
    if budgets.size > _CURVE_POINTS:
        keep = np.unique(np.linspace(0, budgets.size - 1, _CURVE_POINTS).round().astype(int))
        budgets, shares = budgets[keep], shares[keep]
    yield from zip(budgets.tolist(), shares.tolist(), strict=True)
