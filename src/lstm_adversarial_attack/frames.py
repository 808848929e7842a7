"""The tables that stages hand to one another: columns, types and what a row is.

Stages meet here and in the artifacts, never in each other's insides. Times are minutes or hours since ICU
admission; no table holds a date.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl

Schema = Mapping[str, pl.DataType | type[pl.DataType]]

#: Rows of one part of a large Parquet table, which can be read by itself.
ROW_GROUP_ROWS = 1 << 18
_LEAST_FREE_BYTES = 1 << 20

SPLITS = ("train", "validation", "test")

#: One row for each ICU stay of the cohort, ordered by stay_id.
STAYS: Schema = {
    "stay_id": pl.Int64,  # the ICU stay
    "subject_id": pl.Int64,  # the patient
    "hadm_id": pl.Int64,  # the hospital admission
    "age_years": pl.Int32,  # whole years at ICU admission; 91 for everybody above 89
    "sex": pl.String,  # F or M
    "unit": pl.String,  # first care unit, such as MICU
    "charting_system": pl.String,  # carevue or metavision
    "los_hours": pl.Float64,  # length of the ICU stay
    "label": pl.Int8,  # 1: died in hospital
}

#: One row for each accepted value, in the measurement's unit, ordered by all columns. ``feature`` is an Enum
#: over what the feature set records.
MEASUREMENTS: Schema = {
    "stay_id": pl.Int64,  # as in STAYS
    "minute": pl.Int32,  # since ICU admission, rounded down; within the window unless whole admissions are read
    "feature": pl.Enum([]),  # what was measured
    "value": pl.Float64,  # in the measurement's unit
}

#: One row for each sample (a stay), in the order of the tensors.
SAMPLES: Schema = {
    **STAYS,
    "split": pl.Enum(SPLITS),  # of the patient
}

#: One row for each sample: what the model says.
PREDICTIONS: Schema = {
    "sample": pl.Int32,  # index into the tensors of the dataset
    "split": pl.Enum(SPLITS),  # of the patient
    "subject_id": pl.Int64,  # the patient
    "label": pl.Int8,  # 1: died in hospital
    "probability": pl.Float64,  # of death, as the model gives it: what the threshold and the attack go by
    "calibrated": pl.Float64,  # of death, mended on the validation split
}

BASELINES = ("logistic-regression", "gradient-boosting")

#: One row for each baseline and sample, columns as those of PREDICTIONS.
BASELINE_PREDICTIONS: Schema = {
    "model": pl.Enum(BASELINES),  # which baseline
    **PREDICTIONS,
}

#: One row for each epoch of training of each network of an ensemble.
HISTORY: Schema = {
    "member": pl.Int32,  # from 0
    "epoch": pl.Int32,  # from 1
    "train_loss": pl.Float64,  # mean over the training samples, with dropout
    "validation_loss": pl.Float64,  # mean over the validation samples
    "validation_auroc": pl.Float64,  # null where the validation split has one class
    "validation_auprc": pl.Float64,  # what early stopping goes by
}

EXAMPLE_KINDS = ("first", "sparsest", "smallest")

#: One row for each attacked sample and kind of example. ``first`` is the first perturbation that turned the
#: prediction, ``sparsest`` the one with the fewest changed cells (then the smallest L1), ``smallest`` the
#: one with the smallest L1. Where the attack failed, success is false and the norms are null.
EXAMPLES: Schema = {
    "sample": pl.Int32,  # index into the tensors of the dataset
    "subject_id": pl.Int64,  # the patient
    "label": pl.Int8,  # 1: died in hospital
    "predicted": pl.Int8,  # direction: 0 is 0 -> 1 (called a survivor, then dead), 1 is 1 -> 0
    "kind": pl.Enum(EXAMPLE_KINDS),  # of example
    "success": pl.Boolean,  # whether the prediction was turned
    "iteration": pl.Int32,  # at which the example was found, from 1
    "l0": pl.Int32,  # changed cells; of threat model charted hours of a measurement, whatever shows them
    "l1": pl.Float64,  # standardised units
    "linf": pl.Float64,  # standardised units
    "cost": pl.Float64,  # in multiples of the mean change from one charted hour to the next, summed over cells
    "clean_probability": pl.Float64,  # of death, of the unchanged input
    "probability": pl.Float64,  # of the perturbed input; null where the attack failed
    "gradients": pl.Int32,  # gradient evaluations spent on the sample
    "forwards": pl.Int32,  # forward passes without a gradient spent on the sample
}

#: One row for each attacked sample and number of changed cells at which an example was found: the least it takes, each
#: figure by itself.
FRONTIER: Schema = {
    "sample": pl.Int32,  # as in EXAMPLES
    "label": pl.Int8,  # 1: died in hospital
    "predicted": pl.Int8,  # direction, as in EXAMPLES
    "cells": pl.Int32,  # changed, exactly
    "l1": pl.Float64,  # standardised units
    "linf": pl.Float64,  # standardised units
    "cost": pl.Float64,  # as in EXAMPLES
}

#: One row for each charted value that a found example changes; none of threat model grid.
EDITS: Schema = {
    "sample": pl.Int32,  # as in EXAMPLES
    "kind": pl.Enum(EXAMPLE_KINDS),  # of example
    "minute": pl.Int32,  # since ICU admission
    "feature": pl.Enum([]),  # over the feature set
    "value": pl.Float64,  # in the measurement's unit
    "edited": pl.Float64,  # what takes its place
    "slip": pl.String,  # kind of slip, of threat model data-entry
}

#: One row for each changed cell of each found example.
PERTURBATIONS: Schema = {
    "sample": pl.Int32,  # as in EXAMPLES
    "kind": pl.Enum(EXAMPLE_KINDS),  # of example
    "hour": pl.Int16,  # 0 is the first hour after ICU admission
    "feature": pl.Enum([]),  # over the feature set
    "observed": pl.Boolean,  # was the cell measured in this hour, or filled
    "delta": pl.Float32,  # standardised units
    "original_clinical": pl.Float32,  # in the measurement's unit
    "delta_clinical": pl.Float32,  # in the measurement's unit
}


#: One row for each attacked sample and feature: what a single edit of it does; none of threat model data-entry.
SINGLES: Schema = {
    "sample": pl.Int32,
    "subject_id": pl.Int64,
    "label": pl.Int8,
    "predicted": pl.Int8,
    "feature": pl.Enum([]),  # over the feature set
    "changeable": pl.Int32,  # cells of it that may change
    "saliency": pl.Float32,  # sum over hours of |d margin / d value|, logits for each standardised unit
    "peak_hour": pl.Int16,  # of the largest |d margin / d value|; null where all are 0
    "hour": pl.Int16,  # of the smallest single edit that turns the prediction; null where none was found
    "delta": pl.Float32,  # that edit, standardised units
    "original_clinical": pl.Float32,  # in the measurement's unit
    "delta_clinical": pl.Float32,  # in the measurement's unit
}


#: One row for each found example: what another model than the attacked one says of it.
TRANSFERS: Schema = {
    "sample": pl.Int32,
    "subject_id": pl.Int64,
    "label": pl.Int8,
    "predicted": pl.Int8,  # by the attacked model
    "kind": pl.Enum(EXAMPLE_KINDS),
    "clean_probability": pl.Float64,  # of death, by the other model, of the unperturbed input
    "probability": pl.Float64,  # of death, by the other model, of the perturbed input
}


def with_features(schema: Schema, features: tuple[str, ...]) -> Schema:
    """Return ``schema`` with its ``feature`` column typed as an Enum over ``features``."""
    return {**schema, "feature": pl.Enum(features)}


def typed(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Cast the columns of ``frame`` to the types of ``schema`` and put them in its order."""
    return frame.select([pl.col(name).cast(kind) for name, kind in schema.items()])


def conform(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Pick and order the columns of ``schema`` and check their types.

    Raises:
        ValueError: a column is missing or has another type (a defect of the program, not of the input).
    """
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise ValueError(f"columns missing: {', '.join(missing)}")
    frame = frame.select(list(schema))
    wrong = [
        f"{name} is {frame.schema[name]}, not {kind}" for name, kind in schema.items() if frame.schema[name] != kind
    ]
    if wrong:
        raise ValueError("; ".join(wrong))
    return frame


def sink(rows: pl.LazyFrame, file: Path) -> None:
    """Write ``rows`` to a Parquet file in bounded memory; the same rows give the same bytes.

    Raises:
        OSError: the disk is full, of which Polars by itself says only that there was a transport error.
    """
    try:
        rows.sink_parquet(file, compression="zstd", compression_level=3, row_group_size=ROW_GROUP_ROWS)
    except Exception as error:
        if shutil.disk_usage(file.parent).free < _LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device", str(file)) from error
        raise
