"""The evaluation on frames with known answers, and the report as a page."""

from __future__ import annotations

import dataclasses
import json
import re

import msgspec
import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from lstm_adversarial_attack.artifacts.contents import CohortStep
from lstm_adversarial_attack.catalogue import Feature, Limits, Measurement, Source, load_catalogue
from lstm_adversarial_attack.evaluate.analysis import Evaluation, EvaluationInputs, evaluate
from lstm_adversarial_attack.evaluate.drawing import PALETTES
from lstm_adversarial_attack.evaluate.page import clinical_decimals
from lstm_adversarial_attack.evaluate.results import quantiles
from lstm_adversarial_attack.frames import (
    BASELINE_PREDICTIONS,
    BASELINES,
    EXAMPLE_KINDS,
    EXAMPLES,
    FRONTIER,
    HISTORY,
    PERTURBATIONS,
    PREDICTIONS,
    SAMPLES,
    SINGLES,
    SPLITS,
    typed,
    with_features,
)
from lstm_adversarial_attack.settings import EvaluateSettings

FIRST_SUBJECT = 77_123_001
#: Ten samples are too few for the gate's own limits.
TINY = EvaluateSettings(resamples=50, min_auroc=0.5, max_calibration_error=0.2)
FEW = EvaluateSettings(resamples=5, max_calibration_error=0.2)
ANY_ID = r"(?<![\d.])(77|66|55)12[34]\d{3}(?!\d)"
HOURS = 4


def _feature(name: str, unit: str, physiological: tuple[float, float]) -> Feature:
    source = Source(table="labevents", items=(1,), accepted=Limits(gt=0))
    measurement = Measurement(
        label=name.capitalize(),
        unit=unit,
        normal=sum(physiological) / 2,
        precision=0.1,
        physiological=physiological,
        sources=(source,),
    )
    return Feature(name, measurement)


FEATURES = (
    _feature("potassium", "mEq/L", (1.5, 10.0)),
    _feature("ph", "1", (6.7, 7.8)),
    _feature("odd<b>", "%&", (0.0, 50.0)),
)


def _stays(labels: list[int], splits: list[str], subjects: list[int] | None = None) -> pl.DataFrame:
    n = len(labels)
    columns = {
        "stay_id": range(66_123_001, 66_123_001 + n),
        "subject_id": subjects or range(FIRST_SUBJECT, FIRST_SUBJECT + n),
        "hadm_id": range(55_123_001, 55_123_001 + n),
        "age_years": [60] * n,
        "sex": ["F"] * n,
        "unit": ["MICU"] * n,
        "charting_system": ["carevue"] * n,
        "los_hours": [72.0] * n,
        "label": labels,
        "split": splits,
    }
    return pl.DataFrame({k: list(v) for k, v in columns.items()}, schema=SAMPLES)


def _predictions(samples: pl.DataFrame, probabilities: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sample": range(samples.height),
            "split": samples["split"],
            "subject_id": samples["subject_id"],
            "label": samples["label"],
            "probability": probabilities,
            "calibrated": [p / 2 for p in probabilities],
        },
        schema=PREDICTIONS,
    )


def _baselines(samples: pl.DataFrame, probabilities: dict[str, list[float]]) -> pl.DataFrame:
    rows = [_predictions(samples, found).with_columns(model=pl.lit(name)) for name, found in probabilities.items()]
    return typed(pl.concat(rows), BASELINE_PREDICTIONS)


def _example(sample: int, label: int, kind: str, cells: list[tuple[int, int, float]] | None) -> dict:
    """An example that changes ``cells`` (hour, feature, delta), or a failure."""
    sizes = [abs(delta) for *_, delta in cells or []]
    turned = 0.9 if label == 0 else 0.1
    return {
        "sample": sample,
        "subject_id": FIRST_SUBJECT + sample,
        "label": label,
        "predicted": label,
        "kind": kind,
        "success": cells is not None,
        "iteration": None if cells is None else 10 * (sample + 1),
        "l0": None if cells is None else len(cells),
        "l1": None if cells is None else sum(sizes),
        "linf": None if cells is None else max(sizes),
        "cost": None if cells is None else 2 * sum(sizes),
        "clean_probability": 1 - turned,
        "probability": None if cells is None else turned,
        "gradients": 100,
        "forwards": 7,
    }


def _changed(sample: int, kind: str, hour: int, feature: int, delta: float, observed: bool = True) -> dict:
    return {
        "sample": sample,
        "kind": kind,
        "hour": hour,
        "feature": FEATURES[feature].name,
        "observed": observed,
        "delta": delta,
        "original_clinical": FEATURES[feature].measurement.normal,
        "delta_clinical": delta * [0.5, 0.1, 2.0][feature],
    }


