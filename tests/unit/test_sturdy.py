"""Susceptibility set against confidence, chance and the gradient; smallest edits: on frames with known answers."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from lstm_adversarial_attack.evaluate.analysis import evaluate
from lstm_adversarial_attack.evaluate.attack_results import best_needed
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS
from lstm_adversarial_attack.evaluate.sturdy import Margins, _by_chance, margins_of, shared_margins
from lstm_adversarial_attack.frames import EXAMPLE_KINDS, FRONTIER
from lstm_adversarial_attack.metrics import average_ranks, patient_median, patient_ratios, patient_shares, spearman
from lstm_adversarial_attack.settings import EvaluateSettings
from unit.test_evaluate import FIRST_SUBJECT, TINY, _singles, plausible_inputs, tiny_inputs


class TestBootstrap:
    def test_ratios_of_sums(self):
        above, below = np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[2.0, 0.0], [2.0, 0.0]])
        one, undefined = patient_ratios(above, below, [1, 2], resamples=100)
        assert one.value == 1
        assert (one.low, one.high) == (0.5, 1.5)
        assert undefined.value is None

    def test_shares_are_ratios_to_ones(self):
        hits = np.random.default_rng(0).random((40, 3)) < 0.3
        who = np.arange(40) // 2
        assert patient_shares(hits, who, resamples=50) == patient_ratios(hits, np.ones((40, 3)), who, resamples=50)

    @given(st.lists(st.integers(-50, 50), min_size=1, max_size=40))
    def test_the_median_is_a_value_with_half_on_either_side(self, values):
        found = patient_median(values, list(range(len(values))), resamples=20)
        assert found.value in values
        assert 2 * sum(value <= found.value for value in values) > len(values)
        assert 2 * sum(value >= found.value for value in values) >= len(values)
        if found.low is not None:
            assert min(values) <= found.low <= found.high <= max(values)

    @pytest.mark.parametrize("patients", [2, 3, 10, 50])
    def test_shares_of_none_and_all_have_the_exact_interval(self, patients):
        nobody, everybody = patient_shares(
            np.column_stack([np.zeros(patients), np.ones(patients)]), np.arange(patients), resamples=20
        )
        high = beta.ppf(0.975, 1, patients)  # Clopper and Pearson's upper end
        assert (nobody.low, nobody.high) == (0, pytest.approx(high))
        assert (everybody.low, everybody.high) == (pytest.approx(1 - high), 1)

    def test_of_one_patient_nothing_is_said(self):
        assert patient_shares(np.ones((3, 1)), [7, 7, 7])[0].low is None

    def test_no_values_have_no_median(self):
        assert patient_median([], []).value is None

    @given(st.lists(st.integers(0, 4), min_size=2, max_size=8))
    def test_ranks_add_up_and_fall_with_the_value(self, values):
        (ranks,) = average_ranks(np.array([values], dtype=float))
        assert ranks.sum() == pytest.approx(len(values) * (len(values) + 1) / 2)
        for i, j in itertools.combinations(range(len(values)), 2):
            assert (ranks[i] < ranks[j]) == (values[i] > values[j])

    def test_spearman(self):
        rising, falling = np.array([[1.0, 2, 3, 4]]), np.array([[8.0, 6, 4, 2]])
        assert spearman(rising, rising**3) == pytest.approx(1)
        assert spearman(rising, falling) == pytest.approx(-1)
        # Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15).
        assert spearman(rising, np.array([[2.0, 1, 4, 3]])) == pytest.approx(0.6)
        assert np.isnan(spearman(rising, np.ones((1, 4))))


class TestMargins:
    def test_distance_in_logits(self):
        assert margins_of(np.array([0.5, 0.9]), 0.5) == pytest.approx([0, math.log(9)])
        assert np.isfinite(margins_of(np.array([0.0, 1.0]), 0.5)).all()

    def test_groups(self):
        margins = Margins(np.array([1.0, 2.0, 4.0]))
        assert margins.group(np.array([0.9, 1.0, 1.9, 2.0, 4.0, 4.1])).tolist() == [-1, 0, 0, 1, 1, -1]

    def test_sizes_that_mirror_confidence_alone_are_equal_or_undefined_at_matched_margin(self):
        """The change grows with the margin, in both directions alike; each direction has ph where the other has not."""
        inputs = plausible_inputs(4000)
        found = inputs.examples.filter("success", pl.col("kind").cast(pl.String) == "sparsest").sort("sample")
        none = {name: getattr(inputs, name).clear() for name in ("perturbations", "singles")}
        inputs = dataclasses.replace(inputs, examples=found, **none)
        group = shared_margins(inputs).group(margins_of(found["clean_probability"].to_numpy(), inputs.threshold))
        group = np.maximum(group, 0)  # what lies outside the groups counts nowhere
        first, second = inputs.feature_names[:2]
        everybody = [(sample, first, 1.0 + g) for sample, g in zip(found["sample"], group, strict=True)]
        apart = [
            (sample, second, 1.0 + g)
            for sample, label, g in zip(found["sample"], found["label"], group, strict=True)
            if (label == 0) == (g <= 1)
        ]
        cells = pl.DataFrame(everybody + apart, schema=["sample", "feature", "size"], orient="row").select(
            pl.col("sample").cast(pl.Int32),
            kind=pl.lit("sparsest", pl.Enum(EXAMPLE_KINDS)),
            hour=pl.lit(3, pl.Int16),
            feature=pl.col("feature").cast(pl.Enum(inputs.feature_names)),
            observed=pl.lit(True),
            delta=pl.col("size").cast(pl.Float32),
            original_clinical=pl.lit(1.0, pl.Float32),
            delta_clinical=pl.col("size").cast(pl.Float32),
        )
        given = dataclasses.replace(inputs, perturbations=cells)
        table = evaluate(given, EvaluateSettings(resamples=20)).tables["susceptibility_sturdy"]
        alike = table.filter(feature=first)["delta_clinical_matched"].to_list()
        assert alike == pytest.approx([2.5, 2.5])  # the mean of 1, 2, 3 and 4 in both directions
        assert table.filter(feature=second)["delta_clinical_matched"].is_null().all()  # no group has both

    def test_a_share_that_mirrors_confidence_alone_is_equal_at_matched_margin(self):
        """Near the threshold one measurement is changed, far from it the other, in both directions alike."""
        inputs = plausible_inputs(4000)
        examples = inputs.examples.filter(pl.col("success"))
        margin = margins_of(examples["clean_probability"].to_numpy(), inputs.threshold)
        near = pl.Series(margin < np.median(margin))
        first, second = inputs.feature_names[:2]
        cells = examples.select("sample", "kind").with_columns(
            hour=pl.lit(3, pl.Int16),
            feature=pl.when(near).then(pl.lit(first)).otherwise(pl.lit(second)).cast(pl.Enum(inputs.feature_names)),
            observed=pl.lit(True),
            delta=pl.lit(1.0, pl.Float32),
            original_clinical=pl.lit(1.0, pl.Float32),
            delta_clinical=pl.lit(1.0, pl.Float32),
        )
        changed = inputs.examples.with_columns(l0=pl.when("success").then(pl.lit(1, pl.Int32)))
        given = dataclasses.replace(inputs, perturbations=cells, examples=changed)
        table = evaluate(given, EvaluateSettings(resamples=20)).tables["susceptibility_sturdy"]
        rows = table.filter(kind="sparsest", feature=first)
        raw, matched = rows["share"].to_list(), rows["share_matched"].to_list()
        assert abs(raw[0] - raw[1]) > 0.1  # the directions differ in confidence ...
        assert abs(matched[0] - matched[1]) < 0.6 * abs(raw[0] - raw[1])  # ... and at matched margin much less


class TestChance:
    @given(
        st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(lambda cells: sum(cells) > 0),
        st.integers(1, 6),
    )
    def test_against_counting_every_choice(self, changeable, cells):
        owners = [measurement for measurement, count in enumerate(changeable) for _ in range(count)]
        if cells > len(owners):
            return
        choices = list(itertools.combinations(owners, cells))
        wanted = [sum(m in choice for choice in choices) / len(choices) for m in range(len(changeable))]
        (found,) = _by_chance(np.array([changeable]), np.array([cells]))
        assert found == pytest.approx(wanted, abs=1e-9)


#: Of survivor 0 potassium turns by 2.0, of survivor 1 potassium by -0.5 and ph by 3.0; of survivor 2 nothing does.
EDITS = {(0, 0): (3, 2.5), (1, 0): (1, -0.5), (1, 1): (2, 3.0)}


class TestSmallestEdits:
    def table(self) -> pl.DataFrame:
        return evaluate(tiny_inputs(singles=_singles(EDITS)), TINY).tables["smallest_edits"]

    def row(self, feature: str, direction: str = "0_to_1") -> dict:
        (row,) = self.table().filter(direction=direction, feature=feature).to_dicts()
        return row

    def test_shares_are_of_all_attacked(self):
        assert self.row("potassium")["share"] == pytest.approx(2 / 3)
        assert self.row("ph")["share"] == pytest.approx(1 / 3)
        assert self.row("any")["share"] == pytest.approx(2 / 3)
        assert self.row("odd<b>")["suffices"] == 0
        assert self.row("any", "1_to_0")["share"] == 0

    def test_an_example_of_one_cell_counts_where_it_is_smaller(self):
        """Sample 0's example changes potassium alone by 2.0 (1.0 mEq/L), less than the 2.5 that was looked for."""
        potassium = self.row("potassium")
        assert potassium["p75_clinical"] == pytest.approx(0.25 + 0.75 * (1.0 - 0.25))  # of 0.25 and 1.0
        assert potassium["median_clinical"] == pytest.approx(1.0)  # the upper of two
        assert potassium["up_share"] == 0.5

    def test_the_page_shows_them(self):
        page = evaluate(tiny_inputs(singles=_singles(EDITS)), TINY).report_html
        assert "a single edit turns 66.7 %" in page
        assert "No single edit was found of: Odd&lt;b&gt;" in page

    def test_without_them_the_page_says_so(self):
        assert "Single edits were not recorded" in evaluate(tiny_inputs(), TINY).report_html


