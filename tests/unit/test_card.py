"""The data card of a small dataset made by hand: numbers, flags, what is not shown, and what is escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_adversarial_attack.artifacts.contents import CohortStep, Extraction, ItemValues, Scaling, StaticColumn
from lstm_adversarial_attack.catalogue import Conversion, Feature, FeatureSet, Limits, load_catalogue
from lstm_adversarial_attack.frames import SAMPLES, SPLITS, typed
from lstm_adversarial_attack.preprocess.card import CardInputs, card_html, drops, feature_cards, warnings
from lstm_adversarial_attack.preprocess.card_cells import CellSummary
from lstm_adversarial_attack.preprocess.card_missing import CLASSES, MOST_COLUMNS, heat_map
from lstm_adversarial_attack.preprocess.card_outcomes import outcomes
from lstm_adversarial_attack.preprocess.card_shown import (
    FEW,
    UNDEFINED,
    accepted_range,
    conversion,
    few,
    few_of,
    few_percent,
    limits,
    number,
    percent,
    withheld,
)
from lstm_adversarial_attack.preprocess.card_splits import NOT_SHOWN, Row, split_groups
from lstm_adversarial_attack.preprocess.card_values import Distribution, bars, differs, distribution, feature_values
from lstm_adversarial_attack.preprocess.static import StaticData
from lstm_adversarial_attack.settings import PreprocessSettings

BUILT_IN = load_catalogue()
PARTS, HOURS, N = 40, 12, 120
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
REFERENCE = PreprocessSettings(imputation="interpolate", scaling="min-max", statistics="all")


def feature(name: str, **changed: Any) -> Feature:
    return Feature(name, msgspec.structs.replace(BUILT_IN.measurements[name], **changed))


POTASSIUM, HEART_RATE, TEMPERATURE, WEIGHT = map(feature, ("potassium", "heart_rate", "temperature", "weight"))
FEATURES = FeatureSet("small", (POTASSIUM, HEART_RATE, TEMPERATURE), ("weight",), (WEIGHT,))


def samples_of(n: int = N, **columns: Any) -> pl.DataFrame:
    """Return samples of a patient each: two thirds for training, every fourth patient dead."""
    usual = {
        "stay_id": np.arange(n) + 212_121,
        "subject_id": np.arange(n) + 31_313,
        "hadm_id": np.arange(n) + 141_414,
        "age_years": np.arange(n) % 60 + 30,
        "sex": ["F" if i % 2 else "M" for i in range(n)],
        "unit": ["MICU" if i % 3 else "CCU" for i in range(n)],
        "charting_system": ["carevue"] * n,
        "los_hours": [72.0] * n,
        "label": [int(i % 4 == 0) for i in range(n)],
        "split": ["train" if i < 2 * n // 3 else SPLITS[1 + i % 2] for i in range(n)],
    }
    return typed(pl.DataFrame({**usual, **columns}), SAMPLES)


def cells_of(observed: np.ndarray[Any, Any], values: np.ndarray[Any, Any] | None = None) -> CellSummary:
    cells = CellSummary(*observed.shape[1:])
    cells.add(np.zeros(observed.shape, np.float32) if values is None else values.astype(np.float32), observed)
    return cells


def measured() -> np.ndarray[Any, Any]:
    """Potassium in hour 0 alone, heart rate always, temperature in three samples."""
    observed = np.zeros((N, HOURS, 3), bool)
    observed[:, 0, 0] = observed[:, :, 1] = True
    observed[:3, 5, 2] = True
    return observed


def item(name: str, which: int | str, spread: dict[int, int], *, rejected: int = 0, table: str = "chartevents") -> Any:
    """Return an item's counts; ``spread`` is by part, 0 below the range and 41 above it."""
    counts = [spread.get(part, 0) for part in range(PARTS + 2)]
    return ItemValues(name, table, which, sum(counts) + rejected, sum(counts), counts)