def _singles(edits: dict[tuple[int, int], tuple[int, float]]) -> pl.DataFrame:
    """Single edits (sample, feature) -> (hour, delta) of the attacked samples, every cell changeable; or no rows."""
    rows = [
        {
            "sample": sample,
            "subject_id": FIRST_SUBJECT + sample,
            "label": int(sample > 3),
            "predicted": int(sample > 3),
            "feature": feature.name,
            "changeable": HOURS,
            "saliency": [6.0, 3.0, 1.0][column],
            "peak_hour": 3,
            "hour": edits[sample, column][0] if (sample, column) in edits else None,
            "delta": edits[sample, column][1] if (sample, column) in edits else None,
            "original_clinical": None,
            "delta_clinical": [0.5, 0.1, 2.0][column] * edits[sample, column][1] if (sample, column) in edits else None,
        }
        for sample in ((0, 1, 2, 4, 5) if edits else ())
        for column, feature in enumerate(FEATURES)
    ]
    return pl.DataFrame(rows, schema=with_features(SINGLES, tuple(f.name for f in FEATURES)))


def _plausible_singles(rng, attacked, labels, subjects, features) -> pl.DataFrame:
    rows = [
        {
            "sample": sample,
            "subject_id": int(subjects[sample]),
            "label": int(labels[sample]),
            "predicted": int(labels[sample]),
            "feature": feature.name,
            "changeable": 2 + 2 * column,
            "saliency": float(rng.exponential()),
            "peak_hour": 47,
            "hour": 40 if turned else None,
            "delta": 1.0 + column / 10 if turned else None,
            "original_clinical": feature.measurement.normal if turned else None,
            "delta_clinical": feature.measurement.precision * (3 + column) if turned else None,
        }
        for sample in attacked.tolist()
        for column, feature in enumerate(features)
        for turned in [rng.random() < 0.3]
    ]
    return pl.DataFrame(rows, schema=with_features(SINGLES, tuple(f.name for f in features)))


#: Attacked survivors 0, 1, 2 (2 fails); deaths 4, 5 are attacked and fail. (hour, feature, delta)
SPARSEST = {0: [(3, 0, 2.0)], 1: [(3, 0, -1.0), (2, 1, 0.5)], 2: None}


def tiny_inputs(**changes) -> EvaluationInputs:
    """Six test samples and four others, with answers that can be worked out by hand."""
    labels = [0, 0, 0, 0, 1, 1, 0, 1, 0, 1]
    splits = ["test"] * 6 + ["train"] * 2 + ["validation"] * 2
    samples = _stays(labels, splits)
    examples = [_example(s, 0, kind, cells) for s, cells in SPARSEST.items() for kind in EXAMPLE_KINDS]
    examples += [_example(s, 1, kind, None) for s in (4, 5) for kind in EXAMPLE_KINDS]
    perturbations = [
        _changed(sample, kind, hour, feature, delta, observed=hour == 3)
        for sample, cells in SPARSEST.items()
        for kind in EXAMPLE_KINDS
        for hour, feature, delta in cells or []
    ]
    given = {
        "cohort_flow": (
            CohortStep("all", "every ICU stay", 30, 25, 6),
            CohortStep("min_hours", "at least 48 h <script>", 10, 10, 4),
        ),
        "features": FEATURES,
        "hours": HOURS,
        "feature_stds": np.array([0.5, 0.1, 2.0]),
        "samples": samples,
        "observed_rate": np.full((HOURS, 3), 0.25),
        "observed_hours": np.full((10, 3), 2),
        "predictions": _predictions(samples, [0.1, 0.1, 0.1, 0.6, 0.9, 0.9, 0.2, 0.8, 0.3, 0.7]),
        "threshold": 0.5,
        "calibration": "platt",
        "baselines": _baselines(samples, {BASELINES[0]: [0.8, 0.1, 0.1, 0.1, 0.9, 0.7, 0.2, 0.8, 0.3, 0.7]}),
        "history": pl.DataFrame(
            [(0, 1, 0.6, 0.7, 0.6, 0.2), (0, 2, 0.5, 0.6, None, None)], schema=HISTORY, orient="row"
        ),
        "examples": pl.DataFrame(examples, schema=EXAMPLES),
        "perturbations": pl.DataFrame(
            perturbations, schema=with_features(PERTURBATIONS, tuple(f.name for f in FEATURES))
        ),
        "frontier": pl.DataFrame(schema=FRONTIER),
        "singles": _singles({}),
        "attacked_split": "test",
        "threat": "charted",
        "misclassified": 0,
        "provenance": {"protocol": "clinical", "model": "sha256:<i>abc</i>"},
    }
    return EvaluationInputs(**{**given, **changes})