class TestSturdy:
    def rows(self) -> dict[str, dict]:
        table = evaluate(tiny_inputs(singles=_singles(EDITS)), TINY).tables["susceptibility_sturdy"]
        return {row["feature"]: row for row in table.filter(direction="0_to_1", kind="sparsest").to_dicts()}

    def test_ranks_means_and_saliency(self):
        rows = self.rows()
        assert [rows[name]["rank"] for name in ("potassium", "ph", "odd<b>")] == [1, 2, 3]
        assert rows["potassium"]["delta_clinical_mean"] == pytest.approx((1.0 + 0.5) / 2)
        assert [rows[name]["saliency"] for name in ("potassium", "ph", "odd<b>")] == pytest.approx([0.6, 0.3, 0.1])

    def test_chance(self):
        # 4 of 12 cells each: one cell drawn has 1/3; of two, 1 - C(8, 2) / C(12, 2).
        expected = (1 / 3 + 1 - 28 / 66) / 2
        rows = self.rows()
        assert rows["ph"]["share_by_chance"] == pytest.approx(expected)
        assert rows["potassium"]["times_chance"] == pytest.approx(1 / expected)

    def test_too_few_examples_are_not_matched(self):
        rows = self.rows()
        assert rows["ph"]["share_matched"] is None
        assert rows["ph"]["matched_examples"] == 0

    def test_a_rank_is_within_its_interval_or_has_none(self):
        table = evaluate(plausible_inputs(200), EvaluateSettings(resamples=50)).tables["susceptibility_sturdy"]
        never = table.filter(share=0)
        assert never.height
        assert never["rank_low"].is_null().all()
        others = table.filter(pl.col("share") > 0)
        assert (others["rank_low"] <= others["rank"]).mean() > 0.95
        assert (others["rank_high"] >= others["rank"]).mean() > 0.95

    def test_what_was_not_recorded_is_undefined(self):
        table = evaluate(tiny_inputs(), TINY).tables["susceptibility_sturdy"]
        assert table["times_chance"].is_null().all()
        assert table["saliency"].is_null().all()

    def test_agreement_with_itself(self):
        agreement = evaluate(tiny_inputs(singles=_singles(EDITS)), TINY).tables["rank_agreement"]
        found = dict(agreement.filter(direction="0_to_1")["against", "spearman"].rows())
        assert found["first"] == pytest.approx(1)  # all kinds change the same cells here
        assert found["saliency"] == pytest.approx(1)
        assert found["chance"] is None  # all measurements are as likely

    def test_observed_cells(self):
        table = evaluate(tiny_inputs(), TINY).tables["observed_cells"]
        (row,) = table.filter(direction="0_to_1", kind="sparsest").to_dicts()
        assert (row["cells"], row["observed_share"]) == (3, pytest.approx(2 / 3))
        assert row["observed_of_all"] == pytest.approx(2 * 3 / (4 * 3))


