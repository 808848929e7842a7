"""Probabilities mended on validation samples, and what `train` writes of it."""

from __future__ import annotations

from typing import get_args, get_type_hints

import msgspec
import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from lstm_adversarial_attack import frames
from lstm_adversarial_attack.artifacts.contents import Calibration
from lstm_adversarial_attack.datasets import LoadedDataset, Tensors
from lstm_adversarial_attack.metrics import calibration_metrics
from lstm_adversarial_attack.models import baselines
from lstm_adversarial_attack.models.calibration import calibrated, fit_calibration
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.settings import TrainSettings
from lstm_adversarial_attack.train import stage as train

METHODS = ("none", "temperature", "platt", "isotonic")
#: Few distinct probabilities, so that ties and separable samples are common.
SAMPLES = st.lists(
    st.tuples(st.sampled_from([0.0, 1e-9, 0.1, 0.3, 0.5, 0.50001, 0.9, 1.0]), st.integers(0, 1)), max_size=30
)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def drawn(n: int = 20_000, seed: int = 0):
    """Return log-odds that are right, and labels drawn by them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1.5, 1.5, n)
    return x, (rng.random(n) < sigmoid(x)).astype(int)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_temperature_is_found_again(temperature):
    x, y = drawn()
    found = fit_calibration("temperature", sigmoid(x * temperature), y)
    assert 1 / found.slope == pytest.approx(temperature, rel=0.04)
    assert found.shift == 0
    np.testing.assert_allclose(calibrated(found, sigmoid(x * temperature)), sigmoid(x), atol=0.01)


def test_a_shift_is_found_again():
    # A death that weighs w times a survivor adds log w to the log-odds that are learned.
    x, y = drawn()
    found = fit_calibration("platt", sigmoid(x + np.log(5)), y)
    assert found.slope == pytest.approx(1, abs=0.04)
    assert found.shift == pytest.approx(-np.log(5), abs=0.08)


@pytest.mark.parametrize(
    ("method", "theirs", "apart"), [("platt", "sigmoid", 1e-6), ("temperature", "temperature", 0.005)]
)
def test_it_agrees_with_scikit_learn(method, theirs, apart):
    # Of temperature scikit-learn takes the targets 0 and 1 as they are.
    x, y = drawn(400)
    model = LogisticRegression().fit(x[:, None], y)
    model.coef_ *= 2
    fitted = CalibratedClassifierCV(FrozenEstimator(model), method=theirs, ensemble=False).fit(x[:, None], y)
    p = model.predict_proba(x[:, None])[:, 1]
    ours = calibrated(fit_calibration(method, p, y), p)
    np.testing.assert_allclose(ours, fitted.predict_proba(x[:, None])[:, 1], atol=apart)


def test_isotonic_is_that_of_scikit_learn_within_its_bounds():
    x, y = drawn(300)
    p = sigmoid(x)
    low, high = 1 / ((y == 0).sum() + 2), 1 - 1 / ((y == 1).sum() + 2)
    theirs = IsotonicRegression(y_min=low, y_max=high, out_of_bounds="clip").fit(p, y)
    elsewhere = np.linspace(0, 1, 1001)
    found = fit_calibration("isotonic", p, y)
    np.testing.assert_allclose(calibrated(found, elsewhere), theirs.predict(elsewhere), atol=1e-12)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_held_out_probabilities_get_better(method):
    x, y = drawn(3_000)
    p = sigmoid(3 * x) if method == "temperature" else sigmoid(3 * x + 2)
    fitted_on, held_out = slice(0, 1_500), slice(1_500, None)
    after = calibrated(fit_calibration(method, p[fitted_on], y[fitted_on]), p)[held_out]
    before, labels, who = p[held_out], y[held_out], range(1_500)
    assert log_loss(labels, after) < 0.8 * log_loss(labels, before)
    errors = [calibration_metrics(labels, each, who, resamples=2)["ece"].value for each in (before, after)]
    assert errors[1] < 0.4 * errors[0]
    assert roc_auc_score(labels, after) == pytest.approx(roc_auc_score(labels, before), abs=0.01)


@given(SAMPLES, st.sampled_from(METHODS))
@settings(deadline=None, max_examples=150)
def test_whatever_it_is_fitted_to_it_rises_and_stays_within_bounds(samples, method):
    p, y = (np.array(part) for part in zip(*samples, strict=True)) if samples else (np.empty(0), np.empty(0))
    found = fit_calibration(method, p, y)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Calibration) == found
    assert np.isfinite([found.slope, found.shift, *found.knots, *found.heights]).all()
    grid = np.linspace(0, 1, 201)
    after = calibrated(found, grid)
    assert ((after >= 0) & (after <= 1)).all()
    assert (np.diff(after) >= 0).all()
    if method in ("temperature", "platt"):
        assert (np.diff(after[1:-1]) > 0).all() or 0 in (after[1], 1 - after[-2])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_probabilities_as_they_are(method, label):
    found = fit_calibration(method, [0.1, 0.2], [label, label])
    assert found == Calibration("none")
    assert calibrated(found, [0.1, 0.7]).tolist() == [0.1, 0.7]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_separable_samples_do_not_call_for_certainty(method):
    # Of 2 deaths and 3 survivors, the targets are 3/4 and 1/5.
    found = fit_calibration(method, [0.1, 0.2, 0.25, 0.8, 0.9], [0, 0, 0, 1, 1])
    after = calibrated(found, [0.1, 0.9])
    assert after == pytest.approx([0.2, 0.75], abs=0.06)


def test_a_ranking_the_wrong_way_round_is_flattened_and_not_turned():
    p, y = [0.9, 0.8, 0.7, 0.2, 0.1, 0.15], [0, 0, 0, 0, 1, 1]
    after = calibrated(fit_calibration("platt", p, y), p)
    assert after == pytest.approx(np.full(6, (4 / 6 + 2 * 3 / 4) / 6), abs=0.01)
    assert (np.argsort(after) == np.argsort(p)).all()


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="no calibration is called 'beta'"):
        fit_calibration("beta", [0.1], [1])


def test_the_settings_name_the_methods_and_the_tables_the_baselines():
    assert set(get_args(get_type_hints(TrainSettings)["calibration"])) == set(METHODS)
    assert frames.BASELINES == baselines.BASELINES


SPLITS = ["train"] * 120 + ["validation"] * 60 + ["test"] * 60


def loaded() -> LoadedDataset:
    """Return a dataset whose labels show in the mean of one feature."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(240, 6, 3, generator=generator)
    labels = (values[:, :, 1].mean(dim=1) + 0.2 * torch.randn(240, generator=generator) > 0.2).long()
    same = {"age_years": 60, "sex": "F", "unit": "MICU", "charting_system": "carevue", "los_hours": 50.0}
    ids = pl.int_range(240, eager=True).alias("stay_id")
    samples = pl.select(
        ids, ids.alias("subject_id"), ids.alias("hadm_id"), *(pl.lit(v).alias(k) for k, v in same.items())
    )
    samples = samples.with_columns(label=pl.Series(labels.numpy()), split=pl.Series(SPLITS))
    samples = frames.typed(samples, frames.SAMPLES)
    observed = torch.ones_like(values, dtype=torch.bool)
    return LoadedDataset(Tensors(values, observed, labels), samples, features=None, scaling=None)