def plausible_inputs(samples: int = 1500, seed: int = 0) -> EvaluationInputs:
    """A random run that looks like a real one: 48 hours, the catalogue's features, some failures."""
    rng = np.random.default_rng(seed)
    features = load_catalogue().feature_set("icu-19").features
    labels = (rng.random(samples) < 0.12).astype(int)
    patients = rng.integers(int(samples * 0.9), size=samples)
    splits = rng.choice(SPLITS, samples, p=[0.6, 0.15, 0.25])[patients]
    subjects = FIRST_SUBJECT + patients
    stays = _stays(labels.tolist(), splits.tolist(), subjects.tolist()).with_columns(
        age_years=pl.Series(rng.integers(18, 92, samples), dtype=pl.Int32),
        sex=pl.Series(rng.choice(["F", "M"], samples)),
        unit=pl.Series(rng.choice(["MICU", "SICU", "CCU"], samples, p=[0.6, 0.395, 0.005])),
        charting_system=pl.Series(rng.choice(["carevue", "metavision"], samples)),
    )
    probabilities = 1 / (1 + np.exp(3.2 - 2.4 * labels - rng.normal(0, 1.2, samples)))
    threshold = 0.3
    attacked = np.flatnonzero((splits == "test") & ((probabilities >= threshold) == labels))
    examples, cells = _plausible_examples(rng, attacked, labels, probabilities, subjects, features, threshold)
    epochs = np.arange(1, 31)
    loss = 0.28 + 0.3 * np.exp(-epochs / 5)
    return EvaluationInputs(
        cohort_flow=(
            CohortStep("all", "every ICU stay in the source", 4 * samples, 3 * samples, samples // 2),
            CohortStep("adult", "at least 18 years old", 3 * samples, 2 * samples, samples // 3),
            CohortStep("min_los", "at least 48 h in the ICU", samples, int(samples * 0.8), int(labels.sum())),
        ),
        features=features,
        hours=48,
        feature_stds=np.array([np.ptp(f.measurement.physiological) / 12 for f in features]),
        samples=stays,
        observed_rate=np.tile(np.linspace(0.05, 0.95, len(features)), (48, 1)),
        observed_hours=np.tile(np.linspace(2, 46, len(features)).astype(int), (samples, 1)),
        predictions=_predictions(stays, probabilities.tolist()),
        threshold=threshold,
        calibration="platt",
        baselines=_baselines(
            stays, {name: np.clip(probabilities + rng.normal(0, 0.1, samples), 0, 1).tolist() for name in BASELINES}
        ),
        history=pl.concat(
            pl.DataFrame(
                {
                    "member": [member] * len(epochs),
                    "epoch": epochs,
                    "train_loss": loss - 0.001 * epochs,
                    "validation_loss": loss + 0.0006 * epochs,
                    "validation_auroc": 0.86 - 0.2 * np.exp(-epochs / (4 + member)),
                    "validation_auprc": 0.5 - 0.3 * np.exp(-epochs / (4 + member)),
                },
                schema=HISTORY,
            )
            for member in range(3)
        ),
        examples=examples,
        perturbations=cells,
        frontier=pl.DataFrame(schema=FRONTIER),
        singles=_plausible_singles(rng, attacked, labels, subjects, features),
        attacked_split="test",
        threat="charted",
        misclassified=0,
        provenance={
            "protocol": "clinical",
            "feature set": "icu-19",
            **{f"{name} digest": f"sha256:{rng.bytes(32).hex()}" for name in ("dataset", "model", "examples")},
            "package version": "0.1.0",
        },
    )


def _plausible_examples(rng, attacked, labels, probabilities, subjects, features, threshold):
    hour_weights = np.exp(np.arange(48) / 10)
    feature_weights = rng.dirichlet(np.full(len(features), 0.6))
    examples, cells = [], []
    for sample in attacked.tolist():
        label = int(labels[sample])
        success = rng.random() < 0.95
        for kind, mean_cells in zip(EXAMPLE_KINDS, (60, 3, 8), strict=True):
            count = min(1 + rng.poisson(mean_cells), 400)
            flat = rng.choice(
                48 * len(features),
                count,
                replace=False,
                p=np.outer(hour_weights, feature_weights + 1e-3).ravel()
                / np.outer(hour_weights, feature_weights + 1e-3).sum(),
            )
            delta = rng.normal(0.3 if label == 0 else -0.3, 4 / np.sqrt(count), count)
            row = _example(sample, label, kind, None)
            row["subject_id"] = int(subjects[sample])
            row["clean_probability"] = float(probabilities[sample])
            if success:
                row |= {
                    "success": True,
                    "iteration": int(rng.integers(1, 500)),
                    "l0": count,
                    "l1": float(np.abs(delta).sum()),
                    "linf": float(np.abs(delta).max()),
                    "cost": float(np.abs(delta).sum()),
                    "probability": threshold + (0.01 if label == 0 else -0.01),
                }
                for place, size in zip(flat.tolist(), delta.tolist(), strict=True):
                    feature = features[place % len(features)]
                    std = np.ptp(feature.measurement.physiological) / 12
                    cells.append(
                        (
                            sample,
                            kind,
                            place // len(features),
                            feature.name,
                            bool(rng.random() < 0.4),
                            size,
                            feature.measurement.normal,
                            size * std,
                        )
                    )
            examples.append(row)
    schema = with_features(PERTURBATIONS, tuple(f.name for f in features))
    return pl.DataFrame(examples, schema=EXAMPLES), pl.DataFrame(cells, schema=schema, orient="row")


@pytest.fixture(scope="module")
def tiny() -> Evaluation:
    return evaluate(tiny_inputs(), TINY)


@pytest.fixture(scope="module")
def plausible() -> Evaluation:
    return evaluate(plausible_inputs(), EvaluateSettings(resamples=200))


def _cell(evaluation: Evaluation, hour: int, feature: str, kind: str = "sparsest") -> dict:
    return (
        evaluation.tables["susceptibility_cells"]
        .filter(direction="0_to_1", kind=kind, hour=hour, feature=feature)
        .row(0, named=True)
    )


class TestAttack:
    def test_counts_and_success(self, tiny):
        attack = tiny.metrics["attack"]["0_to_1"]
        assert (attack["samples"], attack["correct"], attack["attacked"]) == (4, 3, 3)
        assert (attack["gradients_mean"], attack["forwards_mean"]) == (100, 7)
        assert attack["kinds"]["first"]["succeeded"] == 2
        assert attack["kinds"]["first"]["success_rate"]["value"] == pytest.approx(2 / 3)

    def test_failures_are_infinite(self, tiny):
        # L0 of the three attacked survivors: 1, 2, infinite.
        sparsest = tiny.metrics["attack"]["0_to_1"]["kinds"]["sparsest"]
        assert sparsest["l0"] == {"p25": 1.5, "median": 2, "p75": None, "p90": None}
        assert sparsest["l1"] == {"p25": 1.75, "median": 2, "p75": None, "p90": None}
        assert sparsest["within_cells"] == {
            "1": pytest.approx(1 / 3),
            **dict.fromkeys(["2", "5", "10", "20", "50"], pytest.approx(2 / 3)),
        }

    def test_curves(self, tiny):
        curves = tiny.tables["attack_curves"].filter(direction="0_to_1", kind="sparsest")
        points = {
            against: [(b, pytest.approx(s)) for b, s in curves.filter(against=against)["budget", "share"].rows()]
            for against in ("l0", "linf", "iteration")
        }
        assert points["l0"] == [(0, 0), (1, 1 / 3), (2, 2 / 3)]
        assert points["linf"] == [(0, 0), (1, 1 / 3), (2, 2 / 3)]
        assert points["iteration"] == [(0, 0), (10, 1 / 3), (20, 2 / 3)]
        failed = tiny.tables["attack_curves"].filter(direction="1_to_0", kind="first", against="l0")
        assert failed["budget", "share"].rows() == [(0, 0)]

    def test_long_curves_end_at_the_largest_budget_and_the_success_rate(self, plausible):
        for (direction, kind, against), part in plausible.tables["attack_curves"].group_by(
            "direction", "kind", "against"
        ):
            outcome = plausible.metrics["attack"][direction]["kinds"]["first" if kind == "best" else kind]
            assert part.height <= 201
            assert part["share"].max() == pytest.approx(outcome["success_rate"]["value"]), against
            assert part["share"].is_sorted()
        longest = plausible_inputs().examples["l0"].max()
        assert plausible.tables["attack_curves"].filter(against="l0")["budget"].max() == longest


class TestSusceptibility:
    def test_cell_quantities(self, tiny):
        assert _cell(tiny, 3, "potassium") == {
            "direction": "0_to_1",
            "kind": "sparsest",
            "hour": 3,
            "feature": "potassium",
            "examples": 2,
            "gpp": 1.0,
            "gpp_low": pytest.approx(0.025**0.5),  # of two patients, both
            "gpp_high": 1.0,
            "delta_clinical": 0.75,
            "delta_clinical_low": 0.5,
            "delta_clinical_high": 1.0,
            "ganzp": 1.5,
            "sensitivity": pytest.approx(1 / 1.5),
            "gmp": 2.0,
            "gap": 1.5,
            "s": 2.0,
        }
        ph = _cell(tiny, 2, "ph")
        assert (ph["gpp"], ph["ganzp"], ph["sensitivity"], ph["gap"], ph["s"]) == (0.5, 0.5, 1.0, 0.25, 0.25)

    def test_untouched_cell(self, tiny):
        cell = _cell(tiny, 0, "odd<b>")
        assert (cell["gpp"], cell["gmp"], cell["gap"], cell["s"]) == (0, 0, 0, 0)
        assert cell["ganzp"] is cell["sensitivity"] is None

    def test_every_cell_of_every_condition(self, tiny):
        assert tiny.tables["susceptibility_cells"].height == 2 * 3 * HOURS * 3

    def test_measurement(self, tiny):
        result = tiny.metrics["susceptibility"]["0_to_1"]["sparsest"]
        potassium, ph = result["measurements"]["potassium"], result["measurements"]["ph"]
        assert (potassium["examples"], potassium["cells"], potassium["share"]["value"]) == (2, 2, 1)
        assert potassium["delta_std"]["median"] == 1.5
        assert potassium["delta_clinical"]["median"] == 0.75
        assert (potassium["up_share"], potassium["peak_hour"], potassium["observed_share"]) == (0.5, 3, 1)
        assert (ph["up_share"], ph["peak_hour"], ph["observed_share"]) == (1, 2, 0)
        assert (potassium["sun_score"], ph["sun_score"]) == (2, 0.25)
        odd = result["measurements"]["odd<b>"]
        assert odd["share"]["value"] == 0
        assert odd["peak_hour"] is odd["up_share"] is odd["delta_std"]["median"] is None

    def test_hours_and_top(self, tiny):
        result = tiny.metrics["susceptibility"]["0_to_1"]["sparsest"]
        assert [hour["value"] for hour in result["hours"]] == [0, 0, 0.5, 1]
        assert result["top_hours"] == [3, 2]
        assert result["top_measurements"] == ["potassium", "ph"]

    def test_no_found_example(self, tiny):
        result = tiny.metrics["susceptibility"]["1_to_0"]["first"]
        assert result["examples"] == 0
        assert result["measurements"]["ph"]["share"] == {"value": None, "low": None, "high": None}
        assert result["measurements"]["ph"]["sun_score"] is None
        cells = tiny.tables["susceptibility_cells"].filter(direction="1_to_0")
        assert cells["gpp", "gmp", "s"].null_count().row(0) == (cells.height,) * 3


class TestWhole:
    def test_prediction_marks_splits(self, tiny):
        # Test: deaths .9, .9; survivors .1, .1, .1, .6.
        test = tiny.metrics["prediction"]["test"]
        assert test["auroc"]["value"] == 1
        assert test["precision"]["value"] == pytest.approx(2 / 3)
        assert tiny.metrics["confusion"] == {
            "true_negative": 3,
            "false_positive": 1,
            "false_negative": 0,
            "true_positive": 2,
        }
        assert tiny.metrics["splits"]["test"] == {"samples": 6, "patients": 6, "deaths": 2}

    def test_headline(self, tiny):
        assert len(tiny.headline) == 5
        assert [line.split(":")[0] for line in tiny.headline] == [
            "Cohort",
            "Prediction",
            "Attack",
            "Smallest change",
            "Most susceptible",
        ]
        assert "2 of 12 cells" in tiny.headline[3]
        assert "Potassium (100.0 %)" in tiny.headline[4]
        assert tiny.metrics["headline"] == list(tiny.headline)

    def test_patients_in_two_splits_are_told(self, tiny):
        inputs = tiny_inputs()
        leak = inputs.samples.with_columns(
            subject_id=pl.when(pl.col("split").cast(pl.String) == "train").then(FIRST_SUBJECT).otherwise("subject_id")
        )
        evaluation = evaluate(dataclasses.replace(inputs, samples=leak), FEW)
        assert evaluation.metrics["shared_patients"] == 1
        assert evaluation.headline[0].endswith("but 1 patient also in another split.")
        assert "1 patient stands in more than one split" in evaluation.report_html
        assert tiny.metrics["shared_patients"] == 0
        assert "in more than one split" not in tiny.report_html

    def test_metrics_are_strict_json(self, tiny, plausible):
        for evaluation in (tiny, plausible):
            text = json.dumps(evaluation.metrics, allow_nan=False)
            assert json.loads(text) == evaluation.metrics
            assert not re.search(ANY_ID, text)

    def test_same_inputs_same_bytes(self, tiny):
        again = evaluate(tiny_inputs(), TINY)
        assert again.report_html == tiny.report_html
        assert msgspec.json.encode(again.metrics) == msgspec.json.encode(tiny.metrics)

    def test_row_order_does_not_matter(self, tiny):
        inputs = tiny_inputs()
        shuffled = dataclasses.replace(
            inputs,
            examples=inputs.examples.reverse(),
            perturbations=inputs.perturbations.sample(fraction=1, shuffle=True, seed=3),
        )
        assert evaluate(shuffled, TINY).metrics == tiny.metrics

    def test_tables_name_no_patient(self, plausible):
        for name, table in plausible.tables.items():
            assert not {"sample", "subject_id", "stay_id", "hadm_id"} & set(table.columns), name
            for column in table.select(pl.col(pl.Float64)):
                assert column.drop_nulls().is_finite().all(), (name, column.name)

    def test_progress(self):
        told = []
        evaluate(tiny_inputs(), FEW, on_progress=lambda *step: told.append(step))
        assert told == [
            ("prediction", 0, 4),
            ("attack", 1, 4),
            ("susceptibility", 2, 4),
            ("report", 3, 4),
            ("done", 4, 4),
        ]


class TestModel:
    """Calibration, subgroups, and the model beside the baselines."""

    def test_calibration_before_and_after(self, tiny):
        # Test: deaths .9, .9; survivors .1, .1, .1, .6; calibration halves them. Six samples make one bin.
        result = tiny.metrics["calibration"]
        assert result["method"] == "platt"
        assert result["raw"]["brier"]["value"] == pytest.approx((2 * 0.01 + 3 * 0.01 + 0.36) / 6)
        assert result["raw"]["mean_predicted"]["value"] == pytest.approx(2.7 / 6)
        assert result["raw"]["ece"]["value"] == pytest.approx(2.7 / 6 - 2 / 6)
        assert result["calibrated"]["mean_predicted"]["value"] == pytest.approx(1.35 / 6)
        assert result["calibrated"]["ece"]["value"] == pytest.approx(2 / 6 - 1.35 / 6)
        bins = tiny.tables["calibration"].filter(split="test")
        assert bins["probability", "mean_predicted", "count"].rows() == [
            ("raw", pytest.approx(2.7 / 6), 6),
            ("calibrated", pytest.approx(1.35 / 6), 6),
        ]

    def test_the_baseline_meets_the_same_samples(self, tiny):
        # The baseline puts one survivor (.8) above one of two deaths (.7, .9): 7 of 8 pairs in order.
        models = tiny.metrics["models"]
        assert list(models) == ["lstm", "logistic-regression"]
        assert models["lstm"]["lstm_less_this"] is None
        assert models["logistic-regression"]["figures"]["auroc"]["value"] == 7 / 8
        less = models["logistic-regression"]["lstm_less_this"]
        assert less["auroc"]["value"] == 1 / 8
        # Halved: survivors .4, .05 and deaths .45, .35 against .05, .3 and .45, .45.
        ours = (3 * 0.05**2 + 0.3**2 + 2 * 0.55**2) / 6
        theirs = (0.4**2 + 3 * 0.05**2 + 0.55**2 + 0.65**2) / 6
        assert models["lstm"]["figures"]["brier"]["value"] == pytest.approx(ours)
        assert less["brier"]["value"] == pytest.approx(ours - theirs)

    def test_without_baselines_there_is_no_comparison(self):
        inputs = tiny_inputs()
        evaluation = evaluate(dataclasses.replace(inputs, baselines=inputs.baselines.clear()), FEW)
        assert list(evaluation.metrics["models"]) == ["lstm"]
        assert "Beside the baselines" not in evaluation.report_html

    def test_subgroups_are_parts_of_the_test_split(self, plausible):
        inputs = plausible_inputs()
        test = inputs.samples_of("test").with_columns(probability=inputs.predictions_of("test")["probability"])
        found = pl.DataFrame(plausible.metrics["subgroups"])
        for _, groups in found.group_by("attribute"):
            assert groups["samples"].sum() == test.height
        bands = {"18-44": (18, 44), "45-64": (45, 64), "65-79": (65, 79), "80 and over": (80, 91)}
        ages = found.filter(attribute="age")
        assert dict(ages["group", "samples"].rows()) == {
            name: test.filter(pl.col("age_years").is_between(*ends)).height for name, ends in bands.items()
        }
        women = test.filter(sex="F")
        group = found.filter(attribute="sex", group="F").row(0, named=True)
        assert (group["samples"], group["deaths"]) == (women.height, women["label"].sum())
        assert group["patients"] == women["subject_id"].n_unique() < women.height
        assert group["figures"]["auroc"]["value"] == pytest.approx(roc_auc_score(women["label"], women["probability"]))
        called = women.filter(pl.col("probability") >= inputs.threshold)
        assert group["figures"]["precision"]["value"] == pytest.approx(called["label"].mean())

    def test_small_groups_are_not_shown(self, plausible):
        inputs = plausible_inputs()
        small = inputs.samples_of("test").filter(unit="CCU")["subject_id"].n_unique()
        assert 0 < small < 10
        units = [group for group in plausible.metrics["subgroups"] if group["attribute"] == "unit"]
        assert [group["group"] for group in units] == ["MICU", "SICU, CCU"]
        assert min(group["patients"] for group in plausible.metrics["subgroups"]) >= 10
        assert "Unit SICU, CCU" in plausible.report_html

    def test_of_groups_with_few_deaths_only_the_size_is_shown(self):
        inputs = plausible_inputs()
        rare = inputs.samples.with_columns(sex=pl.when(pl.col("label") == 1).then(pl.lit("M")).otherwise("sex"))
        evaluation = evaluate(dataclasses.replace(inputs, samples=rare), FEW)
        women = next(group for group in evaluation.metrics["subgroups"] if group["group"] == "F")
        assert women["patients"] > 100
        assert women["deaths"] is women["figures"] is None
        assert evaluation.tables["subgroups"].filter(group="F")["auroc", "deaths"].row(0) == (None, None)

    def test_too_few_patients_make_no_group(self, tiny):
        assert tiny.metrics["subgroups"] == []
        assert "too few patients to show parts of it" in tiny.report_html
        assert 'id="chart-forest"' not in tiny.report_html

    def test_what_is_unknown_is_a_group(self):
        inputs = plausible_inputs()
        unknown = inputs.samples.with_columns(sex=pl.lit(None, dtype=pl.String), age_years=pl.lit(None, dtype=pl.Int32))
        evaluation = evaluate(dataclasses.replace(inputs, samples=unknown), FEW)
        groups = [(g["attribute"], g["group"]) for g in evaluation.metrics["subgroups"]]
        assert groups[:2] == [("age", "unknown"), ("sex", "unknown")]

    def test_every_network_has_a_line_of_its_own(self, plausible):
        lines = _figures_of(plausible)["history-loss"]["data"]
        assert len(lines) == 2 * 3
        assert {line["line"]["width"] for line in lines} == {1.0}
        assert all(line["x"] == list(range(1, 31)) for line in lines)

    def test_the_forest_shows_every_group_with_figures(self, plausible):
        guide, points = _figures_of(plausible)["forest"]["data"]
        shown = [group for group in plausible.metrics["subgroups"] if group["figures"]]
        assert len(points["y"]) == len(set(points["y"])) == 1 + len(shown)
        assert guide["x"][0] == pytest.approx(plausible.metrics["prediction"]["test"]["auroc"]["value"])
        last = shown[-1]["figures"]["auroc"]
        assert points["x"][-1] + points["error_x"]["array"][-1] == pytest.approx(last["high"], abs=2e-4)


class TestGate:
    def test_passes(self, tiny):
        assert tiny.gate.passed
        assert tiny.gate.reasons == ()

    def test_auroc_too_low(self):
        inputs = tiny_inputs()
        worse = inputs.predictions.with_columns(probability=1 - pl.col("probability"))
        gate = evaluate(dataclasses.replace(inputs, predictions=worse), FEW).gate
        assert gate.reasons[0] == "AUROC on the test split is 0.000, below min_auroc 0.700"

    def test_examples_that_claim_too_much(self):
        inputs = tiny_inputs()
        false = inputs.examples.with_columns(
            probability=pl.when(pl.col("sample") == 0).then(0.2).otherwise("probability"),
            l0=pl.when(pl.col("sample") == 1).then(7).otherwise("l0").cast(pl.Int32),
        )
        assert evaluate(dataclasses.replace(inputs, examples=false), FEW).gate.reasons == (
            "of 6 found examples, 3 do not cross the threshold",
            "of 6 found examples, 3 change another number of cells than is listed",
        )

    def test_values_outside_the_physiological_range_are_counted(self):
        inputs = tiny_inputs()
        far = inputs.perturbations.with_columns(
            delta_clinical=pl.when(pl.col("feature").cast(pl.String) == "ph")
            .then(9.0)
            .otherwise("delta_clinical")
            .cast(pl.Float32)
        )
        evaluation = evaluate(dataclasses.replace(inputs, perturbations=far), FEW)
        assert (evaluation.metrics["cells_out_of_range"], evaluation.metrics["changed_cells"]) == (3, 9)
        assert evaluation.gate.reasons == ("3 changed cells end outside the physiological range",)


class TestInputs:
    def test_examples_of_another_split(self):
        with pytest.raises(ValueError, match="15 examples belong to no sample of split 'train'"):
            tiny_inputs(attacked_split="train")

    def test_shapes(self):
        with pytest.raises(ValueError, match=r"observed_rate has shape \(3, 4\), not \(4, 3\)"):
            tiny_inputs(observed_rate=np.zeros((3, HOURS)))

    def test_stray_cells(self):
        inputs = tiny_inputs()
        fewer = inputs.examples.filter(pl.col("sample") != 0)
        with pytest.raises(ValueError, match="3 changed cells belong to no found example"):
            evaluate(dataclasses.replace(inputs, examples=fewer), FEW)

    def test_predictions_of_other_samples(self):
        with pytest.raises(ValueError, match="predictions and samples are not in the same order"):
            tiny_inputs(predictions=tiny_inputs().predictions.reverse())

    def test_baselines_of_other_samples(self):
        fewer = tiny_inputs().baselines.slice(1)
        with pytest.raises(ValueError, match="logistic-regression and the LSTM do not predict the same test samples"):
            evaluate(tiny_inputs(baselines=fewer), FEW)


class TestDegenerate:
    def _text(self, evaluation: Evaluation) -> str:
        json.dumps(evaluation.metrics, allow_nan=False)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", evaluation.report_html.split("<script")[0]))

    def test_nothing_attacked_in_a_direction(self):
        inputs = tiny_inputs()
        survivors = dataclasses.replace(inputs, examples=inputs.examples.filter(pl.col("label") == 0))
        evaluation = evaluate(survivors, FEW)
        assert "no deaths were attacked" in evaluation.headline[2]
        assert "1 → 0, deaths called survivors: no sample was attacked." in self._text(evaluation)
        assert "∞" not in evaluation.headline[3]

    def test_nothing_attacked_at_all(self):
        inputs = tiny_inputs()
        evaluation = evaluate(
            dataclasses.replace(inputs, examples=inputs.examples.clear(), perturbations=inputs.perturbations.clear()),
            FEW,
        )
        assert "no survivors were attacked; no deaths were attacked" in evaluation.headline[2]
        assert "0 → 1, survivors called dead: no sample was attacked." in self._text(evaluation)

    def test_no_success(self, tiny):
        assert "deaths called survivors: no median, the attack failed too often" in tiny.headline[3]
        assert "deaths called survivors: no example was found" in tiny.headline[4]
        assert "No attack succeeded." in self._text(tiny)
        assert "no attack in this direction succeeded" in self._text(tiny)

    @pytest.mark.parametrize(("label", "words"), [(0, "hold no death"), (1, "hold no survivor")])
    def test_one_class_in_the_test_split(self, label, words):
        inputs = tiny_inputs()
        keep = (pl.col("split").cast(pl.String) != "test") | (pl.col("label") == label)
        keep_rows = inputs.samples.select(keep).to_series().to_numpy()
        evaluation = evaluate(
            dataclasses.replace(
                inputs,
                samples=inputs.samples.filter(keep),
                observed_hours=inputs.observed_hours[keep_rows],
                predictions=inputs.predictions.filter(keep),
                baselines=inputs.baselines.filter(keep),
                examples=inputs.examples.filter(pl.col("label") == label),
                perturbations=inputs.perturbations if label == 0 else inputs.perturbations.clear(),
            ),
            FEW,
        )
        assert words in evaluation.headline[1]
        assert not evaluation.gate.passed
        assert "AUROC and AUPRC on it are undefined" in self._text(evaluation)

    def test_empty_run(self):
        inputs = tiny_inputs()
        evaluation = evaluate(
            dataclasses.replace(
                inputs,
                cohort_flow=(),
                samples=inputs.samples.clear(),
                observed_hours=inputs.observed_hours[:0],
                predictions=inputs.predictions.clear(),
                baselines=inputs.baselines.clear(),
                history=inputs.history.clear(),
                examples=inputs.examples.clear(),
                perturbations=inputs.perturbations.clear(),
                provenance={},
            ),
            FEW,
        )
        assert "the test stays are none" in evaluation.headline[1]
        text = self._text(evaluation)
        assert "No cohort flow was recorded." in text
        assert "No training history was recorded." in text


def _without_plotly(page: str) -> str:
    return re.sub(r'<script id="plotly">.*?</script>', "", page, flags=re.DOTALL)


class TestReport:
    def test_names_no_patient_stay_or_admission(self, tiny, plausible):
        for evaluation in (tiny, plausible):
            assert not re.search(ANY_ID, _without_plotly(evaluation.report_html))

    def test_loads_nothing(self, plausible):
        page = _without_plotly(plausible.report_html)
        loads = re.findall(r"""\b(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)|@import (\S+)""", page)
        addresses = {next(filter(None, found), "") for found in loads}
        assert all(a.startswith("#") or a == "data:," for a in addresses), addresses
        assert "http" not in page.replace("http-equiv", "")

    def test_size(self, plausible):
        assert len(plausible.report_html.encode()) < 6_000_000
        assert len(_without_plotly(plausible.report_html).encode()) < 800_000

    def test_escapes_what_it_is_given(self, tiny):
        page = _without_plotly(tiny.report_html)
        assert "<i>abc" not in page
        assert "odd<b>" not in page.lower()
        assert "48 h &lt;script&gt;" in page
        assert page.count("</script>") == page.count("<script") == 3

    def test_headline_stands_first(self, tiny):
        body = tiny.report_html.split("<main>")[0]
        assert body.count("<li><strong>") == 5

    def test_tables_and_charts_can_be_read_without_sight(self, plausible):
        page = _without_plotly(plausible.report_html)
        assert page.count("<table") == page.count("<caption>") == page.count("</caption>")
        assert not re.search(r"<th(?! scope)(?![a-z])", page)
        charts = re.findall(r'<div class="chart"[^>]*>', page)
        # No image: that would hide the toolbar from who cannot see it.
        assert all('role="group" aria-roledescription="chart" aria-label="' in chart for chart in charts)
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'(?:aria-labelledby|for)="([^"]+)"', page)) <= set(ids)

    def test_figures_are_valid_plotly(self, plausible):
        inputs = plausible_inputs()
        data = _data_of(plausible)
        assert len(data["figures"]) == 13
        for scheme in PALETTES:
            for figure in data["figures"].values():
                go.Figure(**json.loads(_coloured(json.dumps(figure), scheme)))  # raises on a wrong name
        assert data["susceptibility"]["hours"] == inputs.hours
        assert len(data["susceptibility"]["values"]["0_to_1/first"]["gpp"]) == len(inputs.features)

    def test_figures_without_numbers_are_left_out(self):
        inputs = tiny_inputs()
        empty = dataclasses.replace(inputs, history=inputs.history.clear())
        evaluation = evaluate(empty, FEW)
        assert 'id="chart-history-loss"' not in evaluation.report_html
        assert 'id="chart-roc"' in evaluation.report_html


