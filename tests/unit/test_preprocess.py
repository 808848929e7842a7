"""Tensors from events, against a naive version that goes stay by stay with pandas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from lstm_adversarial_attack.artifacts import Artifact, Identity, write_artifact
from lstm_adversarial_attack.artifacts.contents import CohortStep, Extraction, StaticColumn
from lstm_adversarial_attack.catalogue import Feature, FeatureSet, load_catalogue
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import MEASUREMENTS, SAMPLES, SPLITS, STAYS, typed, with_features
from lstm_adversarial_attack.preprocess.core import Prepared, Tensors, prepare
from lstm_adversarial_attack.preprocess.parallel import in_order
from lstm_adversarial_attack.preprocess.scale import MeasuredCells, fit_scaling
from lstm_adversarial_attack.preprocess.split import patient_splits, split_stays
from lstm_adversarial_attack.preprocess.split_file import WORDS
from lstm_adversarial_attack.preprocess.tensor_file import TensorFile
from lstm_adversarial_attack.settings import PreprocessSettings
from lstm_adversarial_attack.stage import Outcome, carry_out, load_stage
from oracles.preprocess import Column, Naive, naive_preprocess

HOURS = 6
BUILT_IN = load_catalogue()


def _feature(name: str, **changed: Any) -> Feature:
    return Feature(name, msgspec.structs.replace(BUILT_IN.measurements[name], **changed))


#: Two features whose values of an hour are averaged, one whose values add up, and all kinds of static data.
FEATURES = FeatureSet(
    "test",
    (_feature("potassium"), _feature("heart_rate"), _feature("urine_output", hourly="sum")),
    ("age", "sex", "height", "weight", "unit"),
    (_feature("height"), _feature("weight")),
)
WIDTH = len(FEATURES.features)
CLINICAL = PreprocessSettings()
REFERENCE = PreprocessSettings(imputation="interpolate", scaling="min-max", statistics="all")
MIXED = PreprocessSettings(imputation="interpolate", scaling="standard", statistics="train")
BOUNDED = PreprocessSettings(imputation="forward-fill", scaling="min-max", statistics="all")
PROTOCOLS = pytest.mark.parametrize(
    "protocol", [CLINICAL, REFERENCE, MIXED, BOUNDED], ids=["clinical", "reference", "mixed", "bounded"]
)

Row = tuple[int, int, int, float]  # stay, minute, what was recorded, value


def stays_of(subjects: list[int], labels: list[int], **columns: list[Any]) -> pl.DataFrame:
    n = len(subjects)
    usual = {
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
    return typed(pl.DataFrame({**usual, **columns}), STAYS)


def samples_of(n: int, **columns: list[Any]) -> pl.DataFrame:
    """Return `n` samples of a patient each, in the splits by turns."""
    split = pl.Series("split", [SPLITS[i % 3] for i in range(n)], pl.Enum(SPLITS))
    return stays_of(list(range(n)), [i % 2 for i in range(n)], **columns).with_columns(split)


def measurements_of(rows: list[Row]) -> pl.DataFrame:
    schema = with_features(MEASUREMENTS, FEATURES.recorded_names)
    columns = {
        "stay_id": [200_000 + stay for stay, *_ in rows],
        "minute": [minute for _, minute, *_ in rows],
        "feature": [FEATURES.recorded_names[what] for *_, what, _ in rows],
        "value": [value for *_, value in rows],
    }
    types = {"stay_id": pl.Int64, "minute": pl.Int32, "feature": pl.String, "value": pl.Float64}
    return typed(pl.DataFrame(columns, schema=types), schema).sort(list(schema))


def prepared(
    samples: pl.DataFrame, measurements: pl.DataFrame, protocol: PreprocessSettings, stays_at_once: int = 1000
) -> Prepared:
    return prepare(samples, measurements.lazy(), FEATURES, protocol, hours=HOURS, stays_at_once=stays_at_once)


def whole(dataset: Prepared) -> Tensors:
    return dataset.tensors(slice(None))


#: Values whose sums are exact, so that an average has the same bits in whatever order it is summed.
EXACT = st.integers(1, 4000).map(lambda eighths: eighths / 8)
ANY = st.floats(0.125, 500, allow_nan=False)


def rows(stays: int, value: st.SearchStrategy[float] = EXACT, *, before: int = 10, after: int = 10) -> Any:
    """Rows from `before` hours before the window to `after` hours after it, often at the edge of an hour."""
    first, last = -60 * before, 60 * (HOURS + after) - 1
    edges = st.builds(
        lambda hour, side: 60 * hour + side, st.integers(-before, HOURS + after - 1), st.sampled_from([0, 59])
    )
    minute = st.one_of(st.integers(first, last), edges, st.sampled_from([0, 60 * HOURS - 1]))
    row = st.tuples(st.integers(0, stays - 1), minute, st.integers(0, len(FEATURES.recorded) - 1), value)
    return st.lists(row, max_size=60)


@st.composite
def cohorts(draw: st.DrawFn, value: st.SearchStrategy[float] = EXACT) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Samples and measurements, of stays too that are no samples; some features have one value or always the same."""
    n = draw(st.integers(3, 7))
    samples = samples_of(n)
    chosen = draw(st.sets(st.integers(0, n - 1), max_size=2))
    dropped = [200_000 + stay for stay in chosen if stay % 3]  # the first stay, a training one, remains
    drawn = draw(rows(n, value))
    flat = draw(st.sets(st.integers(0, WIDTH - 1), max_size=1))
    drawn = [(stay, minute, what, 4.25 if what in flat else value) for stay, minute, what, value in drawn]
    return samples.filter(~pl.col("stay_id").is_in(dropped)), measurements_of(drawn)