ITEMS = [
    item("potassium", 50822, {10: 40, 12: 60, 14: 40}, table="labevents"),
    item("potassium", 50971, {10: 40, 13: 60, 14: 40}, table="labevents"),
    item("heart_rate", 211, {0: 7, 11: 200, 12: 200, 13: 2, 41: 3}),
    item("temperature", 678, {25: 3}),
    item("weight", 763, {6: 50}),
]


def inputs(**changed: Any) -> CardInputs:
    extraction = Extraction(
        window_hours=HOURS,
        sample="icu-stay",
        source="mimic-iii",
        cohort_flow=[],
        values={},
        items=ITEMS,
        left_out=["mech_vent"],
        notes=[],
    )
    usual = CardInputs(
        samples=samples_of(),
        features=FEATURES,
        extraction=extraction,
        cohort_flow=[
            CohortStep("all", "ICU stays", 2_345, 2_000, 77),
            CohortStep("adult", "aged 18 years or more", 1_234, 1_100, 50),
            CohortStep("min_measurements", "1 or more values", 1_234, 1_100, 50),
        ],
        settings=PreprocessSettings(),
        scaling=Scaling([4.25, 88.5, 36.7], [0.5, 17.25, 0.6], fill=[4.1, 80.0, 37.0]),
        static=StaticData(
            np.zeros((N, 1), np.float32),
            np.arange(N)[:, None] < 60,
            (StaticColumn("weight", "Weight", "kg", 81.5, 20.25),),
        ),
        cells=cells_of(measured()),
        events_digest="ab" * 32,
    )
    return replace(usual, **changed)


def extraction_of(**changed: Any) -> Extraction:
    return msgspec.structs.replace(inputs().extraction, **changed)


def text_of(html: str) -> str:
    """Return the words of a page in one line."""
    body = re.sub(r"<style>.*?</style>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def rows_of(samples: pl.DataFrame) -> dict[str, Row]:
    return {f"{group.label}/{row.label}": row for group in split_groups(samples) for row in group.rows}


# --- numbers as words


def test_small_counts_are_not_shown() -> None:
    assert [few(n) for n in (0, 1, FEW - 1, FEW, 12_345)] == ["0", "<5", "<5", "5", "12,345"]
    assert few_of(0, 10) == "0"
    assert few_of(3, 1000) == "<5 (<0.5 %)"
    assert few_of(50, 1000) == "50 (5.0 %)"


@given(st.integers(1, 10**7))
def test_a_small_share_is_the_same_for_all_small_counts_and_no_less_than_they_are(whole: int) -> None:
    counts = range(1, min(FEW, whole + 1))
    shown = {few_percent(count, whole) for count in counts}
    assert len(shown) == 1
    bound = float(shown.pop().strip("<% "))
    assert bound == 100 or bound >= 100 * FEW / whole
    assert max(counts) / whole <= bound / 100


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.0001, "<0.1 %"), (0.9999, ">99.9 %"), (0.125, "12.5 %"), (0.5, "50.0 %")],
)
def test_a_share_is_never_rounded_to_nothing_or_all(share: float, shown: str) -> None:
    assert percent(share) == shown


def test_numbers_have_a_minus_sign_and_no_minus_zero() -> None:
    assert number(-1234.56, 1) == f"{MINUS}1,234.6"
    assert number(-0.04, 1) == "0.0"


def test_limits_and_conversions_are_formulas() -> None:
    space = "\N{NO-BREAK SPACE}"
    assert limits(Limits(gt=0, le=300)) == f">{space}0, ≤{space}300"
    assert limits(Limits()) == "any"
    assert conversion(Conversion()) == ""
    assert conversion(Conversion(add=-32, multiply=0.5555555556)) == f"(x {MINUS} 32) {TIMES} 0.555556"
    assert conversion(Conversion(multiply=10)) == f"x {TIMES} 10"
    assert conversion(Conversion(add=3)) == "x + 3"


def test_accepted_ranges_of_all_sources_are_in_the_features_unit() -> None:
    shown = accepted_range(TEMPERATURE.measurement).replace("\N{NO-BREAK SPACE}", " ")
    assert "> 10, < 50" in shown
    assert "< 120" not in shown  # Fahrenheit


