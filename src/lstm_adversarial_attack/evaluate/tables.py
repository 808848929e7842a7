"""The numbers as tables, for readers who go on from here. No table has a row for a patient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from lstm_adversarial_attack.evaluate import checks, observed_cells, smallest_edits, sturdy
from lstm_adversarial_attack.evaluate.attack_results import CURVES_SCHEMA, success_curves
from lstm_adversarial_attack.evaluate.classification import ROC_SCHEMA, classification_roc
from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.results import Metrics, Susceptibility
from lstm_adversarial_attack.evaluate.susceptibility import CELLS_SCHEMA, Condition, cells_table
from lstm_adversarial_attack.frames import SPLITS
from lstm_adversarial_attack.metrics import (
    SUBGROUP_FIGURES,
    Difference,
    Estimate,
    calibration_bins,
    precision_recall_points,
    roc_curve_points,
)

_NORMS = ("l0", "l1", "linf")
_RESULT_KEY = {"direction": pl.String, "kind": pl.String}
_INTERVAL = {"share": pl.Float64, "share_low": pl.Float64, "share_high": pl.Float64}
_FIGURE = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
_QUANTILES = ("p25", "median", "p75", "p90")

#: The columns of every table, by its name.
SCHEMAS: dict[str, dict[str, Any]] = {
    "cohort_flow": {
        "rule": pl.String,
        "description": pl.String,
        "stays": pl.Int64,
        "patients": pl.Int64,
        "deaths": pl.Int64,
    },
    "splits": {"split": pl.String, "samples": pl.Int64, "patients": pl.Int64, "deaths": pl.Int64},
    "prediction": {
        "split": pl.String,
        "figure": pl.String,
        **_FIGURE,
    },
    "gate": {
        "criterion": pl.String,
        "figure": pl.String,
        "value": pl.Float64,
        "least": pl.Float64,
        "most": pl.Float64,
        "passed": pl.Boolean,
    },
    "models": {
        "model": pl.String,
        "figure": pl.String,
        **_FIGURE,
        "lstm_less_this": pl.Float64,
        "lstm_less_this_low": pl.Float64,
        "lstm_less_this_high": pl.Float64,
        "p_value": pl.Float64,
    },
    "subgroups": {
        "attribute": pl.String,
        "group": pl.String,
        "samples": pl.Int64,
        "patients": pl.Int64,
        "deaths": pl.Int64,
        **{f"{figure}{end}": pl.Float64 for figure in SUBGROUP_FIGURES for end in ("", "_low", "_high")},
    },
    "roc": {"split": pl.String, "false_positive_rate": pl.Float64, "true_positive_rate": pl.Float64},
    "precision_recall": {"split": pl.String, "recall": pl.Float64, "precision": pl.Float64},
    "calibration_figures": {"probability": pl.String, "figure": pl.String, **_FIGURE},
    "calibration": {
        "split": pl.String,
        "probability": pl.String,
        "mean_predicted": pl.Float64,
        "observed": pl.Float64,
        "count": pl.Int64,
    },
    "attack": {
        **_RESULT_KEY,
        "attacked": pl.Int64,
        "succeeded": pl.Int64,
        "success_rate": pl.Float64,
        "success_rate_low": pl.Float64,
        "success_rate_high": pl.Float64,
        **{f"{norm}_{q}": pl.Float64 for norm in _NORMS for q in _QUANTILES},
    },
    "susceptibility_measurements": {
        **_RESULT_KEY,
        "feature": pl.String,
        "unit": pl.String,
        "one_std_clinical": pl.Float64,
        "found_examples": pl.Int64,
        "examples": pl.Int64,
        **_INTERVAL,
        "cells": pl.Int64,
        "observed_share": pl.Float64,
        "measured_rate_train": pl.Float64,
        **{f"delta_{unit}_{q}": pl.Float64 for unit in ("clinical", "std") for q in _QUANTILES},
        "up_share": pl.Float64,
        "peak_hour": pl.Int64,
        "sun_score": pl.Float64,
    },
    "susceptibility_hours": {**_RESULT_KEY, "hour": pl.Int64, **_INTERVAL},
    "susceptibility_cells": CELLS_SCHEMA,
    "susceptibility_sturdy": sturdy.SCHEMA,
    "rank_agreement": sturdy.RANKS_SCHEMA,
    "observed_cells": observed_cells.SCHEMA,
    "smallest_edits": smallest_edits.SCHEMA,
    "attack_curves": CURVES_SCHEMA,
    "classification_roc": ROC_SCHEMA,
    "other_attacks": checks.ATTACKS_SCHEMA,
    "other_attack_curves": checks.CURVES_SCHEMA,
    "transfer": checks.TRANSFER_SCHEMA,
}


def tables(inputs: EvaluationInputs, metrics: Metrics, found: list[Condition]) -> dict[str, pl.DataFrame]:
    """Return every table by its name.

    ``cohort_flow``, ``splits``, ``prediction``, ``roc``, ``precision_recall``, ``calibration`` (bins of probabilities
    ``raw`` and ``calibrated``), ``calibration_figures``, ``models``, ``subgroups``, ``attack``, ``attack_curves`` (see
    `success_curves`), ``susceptibility_cells`` (see `cells_table`), ``susceptibility_measurements``,
    ``susceptibility_hours``, ``susceptibility_sturdy`` and ``rank_agreement`` (see `sturdy`), ``observed_cells``,
    ``smallest_edits``, ``gate``, ``classification_roc`` (see `classification_roc`), and where other attacks were given
    ``other_attacks``, ``other_attack_curves`` and ``transfer`` (see `checks`).

    Sizes are in standard deviations or, where the name says ``clinical``, in the measurement's unit.
    """
    rows: dict[str, list[tuple[Any, ...]]] = {
        "cohort_flow": [(s.rule, s.description, s.stays, s.patients, s.deaths) for s in metrics.cohort_flow],
        "splits": [(name, s.samples, s.patients, s.deaths) for name, s in metrics.splits.items()],
        "prediction": [
            (split, figure, *_estimate(estimate))
            for split, figures in metrics.prediction.items()
            for figure, estimate in figures.items()
        ],
        **_curve_rows(inputs),
        "calibration_figures": [
            (name, figure, *_estimate(estimate))
            for name, figures in (("raw", metrics.calibration.raw), ("calibrated", metrics.calibration.calibrated))
            for figure, estimate in figures.items()
        ],
        "gate": [(c.name, c.figure, c.value, c.least, c.most, c.passed) for c in metrics.gate.criteria],
        "models": list(_model_rows(metrics)),
        "subgroups": list(_subgroup_rows(metrics)),
        "attack": list(_attack_rows(metrics)),
        "susceptibility_measurements": list(_measurement_rows(inputs, metrics)),
        "susceptibility_hours": [
            (direction, kind, hour, *_estimate(estimate))
            for direction, kind, result in _results(metrics)
            for hour, estimate in enumerate(result.hours)
        ],
    }
    frames = {name: pl.DataFrame(rows[name], schema=SCHEMAS[name], orient="row") for name in rows}
    bootstrap = {"resamples": metrics.settings.resamples, "seed": metrics.settings.seed}
    figures = sturdy.SturdyFigures(inputs, **bootstrap)
    frames["attack_curves"] = success_curves(inputs, **bootstrap)
    frames["susceptibility_cells"] = cells_table(inputs, found, **bootstrap)
    frames["susceptibility_sturdy"] = figures.table(found)
    frames["rank_agreement"] = pl.concat(
        [figures.rank_agreement(found), checks.rank_agreement_of_others(inputs, **bootstrap)]
    )
    frames["observed_cells"] = observed_cells.observed_cells(inputs, found, **bootstrap)
    frames["other_attacks"] = checks.attacks_table(inputs, **bootstrap)
    frames["other_attack_curves"] = checks.attack_comparison_curves(inputs)
    frames["transfer"] = checks.transfer_table(inputs, **bootstrap)
    frames["smallest_edits"] = smallest_edits.smallest_edits(inputs, **bootstrap)
    frames["classification_roc"] = classification_roc(inputs)
    return frames


def _curve_rows(inputs: EvaluationInputs) -> dict[str, list[tuple[Any, ...]]]:
    rows: dict[str, list[tuple[Any, ...]]] = {"roc": [], "precision_recall": [], "calibration": []}
    for split in SPLITS:
        predictions = inputs.predictions_of(split)
        data = (predictions["label"], predictions["probability"])
        for name, curve in (
            ("roc", roc_curve_points(*data)),
            ("precision_recall", precision_recall_points(*data)),
        ):
            rows[name] += [(split, x, y) for x, y in zip(curve.x, curve.y, strict=True)]
        for name, column in (("raw", "probability"), ("calibrated", "calibrated")):
            bins = calibration_bins(predictions["label"], predictions[column])
            rows["calibration"] += [(split, name, b.mean_predicted, b.observed, b.count) for b in bins]
    return rows


def _model_rows(metrics: Metrics) -> Iterator[tuple[Any, ...]]:
    for model, of in metrics.models.items():
        for figure, estimate in of.figures.items():
            less = of.lstm_less_this[figure] if of.lstm_less_this else Difference(None, None, None, None)
            yield model, figure, *_estimate(estimate), less.value, less.low, less.high, less.p_value


def _subgroup_rows(metrics: Metrics) -> Iterator[tuple[Any, ...]]:
    for group in metrics.subgroups:
        figures = group.figures or dict.fromkeys(SUBGROUP_FIGURES, Estimate(None, None, None))
        values = [value for figure in SUBGROUP_FIGURES for value in _estimate(figures[figure])]
        yield group.attribute, group.group, group.samples, group.patients, group.deaths, *values


def _attack_rows(metrics: Metrics) -> Iterator[tuple[Any, ...]]:
    for direction, attack in metrics.attack.items():
        for kind, outcome in attack.kinds.items():
            norms = [getattr(getattr(outcome, norm), q) for norm in _NORMS for q in _QUANTILES]
            yield (
                direction,
                kind,
                outcome.attacked,
                outcome.succeeded,
                *_estimate(outcome.success_rate),
                *norms,
            )


def _measurement_rows(inputs: EvaluationInputs, metrics: Metrics) -> Iterator[tuple[Any, ...]]:
    measured = inputs.observed_rate.mean(axis=0)
    for direction, kind, result in _results(metrics):
        for column, feature in enumerate(inputs.features):
            of = result.measurements[feature.name]
            yield (
                direction,
                kind,
                feature.name,
                feature.measurement.unit,
                float(inputs.feature_stds[column]),
                result.examples,
                of.examples,
                *_estimate(of.share),
                of.cells,
                of.observed_share,
                float(measured[column]),
                *(getattr(sizes, q) for sizes in (of.delta_clinical, of.delta_std) for q in _QUANTILES),
                of.up_share,
                of.peak_hour,
                of.sun_score,
            )


def _results(metrics: Metrics) -> Iterator[tuple[str, str, Susceptibility]]:
    for direction, kinds in metrics.susceptibility.items():
        for kind, result in kinds.items():
            yield direction, kind, result


def _estimate(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high