def naive(samples: pl.DataFrame, measurements: pl.DataFrame, protocol: PreprocessSettings) -> Naive:
    frame = pd.DataFrame(measurements.with_columns(pl.col("feature").cast(pl.String)).to_dict(as_series=False))
    everybody = protocol.statistics == "all"
    return naive_preprocess(
        samples["stay_id"].to_list(),
        [everybody or split == "train" for split in samples["split"]],
        frame.astype({"value": float}),
        [
            Column(f.name, f.measurement.normal, *f.measurement.physiological, f.measurement.hourly == "sum")
            for f in FEATURES.features
        ],
        hours=HOURS,
        imputation=protocol.imputation,
        scaling=protocol.scaling,
    )


def assert_same(a: Tensors, b: Tensors) -> None:
    for name in ("values", "observed", "last_observed"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@PROTOCOLS
@given(cohort=cohorts())
@settings(max_examples=60, deadline=None)
def test_the_tensors_equal_the_naive_version_to_the_last_bit(
    cohort: tuple[pl.DataFrame, pl.DataFrame], protocol: PreprocessSettings
) -> None:
    dataset, expected = prepared(*cohort, protocol), naive(*cohort, protocol)
    scaling = dataset.scaling
    assert (scaling.mean, scaling.std, scaling.fill) == (expected.mean, expected.std, expected.fill)
    tensors = whole(dataset)
    np.testing.assert_array_equal(tensors.observed, expected.observed)
    np.testing.assert_array_equal(tensors.last_observed, expected.last_observed)
    np.testing.assert_array_equal(tensors.values, expected.values)
    assert tensors.values.dtype == np.float32
    assert tensors.last_observed.dtype == np.int16


@PROTOCOLS
@given(cohort=cohorts(ANY))
@settings(max_examples=25, deadline=None)
def test_sums_differ_from_the_naive_version_by_rounding_alone(
    cohort: tuple[pl.DataFrame, pl.DataFrame], protocol: PreprocessSettings
) -> None:
    dataset, expected = prepared(*cohort, protocol), naive(*cohort, protocol)
    # pandas sums with compensation and we do not, so a mean of several values may differ in its last bits.
    np.testing.assert_allclose(dataset.scaling.mean, expected.mean, rtol=1e-13)
    np.testing.assert_allclose(dataset.scaling.fill, expected.fill, rtol=1e-13)
    assume(min(expected.std) > 1e-3)  # else those bits are what a feature varies by
    np.testing.assert_allclose(dataset.scaling.std, expected.std, rtol=1e-9)
    np.testing.assert_allclose(whole(dataset).values, expected.values, rtol=1e-6, atol=1e-6)


@PROTOCOLS
@given(cohort=cohorts(ANY), at_once=st.integers(1, 8), size=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_it_does_not_matter_how_many_stays_are_read_or_made_at_once(
    cohort: tuple[pl.DataFrame, pl.DataFrame], at_once: int, size: int, protocol: PreprocessSettings
) -> None:
    whole_at_once, in_parts = prepared(*cohort, protocol), prepared(*cohort, protocol, at_once)
    assert in_parts.scaling == whole_at_once.scaling
    np.testing.assert_array_equal(in_parts.static.values, whole_at_once.static.values)
    n = len(cohort[0])
    parts = [in_parts.tensors(slice(start, start + size)) for start in range(0, n, size)]
    joined = (np.concatenate([getattr(p, name) for p in parts]) for name in ("values", "observed", "last_observed"))
    assert_same(Tensors(*joined), whole(whole_at_once))


@PROTOCOLS
@given(cohort=cohorts())
@settings(max_examples=25, deadline=None)
def test_every_measured_hour_is_one_observed_cell(
    cohort: tuple[pl.DataFrame, pl.DataFrame], protocol: PreprocessSettings
) -> None:
    samples, measurements = cohort
    inside = measurements.filter(
        pl.col("minute").is_between(0, 60 * HOURS - 1),
        pl.col("feature").is_in(list(FEATURES.names)),
        pl.col("stay_id").is_in(samples["stay_id"].implode()),
    )
    cells = inside.select("stay_id", "feature", pl.col("minute") // 60).n_unique() if len(inside) else 0
    tensors = whole(prepared(samples, measurements, protocol))
    assert tensors.observed.sum() == cells
    np.testing.assert_array_equal(tensors.observed, tensors.last_observed == np.arange(HOURS)[None, :, None])


def imputed(samples: pl.DataFrame, measurements: pl.DataFrame) -> tuple[np.ndarray, ...]:
    """Return what clinical tensors show before any statistics: NaN before the first value."""
    return prepared(samples, measurements, CLINICAL).window.imputed(slice(None))


@given(cohort=cohorts(), hour=st.integers(0, HOURS), later=rows(3), keep=st.booleans())
@settings(max_examples=60, deadline=None)
def test_nothing_before_an_hour_depends_on_what_comes_after(
    cohort: tuple[pl.DataFrame, pl.DataFrame], hour: int, later: list[Row], keep: bool
) -> None:
    samples, measurements = cohort
    early = measurements.filter(pl.col("minute") < 60 * hour)
    late = measurements.filter(pl.col("minute") >= 60 * hour).with_columns(pl.col("value") * 3 + 1)
    added = measurements_of([row for row in later if row[1] >= 60 * hour])
    parts = [early, late.head(len(late) // 2), added] if keep else [early, added]
    changed = pl.concat(parts).sort(measurements.columns)
    for before, after in zip(imputed(samples, measurements), imputed(samples, changed), strict=True):
        np.testing.assert_array_equal(before[:, :hour], after[:, :hour])


@given(cohort=cohorts())
@settings(max_examples=25, deadline=None)
def test_rows_outside_the_window_change_nothing_under_clinical(cohort: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    samples, measurements = cohort
    inside = measurements.filter(pl.col("minute").is_between(0, 60 * HOURS - 1))
    with_all, with_inside = prepared(samples, measurements, CLINICAL), prepared(samples, inside, CLINICAL)
    assert with_all.scaling == with_inside.scaling
    assert_same(whole(with_all), whole(with_inside))
    np.testing.assert_array_equal(with_all.static.values, with_inside.static.values)


@pytest.mark.parametrize("protocol", [CLINICAL, MIXED, replace(REFERENCE, statistics="train")])
@given(cohort=cohorts())
@settings(max_examples=25, deadline=None)
def test_statistics_come_from_training_patients_alone(
    cohort: tuple[pl.DataFrame, pl.DataFrame], protocol: PreprocessSettings
) -> None:
    samples, measurements = cohort
    training = samples.filter(pl.col("split") == "train")["stay_id"].implode()
    others = pl.when(pl.col("stay_id").is_in(training)).then("value").otherwise(pl.col("value") * 3 + 1)
    older = pl.when(pl.col("split") == "train").then("age_years").otherwise(pl.col("age_years") + 20)
    before = prepared(samples, measurements, protocol)
    after = prepared(samples.with_columns(age_years=older), measurements.with_columns(value=others), protocol)
    assert after.scaling == before.scaling
    assert after.static.columns == before.static.columns


def test_nothing_is_filled_from_the_future() -> None:
    early, late = [(0, 30, 0, 4.0)], [(0, 30, 0, 4.0), (0, 200, 0, 9.0)]
    a, b = (prepared(samples_of(3), measurements_of(rows), CLINICAL) for rows in (early, late))
    clinical = [whole(d).values[0, :, 0] * d.scaling.std[0] + d.scaling.mean[0] for d in (a, b)]
    np.testing.assert_allclose(clinical[0], [4.0] * 6, rtol=1e-6)
    np.testing.assert_allclose(clinical[1], [4.0, 4.0, 4.0, 9.0, 9.0, 9.0], rtol=1e-6)


def test_interpolation_draws_lines_across_the_edges_of_the_window() -> None:
    far_before, before, inside, after, far_after = (
        (0, -60 * 9, 0, 99.0),
        (0, -60 * 2 + 59, 0, 1.0),
        (0, 60 * 2, 0, 5.0),
        (0, 60 * (HOURS + 4) + 3, 0, 13.0),
        (0, 60 * (HOURS + 5), 0, 99.0),
    )
    dataset = prepared(samples_of(3), measurements_of([far_before, before, inside, after, far_after]), REFERENCE)
    values, observed, _ = dataset.window.imputed(slice(None))
    np.testing.assert_array_equal(values[0, :, 0], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    np.testing.assert_array_equal(observed[0, :, 0], [False, False, True, False, False, False])
    assert np.isnan(values[1:]).all()
    first_and_last = prepared(samples_of(3), measurements_of([(1, 65, 0, 2.0), (1, 190, 0, 6.0)]), REFERENCE)
    np.testing.assert_array_equal(
        first_and_last.window.imputed(slice(1, 2))[0][0, :, 0], [2.0, 2.0, 4.0, 6.0, 6.0, 6.0]
    )


def test_min_max_maps_the_percentiles_of_all_hours_to_0_and_1() -> None:
    measured = [(0, 60 * (hour - 20), 0, float(hour)) for hour in range(101)]
    dataset = prepared(samples_of(3), measurements_of(measured), REFERENCE)
    scaling = dataset.scaling
    assert (scaling.method, scaling.low, scaling.high) == ("min-max", [0.0] * WIDTH, [1.0] * WIDTH)
    assert (scaling.mean[0], scaling.std[0], scaling.fill[0]) == (5.0, 90.0, 50.0)
    np.testing.assert_array_equal(whole(dataset).values[0, :, 0], np.float32((np.arange(20, 26) - 5.0) / 90.0))
    np.testing.assert_array_equal(whole(dataset).values[1, :, 0], np.float32(0.5))
    beyond = prepared(samples_of(3), measurements_of([*measured, (1, 0, 0, 1e4), (2, 0, 0, 0.0)]), REFERENCE)
    assert whole(beyond).values[1, :, 0].tolist() == [1.0] * HOURS
    assert whole(beyond).values[2, :, 0].tolist() == [0.0] * HOURS


def cells_of(*columns: list[float]) -> MeasuredCells:
    cells = MeasuredCells(WIDTH)
    for index, column in enumerate(columns):
        values = np.full((WIDTH, len(column)), np.nan)
        values[index] = column
        cells.add(values)
    return cells


def test_a_feature_without_spread_gets_the_catalogues_scale() -> None:
    cells = cells_of([5.0], [1.1] * 30, [])  # once, always the same, never
    standard, bounded = (fit_scaling(cells, FEATURES.features, protocol) for protocol in (CLINICAL, REFERENCE))
    for index, feature in enumerate(FEATURES.features):
        low, high = feature.measurement.physiological
        assert (standard.mean[index], standard.std[index]) == (feature.measurement.normal, (high - low) / 6)
        assert (bounded.mean[index], bounded.std[index]) == (low, high - low)
    levels = [0.0 if f.measurement.hourly == "sum" else f.measurement.normal for f in FEATURES.features]
    assert standard.fill == levels
    assert bounded.fill == [5.0, 1.1, 0.0]
    assert (standard.low, standard.high) == (None, None)


def test_volumes_of_an_hour_add_up_and_levels_are_averaged() -> None:
    twice = [(0, 10, what, value) for what in (1, 2) for value in (60.0, 80.0)]
    values = prepared(samples_of(3), measurements_of(twice), CLINICAL).window.values
    assert values[0, 0, 1:].tolist() == [70.0, 140.0]


@pytest.mark.parametrize("rows", [[(0, 30, 0, 4.0), (0, 130, 0, 5.0)], [(0, 30, 0, 4.0), (1, 130, 0, 5.0)]])
def test_rows_out_of_order_are_refused(rows: list[Row]) -> None:
    backward = measurements_of(rows).reverse()
    with pytest.raises(ValueError, match="measurements are not ordered"):
        prepared(samples_of(3), backward, CLINICAL)


def test_samples_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="samples are not ordered"):
        prepared(samples_of(3).reverse(), measurements_of([]), CLINICAL)


def test_what_is_done_two_at_a_time_comes_in_order() -> None:
    second_done = Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(10)  # the first item ends after the second
        if item == 1:
            second_done.set()
        if item == 7:
            raise UserError("seven")
        return item

    done = in_order(work, range(9))
    assert [next(done) for _ in range(7)] == list(range(7))
    with pytest.raises(UserError, match="seven"):
        next(done)
    assert list(in_order(work, [])) == []


# Static data


def static_columns(dataset: Prepared) -> dict[str, tuple[StaticColumn, list[float], list[bool]]]:
    static = dataset.static
    return {
        column.name: (column, static.values[:, i].tolist(), static.observed[:, i].tolist())
        for i, column in enumerate(static.columns)
    }


def test_static_data_keep_their_order_and_stay_out_of_the_hours() -> None:
    weighed = [(stay, 5, 4, 70.0 + stay) for stay in range(6)]
    dataset = prepared(samples_of(6), measurements_of(weighed), CLINICAL)
    units = ["unit_ccu", "unit_csru", "unit_micu", "unit_sicu", "unit_tsicu"]
    assert list(static_columns(dataset)) == ["age", "sex", "height", "weight", *units]
    assert not whole(dataset).observed.any()
    assert dataset.static.values.dtype == np.float32


def test_age_is_standardised_by_training_patients() -> None:
    column, values, observed = static_columns(
        prepared(samples_of(6, age_years=[40, 91, 18, 60, None, 70]), measurements_of([]), CLINICAL)
    )["age"]
    assert (column.mean, column.std, column.unit) == (50.0, 10.0, "years")
    np.testing.assert_allclose(values, [-1.0, 4.1, -3.2, 1.0, 0.0, 2.0], rtol=1e-6)
    assert observed == [True, True, True, True, False, True]


def test_ages_that_do_not_vary_are_not_blown_up() -> None:
    column, values, _ = static_columns(prepared(samples_of(3), measurements_of([]), CLINICAL))["age"]
    assert column.std == 15.0
    assert abs(values[0]) < 1


def test_an_unknown_sex_is_0_and_not_observed() -> None:
    _, values, observed = static_columns(
        prepared(samples_of(4, sex=["M", "F", None, "X"]), measurements_of([]), CLINICAL)
    )["sex"]
    assert (values, observed) == ([1.0, 0.0, 0.0, 0.0], [True, True, False, False])


def test_units_are_one_hot_and_strange_ones_not_observed() -> None:
    units = ["CCU", "CSRU", "MICU", "SICU", "TSICU", "NICU", None]
    static = prepared(samples_of(7, unit=units), measurements_of([]), CLINICAL).static
    np.testing.assert_array_equal(static.values[:, 4:], np.eye(7, 5))
    np.testing.assert_array_equal(static.observed[:, 4:], np.arange(7)[:, None] < np.full((1, 5), 5))


def test_weight_is_the_first_value_inside_the_window() -> None:
    weights = [
        (0, -5, 4, 500.0),  # before the window
        (0, 10, 4, 60.0),
        (0, 10, 4, 70.0),  # the same minute: their mean
        (0, 11, 4, 500.0),
        (1, 60 * HOURS - 1, 4, 95.0),
        (2, 60 * HOURS, 4, 500.0),  # after the window
        (3, 0, 4, 85.0),
        (4, 20, 3, 1.8),  # another measurement
    ]
    column, values, observed = static_columns(prepared(samples_of(6), measurements_of(weights), CLINICAL))["weight"]
    assert (column.mean, column.std) == (75.0, 10.0)  # of stays 0 and 3, which are for training
    np.testing.assert_allclose(values, [-1.0, 2.0, 0.0, 1.0, 0.0, 0.0])
    assert observed == [True, True, False, True, False, False]


# Splits

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
    samples, steps = split_stays(stays, CLINICAL)
    assert samples.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert set(samples["split"].unique()) == set(SPLITS)
    assert samples.schema == pl.Schema(SAMPLES)
    assert steps == []


def test_shares_that_leave_no_training_patients_are_refused() -> None:
    stays = stays_of(list(range(60)), [i % 2 for i in range(60)])
    with pytest.raises(UserError, match=r"--validation-share.*--test-share"):
        split_stays(stays, PreprocessSettings(validation_share=0.6, test_share=0.5))


@pytest.mark.parametrize("labels", [[0] * 60, [1] * 60])
def test_a_split_without_one_class_is_refused(labels: list[int]) -> None:
    with pytest.raises(UserError, match=r"lacks one class; give a larger source, or other shares or another --seed"):
        split_stays(stays_of(list(range(60)), labels), CLINICAL)


def test_fewer_patients_than_splits_are_refused() -> None:
    with pytest.raises(UserError, match="2 patients cannot be split into 3 parts"):
        split_stays(stays_of([1, 1, 2], [0, 1, 0]), CLINICAL)


#: Twelve stays of twelve patients, with ids that end alike.
STAYS_TO_SPLIT = stays_of(list(range(12)), [i // 2 % 2 for i in range(12)])
WORD = ("train", "validation", "test")


def split_by_file(path: Path, content: str | bytes, stays: pl.DataFrame = STAYS_TO_SPLIT) -> Any:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return split_stays(stays, PreprocessSettings(split_file=str(path)))


def lines_of(samples: range | list[int] = range(12), **changed: str) -> str:
    """Return a split file by stay_id; `changed` are whole lines by their number, as `line_5`."""
    lines = ["stay_id,split", *(f"{200_000 + i},{WORD[i % 3]}" for i in samples)]
    for name, line in changed.items():
        lines[int(name.removeprefix("line_")) - 1] = line
    return "\n".join([*lines, ""])


@pytest.mark.parametrize(
    ("key", "base"), [("stay_id", 200_000), ("ICUSTAY_ID", 200_000), ("hadm_id", 100_000), ("subject_id", 0)]
)
def test_a_split_file_names_samples_by_any_key(tmp_path: Path, key: str, base: int) -> None:
    kept = [i for i in range(12) if i not in (4, 5)]
    lines = [f"{i},{base + i},{('train', 'val', ' Test ')[i % 3]}" for i in kept]
    samples, (step,) = split_by_file(tmp_path / "split.csv", "\r\n".join([f'row,"{key}",Split', *lines, ""]))
    assert samples["stay_id"].to_list() == [200_000 + i for i in kept]
    assert samples["split"].to_list() == [WORD[i % 3] for i in kept]
    assert samples.schema == pl.Schema(SAMPLES)
    assert step == CohortStep("split_file", "named in the split file", 10, 10, 6)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_for_a_split_is_known(tmp_path: Path, word: str) -> None:
    samples, _ = split_by_file(tmp_path / "split.csv", lines_of(line_2=f"200000,{word.upper()}"))
    assert samples["split"][0] == WORDS[word]


def test_the_most_exact_key_counts(tmp_path: Path) -> None:
    lines = [f"7,{i},{200_000 + i},{WORD[i % 3]}" for i in range(12)]
    samples, _ = split_by_file(tmp_path / "split.csv", "\n".join(["hadm_id,subject_id,stay_id,split", *lines]))
    assert len(samples) == 12


def test_lines_that_say_the_same_twice_or_nothing_are_taken(tmp_path: Path) -> None:
    content = "\n" + lines_of() + "\n,\n" + "200000,train\n999999,test\n"
    samples, _ = split_by_file(tmp_path / "split.csv", content)
    assert len(samples) == 12


BAD = {
    "no header": ("200000,train\n", "needs a header with the column split"),
    "no split": ("stay_id,part\n200000,train\n", "needs a header with the column split and one of stay_id, icustay_id"),
    "no key": ("sample,split\n200000,train\n", "needs a header"),
    "another separator": ("stay_id;split\n200000;train\n", "needs a header"),
    "empty": ("", "not a CSV file"),
    "binary": (b"stay_id,split\n20000\xff,train\n", "not a CSV file in UTF-8"),
    "longer lines": (lines_of(line_4="200002,test,200002"), "as many fields in each line"),
    "unknown word": (
        lines_of(line_6="200004,holdout"),
        "line 6: a split is one of train, validation, test, val, valid",
    ),
    "no word": (lines_of(line_6="200004"), "line 6: a split is one of"),
    "blank lines count": ("\n\n" + lines_of(line_3="\n200004,holdout"), "line 6: a split"),
    "no number": (lines_of(line_3="2000.5,test"), "line 3: no whole number as stay_id"),
    "twice": (lines_of(line_9="200000,validation"), "lines 2 and 9 put the same stay_id into two splits"),
    "nobody": (lines_of([900, 901]), "names none of the 12 samples by their stay_id"),
    "one class": (lines_of([0, 1, 2, 4, 5, 7, 8, 10, 11]), "lacks one class; give another split file"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_a_wrong_split_file_is_told_in_one_line_without_ids(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        split_by_file(tmp_path / "split.csv", content)
    said = str(caught.value).replace(str(tmp_path), "")
    assert message in said
    assert "\n" not in said
    assert "2000" not in said


def test_a_split_file_with_a_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    subjects = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 10, 4]  # stays 4 (validation) and 11 (test) are of one patient
    stays = STAYS_TO_SPLIT.with_columns(subject_id=pl.Series(subjects))
    with pytest.raises(UserError, match="lines 6 and 13 put the same patient into two splits; give each patient one"):
        split_by_file(tmp_path / "split.csv", lines_of(), stays)


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_split_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    given_file = PreprocessSettings(split_file=str(tmp_path / name))
    with pytest.raises(UserError, match=r"split file .*: cannot be read \("):
        split_stays(STAYS_TO_SPLIT, given_file)
    with pytest.raises(UserError, match=r"split file .*: cannot be read \("):
        load_stage("preprocess").identity(given_file)


# The artifact


def test_tensors_written_in_parts_are_what_the_library_writes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {
        "values": rng.random((5, 3, 2)).astype(np.float32),
        "observed": rng.random((5, 3, 2)) < 0.5,
        "last_observed": rng.integers(-1, 3, (5, 3, 2)).astype(np.int16),
        "static": rng.random((5, 1)).astype(np.float32),
        "static_observed": rng.random((5, 1)) < 0.5,
    }
    path = tmp_path / "tensors.safetensors"
    with TensorFile(path, {name: (array.dtype, array.shape) for name, array in tensors.items()}) as file:
        for name, array in tensors.items():
            for start in (4, 0, 2):
                file.write(name, start, array[start : start + 2])
    assert path.read_bytes() == save(tensors)


def write_events(out: Path, features: FeatureSet) -> None:
    """Write an events artifact of 60 patients, whose values lie in and around the window."""
    rng = np.random.default_rng(0)
    drawn = [
        (i // 10, int(rng.integers(-600, 900)), what, float(rng.integers(1, 900)) / 8)
        for i in range(600)
        for what in range(len(features.recorded))
    ]
    measurements = measurements_of(drawn).cast({"feature": pl.String})
    schema = with_features(MEASUREMENTS, features.recorded_names)
    identity = Identity(kind="events", settings={}, seed=None, inputs={})
    with write_artifact(out, identity, stage="extract") as draft:
        draft.write_frame("stays.parquet", stays_of(list(range(60)), [i % 2 for i in range(60)]), STAYS)
        draft.write_frame("measurements.parquet", typed(measurements, schema).sort(list(schema)), schema)
        draft.write_json("features.json", features)
        flow = [CohortStep("all", "ICU stays", 60, 60, 30)]
        draft.write_json("extraction.json", Extraction(HOURS, "icu-stay", "mimic-iii", flow, {}, [], []))


@pytest.fixture
def run_stage(tmp_path: Path) -> Callable[..., Outcome]:
    def run(features: FeatureSet = FEATURES, **chosen: Any) -> Outcome:
        events = tmp_path / "events"
        if not events.exists():
            write_events(events, features)
        protocol = PreprocessSettings(**chosen)
        return carry_out(
            load_stage("preprocess"), settings=protocol, inputs={"events": events}, out=tmp_path / "dataset"
        )

    return run


def events_of(artifact: Artifact) -> pl.DataFrame:
    return pl.read_parquet(artifact.path.parent / "events" / "measurements.parquet")


@pytest.mark.parametrize("protocol", [CLINICAL, REFERENCE])
def test_the_dataset_holds_what_was_prepared(run_stage: Callable[..., Outcome], protocol: PreprocessSettings) -> None:
    artifact = run_stage(**msgspec.to_builtins(protocol)).artifact
    samples = artifact.frame("samples.parquet", SAMPLES)
    expected = prepared(samples, events_of(artifact), protocol)
    found = load_file(artifact.file("tensors.safetensors"))
    for name in ("values", "observed", "last_observed"):
        np.testing.assert_array_equal(found[name], getattr(whole(expected), name))
    np.testing.assert_array_equal(found["static"], expected.static.values)
    np.testing.assert_array_equal(found["static_observed"], expected.static.observed)
    loaded = load_dataset(artifact, torch.device("cpu"))
    assert loaded.scaling == expected.scaling
    assert loaded.static_columns == expected.static.columns
    some = loaded.tensors[loaded.of_split("test")]
    assert some.static.shape == some.static_observed.shape == (len(some), len(expected.static.columns))


def test_a_dataset_without_static_data_has_none_of_their_files(run_stage: Callable[..., Outcome]) -> None:
    plain = FeatureSet("plain", FEATURES.features)
    artifact = run_stage(plain).artifact
    assert sorted(load_file(artifact.file("tensors.safetensors"))) == ["last_observed", "observed", "values"]
    assert "static.json" not in artifact.manifest.files
    loaded = load_dataset(artifact, torch.device("cpu"))
    assert (loaded.tensors.static.shape, loaded.tensors.static_observed.dtype) == ((60, 0), torch.bool)
    assert loaded.static_columns == ()
    assert loaded.tensors[torch.tensor([3, 5])].static.shape == (2, 0)


def test_a_dataset_is_known_by_the_content_of_its_split_file(run_stage: Callable[..., Outcome], tmp_path: Path) -> None:
    named = "\n".join(["subject_id,split", *(f"{i},{WORD[i // 2 % 3]}" for i in range(59)), ""])
    (tmp_path / "split.csv").write_text(named)
    first = run_stage(split_file=str(tmp_path / "split.csv")).artifact
    assert first.json("cohort_flow.json", list[CohortStep])[-1] == CohortStep(
        "split_file", "named in the split file", 59, 59, 29
    )
    assert "split.csv" not in (first.path / "manifest.json").read_text()
    (tmp_path / "split.csv").rename(tmp_path / "elsewhere.csv")
    assert run_stage(split_file=str(tmp_path / "elsewhere.csv")).up_to_date
    (tmp_path / "elsewhere.csv").write_text(named.replace("0,train", "0,test", 1))
    second = run_stage(split_file=str(tmp_path / "elsewhere.csv"))
    assert not second.up_to_date
    assert second.artifact.digest != first.digest


def test_measurements_of_other_features_are_refused(run_stage: Callable[..., Outcome], tmp_path: Path) -> None:
    run_stage()
    fewer = FeatureSet("fewer", FEATURES.features[:2])
    identity = Identity(kind="events", settings={}, seed=None, inputs={})
    with write_artifact(tmp_path / "wrong", identity, stage="extract") as draft:
        for name in ("stays.parquet", "measurements.parquet", "extraction.json"):
            (draft.path / name).write_bytes((tmp_path / "events" / name).read_bytes())
        draft.write_json("features.json", fewer)
    with pytest.raises(UserError, match=r"measurements.parquet: not the table expected: feature is"):
        carry_out(
            load_stage("preprocess"),
            settings=CLINICAL,
            inputs={"events": tmp_path / "wrong"},
            out=tmp_path / "dataset2",
        )