def _data_of(evaluation: Evaluation) -> dict:
    text = re.search(r'<script id="report-data"[^>]*>(.*?)</script>', evaluation.report_html, re.DOTALL)
    return json.loads(text.group(1))


def _figures_of(evaluation: Evaluation) -> dict:
    return _data_of(evaluation)["figures"]


def _coloured(text: str, scheme: str) -> str:
    for name, colour in PALETTES[scheme].items():
        text = text.replace(json.dumps(name), json.dumps(colour))
    return text


def test_quantiles_with_infinities():
    inf = float("inf")
    assert msgspec.structs.astuple(quantiles([])) == (None, None, None, None)
    assert msgspec.structs.astuple(quantiles([inf, inf])) == (None, None, None, None)
    assert msgspec.structs.astuple(quantiles([1, 2, 3, 4, inf])) == (2, 3, 4, None)
    assert msgspec.structs.astuple(quantiles([5.0])) == (5, 5, 5, 5)


@pytest.mark.parametrize(("precision", "decimals"), [(1.0, 1), (0.1, 2), (0.01, 3), (5.0, 1), (0.5, 2)])
def test_changes_are_shown_finer_than_charted(precision, decimals):
    assert clinical_decimals(precision) == decimals


@pytest.mark.parametrize(
    ("threat", "said"),
    [("charted", "goes on through forward fill"), ("data-entry", "slips that people make"), ("grid", "scaled grid")],
)
def test_the_report_says_what_the_attack_may_change(threat: str, said: str) -> None:
    page = evaluate(tiny_inputs(threat=threat), TINY).report_html
    assert f"Threat model: {threat}." in page
    assert said in page


def test_the_report_says_what_of_the_misclassified_is_left_out() -> None:
    said = "that the model gets wrong"
    assert said not in evaluate(tiny_inputs(), TINY).report_html
    page = evaluate(tiny_inputs(misclassified=3), TINY).report_html
    assert f"3 samples {said} were attacked too" in page