def mean_of_one_feature(values, *_context):
    death = 5 * values[:, :, 1].mean(dim=1)
    return torch.stack([torch.zeros_like(death), death], dim=1)


@pytest.mark.parametrize("method", METHODS)
def test_train_calibrates_on_the_validation_split_alone(method):
    dataset = loaded()
    predictions, calibration = train.predict(mean_of_one_feature, dataset, method)
    frames.conform(predictions, frames.PREDICTIONS)
    validation = predictions.filter(pl.col("split") == "validation")
    assert calibration == fit_calibration(method, validation["probability"], validation["label"])
    np.testing.assert_array_equal(predictions["calibrated"], calibrated(calibration, predictions["probability"]))
    elsewhere = (pl.col("split") != "validation") & (pl.col("label") == 1)
    turned = dataset.samples.with_columns(label=pl.when(elsewhere).then(0).otherwise("label").cast(pl.Int8))
    other = LoadedDataset(dataset.tensors, turned, features=None, scaling=None)
    assert train.predict(mean_of_one_feature, other, method)[1] == calibration


def test_train_writes_what_every_baseline_says_of_every_sample():
    dataset = loaded()
    with Reporter(quiet=True).stage("train") as progress:
        found = train._baselines(dataset, TrainSettings(), progress)
        none = train._baselines(dataset, TrainSettings(baselines=False), progress)
    frames.conform(found, frames.BASELINE_PREDICTIONS)
    assert none.is_empty()
    assert none.schema == found.schema
    for name in baselines.BASELINES:
        of = found.filter(pl.col("model").cast(pl.String) == name)
        assert of["sample", "split", "subject_id", "label"].equals(
            dataset.samples.with_row_index("sample").select(
                pl.col("sample").cast(pl.Int32), "split", "subject_id", "label"
            )
        )
        test = of.filter(pl.col("split") == "test")
        assert roc_auc_score(test["label"], test["probability"]) > 0.6
        assert not of["probability"].equals(of["calibrated"])
