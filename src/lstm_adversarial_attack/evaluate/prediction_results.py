"""What the model is worth on the test split: its calibration, its subgroups, and beside the baselines."""

from __future__ import annotations

import polars as pl

from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.results import CalibrationResult, ModelFigures
from lstm_adversarial_attack.metrics import (
    PAIRED_FIGURES,
    Difference,
    Estimate,
    Subgroup,
    calibration_metrics,
    paired_differences,
    prediction_metrics,
    subgroups,
)
from lstm_adversarial_attack.settings import EvaluateSettings

#: Age bands by their last year.
_AGE_BANDS = {17: "under 18", 44: "18-44", 64: "45-64", 79: "65-79"}
_OLDEST = "80 and over"
_UNKNOWN = "unknown"

#: What makes subgroups, and the order of the groups where they have one.
ATTRIBUTES: dict[str, tuple[str, ...] | None] = {
    "age": (*_AGE_BANDS.values(), _OLDEST),
    "sex": ("F", "M"),
    "unit": None,
    "charting_system": None,
}


def split_figures(inputs: EvaluationInputs, split: str, settings: EvaluateSettings) -> dict[str, Estimate]:
    """Return the figures of one split (`metrics.FIGURES`)."""
    return _figures(inputs.predictions_of(split), inputs.threshold, settings)


def calibration_result(inputs: EvaluationInputs, settings: EvaluateSettings) -> CalibrationResult:
    """Return how well the probabilities of the test split are calibrated, before and after."""
    test = inputs.predictions_of("test")
    raw, calibrated = (
        calibration_metrics(
            test["label"], test[column], test["subject_id"], resamples=settings.resamples, seed=settings.seed
        )
        for column in ("probability", "calibrated")
    )
    return CalibrationResult(method=inputs.calibration, raw=raw, calibrated=calibrated)


def model_figures(inputs: EvaluationInputs, settings: EvaluateSettings) -> dict[str, ModelFigures]:
    """Return the LSTM and each baseline on the test split, by name, the LSTM first."""
    lstm = inputs.predictions_of("test")
    found = {"lstm": ModelFigures(_compared(lstm, settings), None)}
    tests = inputs.baselines.filter(pl.col("split").cast(pl.String) == "test")
    for name in inputs.baselines["model"].cast(pl.String).unique(maintain_order=True):
        baseline = tests.filter(pl.col("model").cast(pl.String) == name)
        if not baseline["sample"].equals(lstm["sample"]):
            raise ValueError(f"{name} and the LSTM do not predict the same test samples")
        found[name] = ModelFigures(_compared(baseline, settings), _differences(lstm, baseline, settings))
    return found


def subgroup_figures(inputs: EvaluationInputs, settings: EvaluateSettings) -> tuple[Subgroup, ...]:
    """Return the figures of the test split by age, sex, first care unit and charting system."""
    test, samples = inputs.predictions_of("test"), inputs.samples_of("test")
    age = pl.col("age_years")
    bands = [pl.when(age <= last).then(pl.lit(name)) for last, name in _AGE_BANDS.items()]
    oldest = pl.when(age.is_not_null()).then(pl.lit(_OLDEST))
    groups = samples.select(pl.coalesce(*bands, oldest).alias("age"), "sex", "unit", "charting_system")
    groups = groups.fill_null(_UNKNOWN)
    return tuple(
        group
        for attribute, order in ATTRIBUTES.items()
        for group in subgroups(
            test["label"],
            test["probability"],
            test["subject_id"],
            groups[attribute].to_list(),
            attribute=attribute,
            threshold=inputs.threshold,
            calibrated=test["calibrated"],
            order=order,
            resamples=settings.resamples,
            seed=settings.seed,
        )
    )


def _figures(predictions: pl.DataFrame, threshold: float, settings: EvaluateSettings) -> dict[str, Estimate]:
    return prediction_metrics(
        predictions["label"],
        predictions["probability"],
        predictions["subject_id"],
        threshold=threshold,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def _compared(predictions: pl.DataFrame, settings: EvaluateSettings) -> dict[str, Estimate]:
    """Return `PAIRED_FIGURES`; the Brier score is of the calibrated probability."""
    figures = _figures(predictions, 0.5, settings)
    mended = predictions.with_columns(probability="calibrated")
    return {
        "auroc": figures["auroc"],
        "auprc": figures["auprc"],
        "brier": _figures(mended, 0.5, settings)["brier"],
    }


def _differences(lstm: pl.DataFrame, baseline: pl.DataFrame, settings: EvaluateSettings) -> dict[str, Difference]:
    ranked = tuple(figure for figure in PAIRED_FIGURES if figure != "brier")
    return {
        name: difference
        for column, figures in (("probability", ranked), ("calibrated", ("brier",)))
        for name, difference in paired_differences(
            lstm["label"],
            lstm[column],
            baseline[column],
            lstm["subject_id"],
            figures=figures,
            resamples=settings.resamples,
            seed=settings.seed,
        ).items()
    }
