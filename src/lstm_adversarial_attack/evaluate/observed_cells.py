"""Whether the examples change what was measured, or what was filled in."""

from __future__ import annotations

import numpy as np
import polars as pl

from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.susceptibility import Condition
from lstm_adversarial_attack.metrics import patient_ratios

SCHEMA = {
    "direction": pl.String,
    "kind": pl.String,
    "cells": pl.Int64,  # changed
    "observed_share": pl.Float64,  # of the changed cells
    "observed_share_low": pl.Float64,
    "observed_share_high": pl.Float64,
    "observed_of_all": pl.Float64,  # of all cells of the same samples
}


def observed_cells(inputs: EvaluationInputs, found: list[Condition], *, resamples: int, seed: int) -> pl.DataFrame:
    """Return what share of the changed cells was measured, a row for each direction and kind with found examples."""
    rows = []
    for condition in found:
        if condition.hour.size == 0:
            continue
        count = np.bincount(condition.example, minlength=condition.subjects.size)[:, None]
        measured = np.bincount(condition.example, condition.observed, minlength=condition.subjects.size)[:, None]
        (share,) = patient_ratios(measured, count, condition.subjects, resamples=resamples, seed=seed)
        of_all = float(inputs.observed_hours[condition.samples].sum() / (inputs.cells * condition.samples.size))
        ends = (share.value, share.low, share.high)
        rows.append((condition.direction.key, condition.kind, condition.hour.size, *ends, of_all))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