class TestBest:
    def test_the_best_of_all_that_was_found(self):
        frontier = pl.DataFrame(
            [(0, 0, 0, 2, 1.5, 0.75, 9.0), (1, 0, 0, 3, 0.6, 0.2, 1.0)], schema=FRONTIER, orient="row"
        )
        inputs = tiny_inputs(frontier=frontier)
        survivors = DIRECTIONS[0]
        assert best_needed(inputs, survivors, "l1")["needed"].to_list() == pytest.approx([1.5, 0.6, np.inf])
        assert best_needed(inputs, survivors, "linf")["needed"].to_list() == pytest.approx([0.75, 0.2, np.inf])
        assert best_needed(inputs, survivors, "cost")["needed"].to_list() == pytest.approx([4.0, 1.0, np.inf])
        assert best_needed(inputs, survivors, "l0")["needed"].to_list() == [1, 2, np.inf]
        curve = evaluate(inputs, TINY).tables["attack_curves"].filter(direction="0_to_1", kind="best", against="linf")
        assert curve["budget", "share"].rows() == [(0, 0), (pytest.approx(0.2), pytest.approx(1 / 3)),
                                                   (0.75, pytest.approx(2 / 3))]  # fmt: skip

    def test_no_kind_is_better_than_the_best(self):
        curves = evaluate(plausible_inputs(), EvaluateSettings(resamples=20)).tables["attack_curves"]
        for against in ("l0", "l1", "linf", "cost"):
            for direction in ("0_to_1", "1_to_0"):
                parts = {
                    kind: curves.filter(direction=direction, against=against, kind=kind)["budget", "share"].to_numpy()
                    for kind in ("best", *EXAMPLE_KINDS)
                }
                for kind in EXAMPLE_KINDS:
                    for budget, share in parts[kind]:
                        reached = parts["best"][parts["best"][:, 0] <= budget + 1e-9][:, 1].max()
                        assert reached >= share - 0.02  # curves are thinned to 200 points

    def test_intervals_hold_the_share(self):
        curves = evaluate(plausible_inputs(), EvaluateSettings(resamples=50)).tables["attack_curves"]
        assert (curves["share_low"] <= curves["share"] + 1e-9).all()
        assert (curves["share_high"] >= curves["share"] - 1e-9).all()
        assert (curves["share_high"] > curves["share_low"]).any()


def test_rows_of_nobody_are_refused() -> None:
    stranger = _singles(EDITS).with_columns(sample=pl.lit(9, pl.Int32), subject_id=pl.lit(FIRST_SUBJECT + 9, pl.Int64))
    with pytest.raises(ValueError, match="rows of singles belong to no attacked sample"):
        tiny_inputs(singles=stranger)
