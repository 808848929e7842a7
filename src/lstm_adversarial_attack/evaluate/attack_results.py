"""How often the attack succeeds, and how little it changes."""

from __future__ import annotations

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
_BUDGETS = ("l0", "l1", "linf", "cost", "iteration")
#: Of all that was found of a sample the best against each budget.
BEST = "best"

CURVES_SCHEMA = {
    "direction": pl.String,
    "kind": pl.String,
    "against": pl.String,
    "budget": pl.Float64,
    "share": pl.Float64,
    "share_low": pl.Float64,
    "share_high": pl.Float64,
}


def attack_directions(inputs: EvaluationInputs, *, resamples: int, seed: int) -> dict[str, AttackDirection]:
    """Return the outcome of the attack, by direction."""
    return {d.key: _direction(inputs, d, resamples, seed) for d in DIRECTIONS}


def success_curves(inputs: EvaluationInputs, *, resamples: int, seed: int) -> pl.DataFrame:
    """Return the share of attacked samples turned within a budget, for each direction, kind and budget.

    A row: direction, kind, against (``l0``, ``l1``, ``linf``, ``cost`` or ``iteration``), budget, share with its
    interval. Kind ``best`` is of all that was found of a sample, against each budget by itself; it has no iteration.
    Between two budgets the share is that of the lower one. Failures never succeed, so a curve ends at the success
    rate, at the largest budget that any example needed.
    """
    frames = [pl.DataFrame(schema=CURVES_SCHEMA)]
    for direction in DIRECTIONS:
        for against in _BUDGETS:
            for kind in (*EXAMPLE_KINDS, *([BEST] if against != "iteration" else [])):
                patients, values = _needs(inputs, direction, kind, against)
                curve = _curve(values, patients, resamples, seed)
                named = {"direction": direction.key, "kind": kind, "against": against}
                frames.append(curve.select(*(pl.lit(value).alias(name) for name, value in named.items()), pl.all()))
    return pl.concat(frames)


def best_needed(inputs: EvaluationInputs, direction: Direction, against: str) -> pl.DataFrame:
    """Return the least that each attacked sample needed of all that was found of it: sample, subject_id, needed."""
    examples = inputs.examples.filter(pl.col("label") == direction.label)
    found = examples.filter("success").select("sample", needed=pl.col(against).cast(pl.Float64))
    if against in inputs.frontier.columns:
        found = pl.concat([found, inputs.frontier.select("sample", needed=pl.col(against))])
    least = found.group_by("sample").agg(pl.col("needed").min())
    attacked = examples.unique("sample").sort("sample").select("sample", "subject_id")
    return attacked.join(least, on="sample", how="left").with_columns(pl.col("needed").fill_null(np.inf))


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


def _needs(
    inputs: EvaluationInputs, direction: Direction, kind: str, against: str
) -> tuple[pl.Series, npt.NDArray[np.float64]]:
    """Return whose the attacked samples are, and what each needed."""
    if kind == BEST:
        best = best_needed(inputs, direction, against)
        return best["subject_id"], best["needed"].to_numpy()
    examples = of_kind(inputs.examples, direction, kind)
    return examples["subject_id"], needed(examples, against)


def _curve(values: npt.NDArray[np.float64], patients: pl.Series, resamples: int, seed: int) -> pl.DataFrame:
    """Return budget, and the share of ``values`` within it, from (0, 0); nothing where nothing was attacked."""
    budgets = np.unique(values[np.isfinite(values)])
    if budgets.size > _CURVE_POINTS:
        budgets = budgets[np.unique(np.linspace(0, budgets.size - 1, _CURVE_POINTS).round().astype(int))]
    budgets = np.concatenate([[0.0], budgets]) if values.size else budgets
    shares = patient_shares(values[:, None] <= budgets, patients, resamples=resamples, seed=seed)
    rows = [(float(budget), rate.value, rate.low, rate.high) for budget, rate in zip(budgets, shares, strict=True)]
    return pl.DataFrame(rows, schema=list(CURVES_SCHEMA.items())[3:], orient="row")
