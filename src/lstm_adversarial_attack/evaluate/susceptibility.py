"""Which cells the found examples change: by hour and measurement, by measurement, by hour.

Quantities of a cell (i, j), over the found examples of one direction and kind, with d the change in standard
deviations:

- GPP, share of the examples in which the cell is changed;
- GANZP, mean ``|d|`` over the examples in which it is changed;
- sensitivity, GPP / GANZP: changed often and by little;
- GMP, largest ``|d|``; GAP, mean ``|d|`` over all the examples; S = GMP * GPP, and S_j its sum over hours
  (Sun et al., "Identify susceptible locations in medical records via adversarial attacks", KDD 2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.evaluate.attack_results import of_kind
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction, EvaluationInputs
from lstm_adversarial_attack.evaluate.results import (
    MeasurementSusceptibility,
    Susceptibility,
    quantiles,
    share,
)
from lstm_adversarial_attack.frames import EXAMPLE_KINDS
from lstm_adversarial_attack.metrics import Estimate, patient_ratios, patient_shares

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: How many measurements and hours are named as the most susceptible.
TOP = 3

CELLS_SCHEMA = {
    "direction": pl.String,
    "kind": pl.String,
    "hour": pl.Int16,
    "feature": pl.String,
    "examples": pl.Int64,
    "gpp": pl.Float64,
    "gpp_low": pl.Float64,
    "gpp_high": pl.Float64,
    "delta_clinical": pl.Float64,
    "delta_clinical_low": pl.Float64,
    "delta_clinical_high": pl.Float64,
    "ganzp": pl.Float64,
    "sensitivity": pl.Float64,
    "gmp": pl.Float64,
    "gap": pl.Float64,
    "s": pl.Float64,
}


class Condition(NamedTuple):
    """The found examples of one direction and kind, and the cells that they change."""

    direction: Direction
    kind: str
    samples: Integers  # [example]: index into the tensors of the dataset
    subjects: Integers  # [example]: whose it is, for grouping alone
    clean_probability: Floats  # [example], of death, of the unperturbed sample
    example: Integers  # [changed cell]: index into the examples
    hour: Integers  # [changed cell]
    feature: Integers  # [changed cell]: column
    delta: Floats  # [changed cell], standard deviations
    delta_clinical: Floats  # [changed cell], in the measurement's unit
    observed: npt.NDArray[np.bool_]  # [changed cell]


class CellQuantities(NamedTuple):
    """Quantities of every cell, ``[hour, feature]``, NaN where undefined; the module says what each is."""

    gpp: Floats
    ganzp: Floats
    sensitivity: Floats
    gmp: Floats
    gap: Floats
    s: Floats


def conditions(inputs: EvaluationInputs) -> list[Condition]:
    """Return the found examples with their changed cells, for each direction and kind.

    Raises:
        ValueError: a changed cell belongs to no found example.
    """
    found = [_condition(inputs, d, kind) for d in DIRECTIONS for kind in EXAMPLE_KINDS]
    strays = inputs.perturbations.height - sum(c.hour.size for c in found)
    if strays:
        raise ValueError(f"{strays} changed cells belong to no found example")
    return found


def cell_quantities(condition: Condition, hours: int, features: int) -> CellQuantities:
    """Return the quantities of every cell; all NaN where there are no examples."""
    count, total, largest = np.zeros((3, hours, features))
    place = (condition.hour, condition.feature)
    size = np.abs(condition.delta)
    np.add.at(count, place, 1)
    np.add.at(total, place, size)
    np.maximum.at(largest, place, size)
    examples = condition.subjects.size
    with np.errstate(divide="ignore", invalid="ignore"):
        gpp, gap, ganzp = count / examples, total / examples, total / count
        gmp = np.where(examples > 0, largest, np.nan)
        return CellQuantities(gpp, ganzp, gpp / ganzp, gmp, gap, gmp * gpp)


def cells_table(inputs: EvaluationInputs, found: list[Condition], *, resamples: int, seed: int) -> pl.DataFrame:
    """Return the quantities of every cell, a row for each direction, kind, hour and feature.

    Of the sparsest examples GPP is the probability that the cell belongs to the smallest set of cells found;
    ``delta_clinical`` is the mean absolute change where it is changed, in the measurement's unit. Both have intervals.
    """
    hours, features = inputs.hours, len(inputs.features)
    frames = [
        pl.DataFrame(
            {
                "direction": [condition.direction.key] * inputs.cells,
                "kind": [condition.kind] * inputs.cells,
                "hour": np.repeat(np.arange(hours), features),
                "feature": list(inputs.feature_names) * hours,
                "examples": [condition.subjects.size] * inputs.cells,
                **{k: v.ravel() for k, v in cell_quantities(condition, hours, features)._asdict().items()},
                **_cell_intervals(inputs, condition, resamples, seed),
            },
            schema=CELLS_SCHEMA,
            strict=False,
        )
        for condition in found
    ]
    return pl.concat(frames).with_columns(pl.col(pl.Float64).fill_nan(None))


def _cell_intervals(
    inputs: EvaluationInputs, condition: Condition, resamples: int, seed: int
) -> dict[str, list[float | None]]:
    """Return the mean change of every cell, and the intervals; a cell that is never changed has none of the former."""
    cell = condition.hour * len(inputs.features) + condition.feature
    changed, place = np.unique(cell, return_inverse=True)
    hits, size = np.zeros((2, condition.subjects.size, changed.size))
    hits[condition.example, place] = 1
    size[condition.example, place] = np.abs(condition.delta_clinical)
    shares = patient_shares(hits, condition.subjects, resamples=resamples, seed=seed)
    means = patient_ratios(size, hits, condition.subjects, resamples=resamples, seed=seed)
    never = np.zeros((condition.subjects.size, 1))
    (unchanged,) = patient_shares(never, condition.subjects, resamples=resamples, seed=seed)
    columns: dict[str, list[float | None]] = {
        "gpp_low": [unchanged.low] * inputs.cells,
        "gpp_high": [unchanged.high] * inputs.cells,
        **{f"delta_clinical{end}": [None] * inputs.cells for end in ("", "_low", "_high")},
    }
    for at, rate, mean in zip(changed.tolist(), shares, means, strict=True):
        columns["gpp_low"][at], columns["gpp_high"][at] = rate.low, rate.high
        columns["delta_clinical"][at] = mean.value
        columns["delta_clinical_low"][at], columns["delta_clinical_high"][at] = mean.low, mean.high
    return columns


def susceptibility(inputs: EvaluationInputs, condition: Condition, *, resamples: int, seed: int) -> Susceptibility:
    """Return what the found examples of ``condition`` change, by measurement and by hour."""
    by_feature = touched(condition, condition.feature, len(inputs.features))
    by_hour = touched(condition, condition.hour, inputs.hours)
    shares = patient_shares(np.hstack([by_feature, by_hour]), condition.subjects, resamples=resamples, seed=seed)
    feature_shares, hour_shares = shares[: len(inputs.features)], shares[len(inputs.features) :]
    scores = np.nansum(cell_quantities(condition, inputs.hours, len(inputs.features)).s, axis=0)
    return Susceptibility(
        examples=condition.subjects.size,
        measurements={
            name: _measurement(condition, column, int(by_feature[:, column].sum()), rate, scores[column])
            for column, (name, rate) in enumerate(zip(inputs.feature_names, feature_shares, strict=True))
        },
        hours=hour_shares,
        top_measurements=[inputs.feature_names[column] for column in _top(feature_shares)],
        top_hours=_top(hour_shares),
    )


def _condition(inputs: EvaluationInputs, direction: Direction, kind: str) -> Condition:
    examples = of_kind(inputs.examples, direction, kind).filter("success").sort("sample")
    cells = (
        inputs.perturbations.filter(pl.col("kind").cast(pl.String) == kind)
        .join(examples.select("sample").with_row_index("example"), on="sample", how="inner")
        .sort("example", "hour", "feature")
    )
    return Condition(
        direction=direction,
        kind=kind,
        samples=examples["sample"].to_numpy(),
        subjects=examples["subject_id"].to_numpy(),
        clean_probability=examples["clean_probability"].to_numpy(),
        example=cells["example"].to_numpy().astype(np.int64),
        hour=cells["hour"].to_numpy().astype(np.int64),
        feature=cells["feature"].to_physical().to_numpy().astype(np.int64),
        delta=cells["delta"].to_numpy().astype(np.float64),
        delta_clinical=cells["delta_clinical"].to_numpy().astype(np.float64),
        observed=cells["observed"].to_numpy().astype(bool),
    )


def touched(condition: Condition, place: Integers, places: int) -> npt.NDArray[np.bool_]:
    """Tell which examples change any cell at each place, ``[example, place]``."""
    touched = np.zeros((condition.subjects.size, places), dtype=bool)
    touched[condition.example, place] = True
    return touched


def _measurement(
    condition: Condition, column: int, examples: int, rate: Estimate, score: float
) -> MeasurementSusceptibility:
    here = condition.feature == column
    delta, cells = condition.delta[here], int(here.sum())
    return MeasurementSusceptibility(
        examples=examples,
        share=rate,
        cells=cells,
        observed_share=share(int(condition.observed[here].sum()), cells),
        delta_clinical=quantiles(np.abs(condition.delta_clinical[here])),
        delta_std=quantiles(np.abs(delta)),
        up_share=share(int((delta > 0).sum()), cells),
        peak_hour=int(np.bincount(condition.hour[here]).argmax()) if cells else None,
        sun_score=float(score) if condition.subjects.size else None,
    )


def _top(shares: list[Estimate]) -> list[int]:
    """Return the places with the largest shares, the first of equals first, none that is never changed."""
    changed = [(-rate.value, place) for place, rate in enumerate(shares) if rate.value]
    return [place for _, place in sorted(changed)[:TOP]]
