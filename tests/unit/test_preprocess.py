"""Tensors from events, against a naive version that goes stay by stay, hour by hour."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_adversarial_attack.catalogue import Feature, load_catalogue
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import MEASUREMENTS, SPLITS, STAYS, typed, with_features
from lstm_adversarial_attack.preprocess.core import Dataset, fit_scaling, preprocess
from lstm_adversarial_attack.preprocess.split import patient_splits
from lstm_adversarial_attack.settings import PreprocessSettings

HOURS = 6
FEATURES: tuple[Feature, ...] = load_catalogue().feature_set("icu-19").features[:3]
NAMES = tuple(feature.name for feature in FEATURES)


def stays_of(subjects: list[int], labels: list[int]) -> pl.DataFrame:
    n = len(subjects)
    columns = {
        "stay_id": range(200_000, 200_000 + n),
        "subject_id": subjects,
        "hadm_id": range(100_000, 100_000 + n),
        "age_years": [60] * n,
        "sex": ["F"] * n,
        "unit": ["MICU"] * n,
        "charting_system": ["carevue"] * n,
        "los_hours": [72.0] * n,
        "label": labels,
    }
    return typed(pl.DataFrame(columns), STAYS)


def measurements_of(rows: list[tuple[int, int, int, float]]) -> pl.DataFrame:
    schema = with_features(MEASUREMENTS, NAMES)
    columns = {
        "stay_id": [200_000 + stay for stay, *_ in rows],
        "minute": [minute for _, minute, *_ in rows],
        "feature": [NAMES[feature] for *_, feature, _ in rows],
        "value": [value for *_, value in rows],
    }
    types = {"stay_id": pl.Int64, "minute": pl.Int32, "feature": pl.String, "value": pl.Float64}
    return typed(pl.DataFrame(columns, schema=types), schema).sort(list(schema))


@st.composite
def cohorts(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame]:
    patients = draw(st.integers(40, 60))
    subjects = [10_000 + i % patients for i in range(patients + draw(st.integers(0, 10)))]
    labels = [subject % 2 for subject in subjects]
    row = st.tuples(
        st.integers(0, len(subjects) - 1),
        st.integers(0, HOURS * 60 - 1),
        st.integers(0, len(FEATURES) - 1),
        st.floats(0.125, 500, allow_nan=False, width=32),
    )
    return stays_of(subjects, labels), measurements_of(draw(st.lists(row, max_size=300)))


def naive(stays: pl.DataFrame, measurements: pl.DataFrame, dataset: Dataset) -> tuple[np.ndarray, ...]:
    """Return values, observed and last observed by plain pandas, scaled with the dataset's own statistics."""
    frame = pd.DataFrame(measurements.with_columns(pl.col("feature").cast(pl.String)).to_dict(as_series=False))
    shape = (stays.height, HOURS, len(FEATURES))
    values, observed, last = np.zeros(shape), np.zeros(shape, bool), np.full(shape, -1)
    for i, stay in enumerate(stays["stay_id"]):
        for j, feature in enumerate(FEATURES):
            rows = frame[(frame.stay_id == stay) & (frame.feature == feature.name)]
            hourly = rows.groupby(rows.minute // 60)["value"].mean().reindex(range(HOURS))
            filled = hourly.ffill().fillna(feature.measurement.normal)
            values[i, :, j] = (filled - dataset.scaling.mean[j]) / dataset.scaling.std[j]
            observed[i, :, j] = hourly.notna()
            last[i, :, j] = pd.Series(np.where(hourly.notna(), range(HOURS), np.nan)).ffill().fillna(-1)
    return values, observed, last


@given(cohorts())
@settings(max_examples=25, deadline=None)
def test_the_tensors_equal_the_naive_version(cohort: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    stays, measurements = cohort
    dataset = preprocess(stays, measurements, FEATURES, PreprocessSettings(), hours=HOURS)
    values, observed, last = naive(stays, measurements, dataset)
    np.testing.assert_array_equal(dataset.observed, observed)
    np.testing.assert_array_equal(dataset.last_observed, last)
    # pandas sums with compensation and we do not, so means may differ in their last bit before float32.
    np.testing.assert_allclose(dataset.values, values, rtol=1e-5, atol=1e-5)
    assert dataset.values.dtype == np.float32


@given(cohorts())
@settings(max_examples=10, deadline=None)
def test_statistics_come_from_training_patients_alone(cohort: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    stays, measurements = cohort
    dataset = preprocess(stays, measurements, FEATURES, PreprocessSettings(), hours=HOURS)
    training = dataset.samples.filter(pl.col("split") == "train")["stay_id"].implode()
    changed = measurements.with_columns(
        value=pl.when(pl.col("stay_id").is_in(training)).then("value").otherwise(pl.col("value") * 3 + 1)
    )
    assert preprocess(stays, changed, FEATURES, PreprocessSettings(), hours=HOURS).scaling == dataset.scaling


def test_nothing_is_filled_from_the_future() -> None:
    stays = stays_of(list(range(60)), [i % 2 for i in range(60)])
    early = measurements_of([(0, 30, 0, 4.0)])
    late = measurements_of([(0, 30, 0, 4.0), (0, 200, 0, 9.0)])
    a, b = (preprocess(stays, m, FEATURES, PreprocessSettings(), hours=HOURS) for m in (early, late))
    clinical = [d.values[0, :, 0] * d.scaling.std[0] + d.scaling.mean[0] for d in (a, b)]
    np.testing.assert_allclose(clinical[0], [4.0] * 6, rtol=1e-6)
    np.testing.assert_allclose(clinical[1], [4.0, 4.0, 4.0, 9.0, 9.0, 9.0], rtol=1e-6)


def test_a_feature_without_spread_gets_the_catalogues_scale() -> None:
    means = np.full((3, HOURS, 3), np.nan)
    means[0, 0, 0] = 5.0  # once
    means[:, :, 1] = 1.1  # always the same
    scaling = fit_scaling(means, FEATURES)
    for index, feature in enumerate(FEATURES):
        low, high = feature.measurement.physiological
        assert (scaling.mean[index], scaling.std[index]) == (feature.measurement.normal, (high - low) / 6)


SHARES = {"validation_share": 0.15, "test_share": 0.15}


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=50, unique=True), st.integers(1, 10**6), st.integers(0, 99))
def test_added_patients_move_nobody(subjects: list[int], newcomer: int, seed: int) -> None:
    before = patient_splits(np.array(subjects), **SHARES, seed=seed)
    after = patient_splits(np.array([newcomer, *subjects]), **SHARES, seed=seed)
    np.testing.assert_array_equal(after[1:], before)


def test_shares_are_met_and_seeds_differ() -> None:
    subjects = np.arange(20_000)
    split = patient_splits(subjects, **SHARES, seed=0)
    share = np.bincount(split, minlength=3) / len(split)
    np.testing.assert_allclose(share, [0.7, 0.15, 0.15], atol=0.01)
    other = patient_splits(subjects, **SHARES, seed=1)
    assert np.mean(split != other) == pytest.approx(1 - (0.7**2 + 2 * 0.15**2), abs=0.02)


def test_a_patients_stays_fall_together() -> None:
    stays = stays_of([i // 3 for i in range(180)], [(i // 3) % 2 for i in range(180)])
    dataset = preprocess(stays, measurements_of([]), FEATURES, PreprocessSettings(), hours=HOURS)
    assert dataset.samples.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert set(dataset.samples["split"].unique()) == set(SPLITS)


def test_shares_that_leave_no_training_patients_are_refused() -> None:
    with pytest.raises(UserError, match=r"--validation-share.*--test-share"):
        preprocess(
            stays_of(list(range(60)), [i % 2 for i in range(60)]),
            measurements_of([]),
            FEATURES,
            PreprocessSettings(validation_share=0.6, test_share=0.5),
            hours=HOURS,
        )