# --- what is withheld

TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 12), min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(TABLES)
def test_no_hidden_count_can_be_worked_out_from_its_row_or_column(table: list[list[int]]) -> None:
    patients = np.array(table)
    hidden = withheld(patients)
    assert hidden[(patients > 0) & (patients < FEW)].all()
    for line, counts in (*zip(hidden, patients, strict=True), *zip(hidden.T, patients.T, strict=True)):
        assert line.sum() != 1 or (counts > 0).sum() == 1
    assert not hidden[patients == 0].any()


def test_where_nothing_is_small_all_is_shown() -> None:
    assert not withheld(np.full((3, 3), FEW)).any()


# --- splits


def test_splits_show_samples_and_shares() -> None:
    rows = rows_of(samples_of())
    assert rows["Size/Samples"].cells == ("120", "80", "20", "20")
    assert rows["Outcome/Died in hospital"].cells[:2] == ("30 (25.0 %)", "20 (25.0 %)")
    assert rows["First care unit/CCU"].cells[:2] == ("40 (33.3 %)", "27 (33.8 %)")
    assert rows["Age in years/Median (quartiles)"].cells[0] == "60 (45 to 74)"
    assert rows["Charting system/CareVue"].cells[3] == "20 (100 %)"


def test_patients_not_samples_decide_what_is_small() -> None:
    samples = samples_of(unit=["MICU"] * 110 + ["CSRU"] * 10)
    assert rows_of(samples)["First care unit/CSRU"].cells[0] == "10 (8.3 %)"
    of_one = samples.with_columns(subject_id=pl.when(pl.col("unit") == "CSRU").then(1).otherwise("subject_id"))
    assert rows_of(of_one)["First care unit/CSRU"].cells[0] == "<5"


def test_a_small_cell_hides_as_much_as_keeps_it_from_being_worked_out() -> None:
    units = ["CSRU"] * 3 + ["MICU" if i % 3 else "CCU" for i in range(3, N)]
    rows = {label: row for label, row in rows_of(samples_of(unit=units)).items() if label.startswith("First")}
    assert rows["First care unit/CSRU"].cells == ("<5", "<5", "0", "0")
    assert rows["First care unit/CCU"].cells == (NOT_SHOWN, NOT_SHOWN, "6 (30.0 %)", "7 (35.0 %)")
    assert rows["First care unit/MICU"].cells == ("78 (65.0 %)", "51 (63.7 %)", "14 (70.0 %)", "13 (65.0 %)")
    assert rows["First care unit/CCU"].difference == UNDEFINED


def test_what_is_not_recorded_hides_nothing_else() -> None:
    rows = rows_of(samples_of(sex=[None, "F", *(["M", "F"] * 59)]))
    assert rows["Sex/Not recorded"].cells == ("<5", "<5", "0", "0")
    assert NOT_SHOWN not in rows["Sex/Female"].cells


def test_no_cohort_without_ages_or_units_fails() -> None:
    rows = rows_of(samples_of(age_years=[None] * N, unit=[None] * N, charting_system=[None] * N))
    assert rows["Age in years/Median (quartiles)"].cells == (UNDEFINED,) * 4
    assert rows["First care unit/Not recorded"].cells[0] == "120 (100 %)"


