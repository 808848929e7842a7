"""The smallest single edit of each measurement that turns a prediction, and for how many patients one edit suffices."""

from __future__ import annotations

import numpy as np
import polars as pl

from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction, EvaluationInputs
from lstm_adversarial_attack.metrics import Estimate, patient_median, patient_shares

_SHARE = {"share": pl.Float64, "share_low": pl.Float64, "share_high": pl.Float64}
_SIZES = {
    "median_clinical": pl.Float64,
    "median_clinical_low": pl.Float64,
    "median_clinical_high": pl.Float64,
    "p25_clinical": pl.Float64,
    "p75_clinical": pl.Float64,
}
SCHEMA = {
    "direction": pl.String,
    "feature": pl.String,  # "any" for the edit of any measurement
    "unit": pl.String,
    "attacked": pl.Int64,
    "suffices": pl.Int64,  # samples that one edit of it turns
    **_SHARE,
    **_SIZES,
    "median_std": pl.Float64,
    "up_share": pl.Float64,
}
ANY = "any"


def smallest_edits(inputs: EvaluationInputs, *, resamples: int, seed: int) -> pl.DataFrame:
    """Return a row for each direction and measurement, and one for any measurement, `SCHEMA`.

    Shares are of the attacked samples; sizes are absolute changes over the samples that one edit turns. Nothing where
    single edits were not recorded.
    """
    if inputs.singles.height == 0:
        return pl.DataFrame(schema=SCHEMA)
    edits = single_edits(inputs)
    rows = []
    for direction in DIRECTIONS:
        rows += _rows(inputs, edits.filter(pl.col("label") == direction.label), direction, resamples, seed)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def single_edits(inputs: EvaluationInputs) -> pl.DataFrame:
    """Return for each attacked sample and measurement the smallest single edit known: `frames.SINGLES` columns of it.

    Columns sample, subject_id, label, feature, delta, delta_clinical; null where none is known. Beside what was looked
    for, an example that changes a single cell tells of one.
    """
    alone = (
        inputs.examples.filter("success", pl.col("l0") == 1)
        .select("sample", "kind")
        .join(inputs.perturbations, on=["sample", "kind"])
        .select("sample", "feature", "delta", "delta_clinical")
    )
    known = pl.concat([inputs.singles.select("sample", "feature", "delta", "delta_clinical"), alone])
    least = (
        known.filter(pl.col("delta").is_not_null())
        .sort(pl.col("delta").abs(), maintain_order=True)
        .unique(["sample", "feature"], keep="first", maintain_order=True)
    )
    return (
        inputs.singles.select("sample", "subject_id", "label", "feature")
        .join(least, on=["sample", "feature"], how="left")
        .sort("sample", "feature")
    )


def _rows(
    inputs: EvaluationInputs, edits: pl.DataFrame, direction: Direction, resamples: int, seed: int
) -> list[tuple[object, ...]]:
    if edits.height == 0:
        return []
    found = edits["delta"].is_not_null().to_numpy().reshape(-1, len(inputs.features))
    subjects = edits["subject_id"].to_numpy().reshape(found.shape)[:, 0]
    any_of_them = found.any(axis=1)
    marked = np.column_stack([any_of_them, found])
    shares = patient_shares(marked, subjects, resamples=resamples, seed=seed)
    rows: list[tuple[object, ...]] = [
        (direction.key, ANY, "", len(subjects), int(any_of_them.sum()), *_ends(shares[0]), *[None] * 7)
    ]
    for column, feature in enumerate(inputs.features):
        here = edits.gather_every(len(inputs.features), column).drop_nulls("delta")
        size = here["delta_clinical"].abs().cast(pl.Float64).to_numpy()
        median = patient_median(size, here["subject_id"].to_numpy(), resamples=resamples, seed=seed)
        quartiles = np.quantile(size, [0.25, 0.75]).tolist() if size.size else [None, None]
        rows.append(
            (
                direction.key,
                feature.name,
                feature.measurement.unit,
                len(subjects),
                here.height,
                *_ends(shares[1 + column]),
                *_ends(median),
                *quartiles,
                float(np.median(np.abs(here["delta"].to_numpy()))) if size.size else None,
                float((here["delta"] > 0).to_numpy().mean()) if size.size else None,
            )
        )
    return rows


def _ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high