def split_at(n: int) -> list[str]:
    return ["train"] * (n // 2) + ["validation"] * (n // 4) + ["test"] * (n // 4)


@pytest.mark.parametrize(
    ("n", "share", "mark"), [(4000, 0.5, ""), (4000, 0.56, ""), (4000, 0.75, "large"), (80, 0.75, "chance")]
)
def test_a_difference_is_large_where_chance_does_not_explain_it(n: int, share: float, mark: str) -> None:
    test = ["F" if i < share * n // 4 else "M" for i in range(n // 4)]
    row = rows_of(samples_of(n, split=split_at(n), sex=["F", "M"] * (3 * n // 8) + test))["Sex/Female"]
    assert row.mark == mark
    spread = np.sqrt((0.25 + share * (1 - share)) / 2)
    assert row.difference == f"{(share - 0.5) / spread:.2f}"


def test_ages_are_compared_too() -> None:
    n = 400
    ages = [60 + i % 5 for i in range(3 * n // 4)] + [70 + i % 5 for i in range(n // 4)]
    row = rows_of(samples_of(n, split=split_at(n), age_years=ages))["Age in years/Median (quartiles)"]
    assert (row.mark, row.cells[3]) == ("large", "72 (71 to 73)")


# --- missing cells


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_cells_are_summed_up_whatever_the_parts(step: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, observed = rng.normal(size=(9, 5, 3)).astype(np.float32), rng.random((9, 5, 3)) < 0.4
    cells = CellSummary(5, 3)
    for start in range(0, 9, step):
        cells.add(values[start : start + step], observed[start : start + step])
    assert (cells.by_hour == observed.sum(axis=0)).all()
    assert (cells.counts() == observed.sum(axis=1)).all()
    with np.errstate(invalid="ignore"):
        means = np.where(observed, values, 0).sum(axis=1) / observed.sum(axis=1)
    np.testing.assert_allclose(cells.means(), means, rtol=1e-5)


def test_the_heat_map_shows_shares_by_hour() -> None:
    potassium, heart_rate, temperature = heat_map(FEATURES.features, cells_of(measured()), N).rows
    assert [cell.text for cell in potassium.cells[:2]] == ["100", "0"]
    assert (potassium.cells[0].level, potassium.cells[1].level) == (len(CLASSES) + 1, 0)
    assert (potassium.share, potassium.measured) == (1 / HOURS, N)
    assert heart_rate.share == 1
    assert (temperature.cells[5].text, temperature.cells[5].level) == ("<4.2", 1)  # three samples
    assert temperature.measured == 3


@pytest.mark.parametrize(("count", "level"), [(9, 1), (10, 2), (19, 2), (20, 3), (400, 7), (949, 9), (950, 10)])
def test_classes_of_the_heat_map_begin_at_their_lower_end(count: int, level: int) -> None:
    observed = (np.arange(1000) < count)[:, None, None]
    cell = heat_map((POTASSIUM,), cells_of(observed), 1000).rows[0].cells[0]
    assert (cell.level, cell.text) == (level, f"{count / 10:.1f}")


def test_a_long_window_is_shown_in_groups_of_hours() -> None:
    observed = np.zeros((10, 240, 1), bool)
    observed[:, 236:238] = True
    heat = heat_map((POTASSIUM,), cells_of(observed), 10)
    assert len(heat.columns) == MOST_COLUMNS
    assert heat.columns[-1] == "hours 236 to 239"
    assert heat.rows[0].cells[-1].text == "50.0"
    assert sum(width for _, width in heat.headings) == MOST_COLUMNS


# --- values


@given(st.lists(st.floats(1.5, 10), min_size=1, max_size=60), st.sampled_from([0.25, 0.5, 0.75]))
def test_a_quantile_lies_in_the_part_of_a_value_that_cuts_off_the_share(values: list[float], share: float) -> None:
    counts = np.histogram(values, np.linspace(1.5, 10, PARTS + 1))[0]
    found = Distribution(POTASSIUM, np.array([0, *counts, 0])).quantile(share)
    position = (np.sort(values) - 1.5) / (10 - 1.5) * PARTS
    exact = position[max(0, int(np.ceil(share * len(values))) - 1)]
    assert abs(found - exact) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("spread", "median"),
    [
        ({0: 9, 5: 1}, "below 1.5"),
        ({41: 9, 5: 1}, "above 10.0"),
        ({0: 5, 41: 5}, "below 1.5"),
        ({20: 10, 21: 10, 22: 10, 23: 10}, "6.0"),
        ({1: 1, 2: 1}, "1.5 to 1.7"),
        ({}, UNDEFINED),
    ],
)
def test_a_median_is_in_words_where_it_lies_outside(spread: dict[int, int], median: str) -> None:
    assert distribution(POTASSIUM, [item("potassium", 1, spread)]).median() == median


def test_a_median_in_a_crowded_part_is_that_part() -> None:
    wide = feature("creatine_kinase")
    assert distribution(wide, [item("creatine_kinase", 1, {1: 90, 2: 10})]).median() == "5 to 2,505"


def test_bars_of_few_values_have_no_height_and_no_number() -> None:
    found = bars(distribution(POTASSIUM, [item("potassium", 1, {0: 2, 1: 100, 7: 4, 8: 50, 41: 8})]))
    assert [(bar.part, bar.height, bar.inside) for bar in found] == [
        (0, 0.0, False),
        (1, 1.0, True),
        (7, 0.0, True),
        (8, 0.5, True),
        (41, 0.08, False),
    ]
    assert found[0].title == found[2].title == "fewer than 5 values"
    assert found[1].title == "1.50 to 1.71: 61.0 %"
    assert found[4].title == "above 10: 4.9 %"


def reasons(items: list[ItemValues], name: str = "potassium") -> dict[str, tuple[str, ...]]:
    values = {each.feature.name: each for each in feature_values(FEATURES, extraction_of(items=items))}
    return {check.item: check.reasons for check in values[name].items}


@pytest.mark.parametrize(
    ("accepted", "rejected", "flagged"), [(95, 5, False), (94, 6, True), (10, 4, False), (10, 5, True), (0, 9, True)]
)
def test_an_item_is_flagged_for_many_rejected_values(accepted: int, rejected: int, flagged: bool) -> None:
    found = reasons([item("potassium", 50822, {12: accepted}, rejected=rejected, table="labevents")])
    assert found == {
        "50822": (f"{percent(rejected / (accepted + rejected))} of its values rejected",) if flagged else ()
    }


USUAL = {11: 25, 12: 50, 13: 25}


@pytest.mark.parametrize(
    ("spread", "flagged"),
    [
        (USUAL, False),
        ({13: 50}, False),  # nearer than two parts
        ({20: 50}, True),
        ({20: 29}, False),  # too few values to tell
        ({2: 50}, True),
        ({41: 50}, True),
    ],
)
def test_an_item_is_flagged_for_a_median_unlike_the_others(spread: dict[int, int], flagged: bool) -> None:
    other = item("potassium", 50971, {part: 10 * n for part, n in USUAL.items()}, table="labevents")
    found = reasons([item("potassium", 50822, spread, table="labevents"), other])
    assert bool(found["50822"]) is flagged


def test_a_wide_spread_of_the_others_allows_for_a_distance() -> None:
    wide = distribution(POTASSIUM, [item("potassium", 1, dict.fromkeys(range(1, 41), 10))])
    assert not differs(distribution(POTASSIUM, [item("potassium", 2, {36: 50})]), wide)
    assert differs(distribution(POTASSIUM, [item("potassium", 2, {41: 50})]), wide)


def test_an_item_alone_is_flagged_outside_the_physiological_range_only() -> None:
    assert reasons([item("heart_rate", 211, {41: 50})], "heart_rate")["211"] == (
        "median above 230, outside the physiological range",
    )
    assert reasons([item("heart_rate", 211, {39: 50})], "heart_rate")["211"] == ()


def test_items_without_a_value_are_named_apart() -> None:
    values = feature_values(FEATURES, extraction_of(items=[*ITEMS, item("heart_rate", 220045, {})]))
    assert values[1].silent == ("chartevents 220045",)
    assert len(values[1].items) == 1


def test_survivors_and_deaths_are_compared_in_the_training_split_alone() -> None:
    samples = samples_of()
    values = np.zeros((N, HOURS, 3))
    values[:, :, 1] = np.arange(N)[:, None] / 10
    found = outcomes(samples, cells_of(measured(), values), inputs().scaling)
    assert found[2] is None  # measured in three samples
    assert found[1] is not None
    for quartiles, label in zip(found[1], (0, 1), strict=True):
        of_group = [i / 10 * 17.25 + 88.5 for i in range(80) if (i % 4 == 0) == bool(label)]
        expected = np.percentile(of_group, [25, 50, 75])
        np.testing.assert_allclose([quartiles.low, quartiles.median, quartiles.high], expected, rtol=1e-5)


def test_quartiles_need_twenty_patients_not_samples() -> None:
    samples = samples_of()
    assert outcomes(samples, inputs().cells, inputs().scaling)[1] is not None  # 20 deaths
    fewer = samples.with_columns(subject_id=pl.col("subject_id").replace(31_313 + 4, 31_313))
    assert outcomes(fewer, inputs().cells, inputs().scaling)[1] is None


# --- the protocol


def test_an_honest_protocol_has_no_warning() -> None:
    assert warnings(inputs()) == []
    page = text_of(card_html(inputs()))
    assert "Nothing of the future, nothing of the test." in page
    assert "Not an honest protocol" not in page


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"settings": replace(PreprocessSettings(), imputation="interpolate")}, "interpolation, which looks into the"),
        ({"settings": replace(PreprocessSettings(), statistics="all")}, "come from all patients"),
        ({"extraction": extraction_of(sample="admission")}, "depends on values from after the window"),
        ({"samples": samples_of(subject_id=[1, *range(2, N), 1])}, "1 patient stands in more than one split"),
    ],
)
def test_what_is_not_honest_is_warned_of_and_why(changed: dict[str, Any], words: str) -> None:
    found = warnings(inputs(**changed))
    assert len(found) == 1
    assert words in found[0]
    page = text_of(card_html(inputs(**changed)))
    assert "Not an honest protocol" in page
    assert found[0] in page
    assert "Nothing of the future" not in page


def test_the_reference_protocol_is_warned_of_three_times() -> None:
    scaling = Scaling([3.5, 60, 36], [2, 50, 2], "min-max", [0.0] * 3, [1.0] * 3, [4.0, 85, 36.8])
    given = inputs(settings=REFERENCE, extraction=extraction_of(sample="admission"), scaling=scaling)
    assert len(warnings(given)) == 3
    page = text_of(card_html(given))
    assert "5th to 95th percentile 60.0 to 110.0" in page
    assert "Mean 60" not in page


# --- the page


def test_it_shows_the_cohort_flow_with_what_each_rule_left_out() -> None:
    assert [(d.stays, d.patients, d.deaths) for d in drops(inputs().cohort_flow)] == [(1111, 900, 27), (0, 0, 0)]
    page = text_of(card_html(inputs()))
    assert "2,345 stays · 2,000 patients · 77 deaths (3.3 %)" in page
    assert "Left out: 1,111 stays , 900 patients, 27 deaths, because not aged 18 years or more" in page
    assert "No stay left out." in page


def test_it_shows_numbers_of_every_section() -> None:
    page = text_of(card_html(inputs()))
    for words in (
        "120 ICU stays",
        "30 died in hospital (25.0 % of samples)",
        f"3 {TIMES} 12 features {TIMES} hours",
        "sha256 " + "ab" * 32,
        "15.0 % validation, 15.0 % test, seed 0",
        "Heart rate 1/min",
        "Mean 88.5, SD 17.2",
        "More than 1 % of the values outside the physiological range: Heart rate (2.4 %)",
        "Hardly measured, in fewer than 10 % of the samples: Body temperature.",
        "1 feature of the feature set not recorded by the source.",
        "mech_vent",
        "No item is flagged.",
        "Weight kg 81.5 20.2 50.0 % of samples",
        "3 features had neither; they are not listed.",
    ):
        assert words in page, words


def test_a_feature_of_few_samples_gives_away_no_statistics() -> None:
    scaling = Scaling([4.25, 88.5, 36.71], [0.5, 17.25, 0.62], fill=[4.1, 80.0, 36.9])
    html = card_html(inputs(scaling=scaling))
    assert not re.search(r"36\.7|0\.62|36\.9", html)
    assert "measured in fewer than 5 samples" in html
    cards = feature_cards(inputs())
    assert [card.is_rare for card in cards] == [False, False, True, False]


def test_a_scale_of_the_catalogue_is_not_taken_for_measured() -> None:
    low, high = HEART_RATE.measurement.physiological
    scaling = Scaling([4.25, HEART_RATE.measurement.normal, 36.7], [0.5, (high - low) / 6, 0.6], fill=[4.1, 80.0, 37.0])
    page = text_of(card_html(inputs(scaling=scaling)))
    assert "scale: too few measured cells, or all alike" in page
    assert "Measured in too few samples for statistics. Normal 80" in page


def test_flags_stand_at_the_top_and_at_their_item() -> None:
    wrong = [item("potassium", 50822, {30: 100}, table="labevents"), item("heart_rate", 9, {10: 10}, rejected=9)]
    page = text_of(card_html(inputs(extraction=extraction_of(items=[*ITEMS[1:], *wrong]))))
    assert "3 of 6 items flagged in the check of units" in page
    assert "Potassium, labevents 50822: median 7.7 to 7.9 where the other items have 4.0 to 4.3 mEq/L." in page
    assert "Heart rate, chartevents 9: 47.4 % of its values rejected." in page
    assert "⚑ labevents 50822" in page


def test_labels_of_a_users_catalogue_are_text() -> None:
    hostile = "<img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}</style></script>"
    entry = feature("potassium", label=hostile, unit="<b>mEq</b>")
    features = FeatureSet("<i>set</i>", (entry, HEART_RATE, TEMPERATURE), ("weight",), (WEIGHT,))
    notes = extraction_of(source="<u>source</u>", left_out=["<s>left</s>"], notes=["<p>note"])
    html = card_html(inputs(features=features, extraction=notes))
    for tag in ("<img", "<b>mEq", "<i>set", "<u>", "<s>", "<p>note", "</script>", 'onerror=alert(1)>"'):
        assert tag not in html
    assert hostile in unescape(html)
    assert html.count("</style>") == 1
    assert " 49" not in text_of(html.partition("<table")[0])


def test_the_same_inputs_give_the_same_bytes_and_nothing_of_when_and_with_what() -> None:
    html = card_html(inputs())
    assert html == card_html(inputs())
    shuffled = inputs(samples=inputs().samples.clone(), extraction=extraction_of())
    assert card_html(shuffled) == html
    assert not re.search(r"\b20\d\d-\d\d|[Jj]inja|polars|numpy|\d+\.\d+\.\d+", html)


def test_it_holds_no_ids_and_loads_nothing() -> None:
    html = card_html(inputs())
    ids = {str(i) for column in ("stay_id", "subject_id", "hadm_id") for i in inputs().samples[column]}
    assert not ids & set(re.findall(r"\d+", html))
    assert not re.search(r"<script|<link(?! rel=\"icon\" href=\"data:,\")|<img|@import|url\(|https?://", html)


def test_headings_links_and_tables_are_whole() -> None:
    html = card_html(inputs())
    marks = re.findall(r' id="([^"]+)"', html)
    assert len(marks) == len(set(marks))
    for target in re.findall(r'(?:href="#|aria-labelledby=")([\w-]+)"', html):
        assert target in marks
    assert len(re.findall(r"<h1", html)) == 1
    for table in re.findall(r"<table.*?</table>", html, flags=re.S):
        assert 'scope="col"' in table
        assert 'scope="row' in table
    for svg in re.findall(r"<svg[^>]*>", html):
        assert "aria-label=" in svg or "aria-hidden=" in svg


def test_a_dataset_without_values_has_a_card() -> None:
    bare = inputs(
        extraction=extraction_of(items=[], left_out=[]),
        cells=cells_of(np.zeros((N, HOURS, 3), bool)),
        static=StaticData(np.zeros((N, 1), np.float32), np.zeros((N, 1), bool), inputs().static.columns),
    )
    page = text_of(card_html(bare))
    assert "No value was accepted." in page
    assert "nan" not in page.lower().replace("alanin", "")
