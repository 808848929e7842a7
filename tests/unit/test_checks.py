"""Other attacks and transfer beside an attack, on frames with known answers."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from lstm_adversarial_attack.evaluate.analysis import Evaluation, evaluate
from lstm_adversarial_attack.evaluate.checks import model_name
from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs, OtherAttack, Transfer
from lstm_adversarial_attack.frames import EXAMPLE_KINDS, EXAMPLES, PERTURBATIONS, TRANSFERS, with_features
from unit.test_evaluate import FEATURES, FIRST_SUBJECT, TINY, _changed, _example, tiny_inputs

#: Another attack on survivors 0 to 2, of which this one turns 0 by one cell, 1 by two and 2 not at all.
OTHER = {0: [(3, 0, 1.0), (1, 0, 1.0)], 1: [(3, 0, -3.0)], 2: [(0, 2, 4.0)]}


def other(found: dict, *, same_model: bool = True, name: str = "method random", threat: str = "charted") -> OtherAttack:
    examples = [_example(sample, 0, kind, cells) for sample, cells in found.items() for kind in EXAMPLE_KINDS]
    cells = [_changed(s, kind, *cell) for s, cells in found.items() for kind in EXAMPLE_KINDS for cell in cells or []]
    schema = with_features(PERTURBATIONS, tuple(feature.name for feature in FEATURES))
    return OtherAttack(
        name, same_model, threat, pl.DataFrame(examples, schema=EXAMPLES), pl.DataFrame(cells, schema=schema)
    )


def with_others(*others: OtherAttack, transfers: tuple[Transfer, ...] = ()) -> Evaluation:
    inputs: EvaluationInputs = dataclasses.replace(tiny_inputs(), others=others, transfers=transfers)
    return evaluate(inputs, TINY)


class TestOtherAttacks:
    def test_beside_this_one_on_the_same_samples(self):
        (row,) = with_others(other(OTHER)).tables["other_attacks"].to_dicts()
        assert (row["direction"], row["attack"], row["samples"]) == ("0_to_1", "method random", 3)
        assert (row["success"], row["this_success"]) == (1, pytest.approx(2 / 3))
        assert row["sparser"] == pytest.approx(2 / 3)  # of 1 (one cell against two) and 2 (one against none found)
        assert row["this_sparser"] == pytest.approx(1 / 3)
        assert (row["l0_median"], row["this_l0_median"]) == (1, 2)
        assert (row["l1_median"], row["this_l1_median"]) == (3, 2)
        assert row["evaluations"] == pytest.approx(100 + 7 / 3)

    def test_only_samples_of_both_count(self):
        (row,) = with_others(other({1: OTHER[1]})).tables["other_attacks"].to_dicts()
        assert (row["samples"], row["this_success"], row["sparser"]) == (1, 1, 1)

    def test_of_another_model_nothing_is_paired(self):
        (row,) = with_others(other({1: OTHER[1]}, same_model=False)).tables["other_attacks"].to_dicts()
        assert row["sparser"] is None
        assert row["this_success"] == pytest.approx(2 / 3)  # over this attack's own samples

    def test_curves_are_over_the_samples_of_all(self):
        curves = with_others(other(OTHER), other({0: OTHER[0], 1: None}, name="steps 2")).tables["other_attack_curves"]
        points = {name: part["budget", "share"].rows() for (name,), part in curves.group_by("attack")}
        assert points["this attack"] == [(0, 0), (1, 0.5), (2, 1)]  # of samples 0 and 1
        assert points["method random"] == [(0, 0), (1, 0.5), (2, 1)]
        assert points["steps 2"] == [(0, 0), (2, 0.5)]

    def test_an_attack_on_none_of_the_samples_leaves_the_curves_of_the_others(self):
        curves = with_others(other(OTHER), other({4: [(1, 1, 1.0)]}, name="steps 2")).tables["other_attack_curves"]
        assert set(curves.filter(direction="0_to_1")["attack"]) == {"this attack", "method random"}

    def test_another_threat_model_is_in_the_table_and_not_in_the_curves(self):
        evaluation = with_others(other(OTHER, threat="grid", name="threat grid"))
        assert evaluation.tables["other_attack_curves"].height == 0
        assert evaluation.tables["other_attacks"]["attack"].to_list() == ["threat grid"]

    def test_ranks_are_compared_over_what_both_turned(self):
        """Both change potassium in 0 and 1; this attack also changes ph in 1: shares 1, 1/2, 0 against 1, 0, 0."""
        agreement = with_others(other(OTHER)).tables["rank_agreement"].filter(against="method random")
        (row,) = agreement.to_dicts()
        assert row["examples"] == 2
        # Ranks 1, 2, 3 against 1, 2.5, 2.5.
        assert row["spearman"] == pytest.approx(1.5 / 3**0.5)

    def test_the_page_shows_them(self):
        page = with_others(other(OTHER)).report_html
        assert "0 → 1, method random" in page
        assert 'id="chart-others-0_to_1"' in page

    def test_without_them_the_page_says_how(self):
        page = evaluate(tiny_inputs(), TINY).report_html
        assert "No other attack was given" in page
        assert "lstm-aa check-attack" in page


class TestTransfer:
    def rows(self, *rows: tuple[int, int, float, float]) -> pl.DataFrame:
        """Rows of the sparsest examples: sample, label, probability clean and perturbed."""
        made = [(s, FIRST_SUBJECT + s, label, label, "sparsest", clean, turned) for s, label, clean, turned in rows]
        return pl.DataFrame(made, schema=TRANSFERS, orient="row")

    def test_of_those_called_right(self):
        rows = self.rows((0, 0, 0.1, 0.7), (1, 0, 0.2, 0.3), (2, 0, 0.9, 0.95), (4, 1, 0.8, 0.2))
        table = with_others(transfers=(Transfer("this model", "model with seed 1", 0.6, rows),)).tables["transfer"]
        found = {row["direction"]: row for row in table.to_dicts()}
        assert (found["0_to_1"]["examples"], found["0_to_1"]["turned"]) == (2, 0.5)  # 2 is called dead unperturbed
        assert (found["1_to_0"]["examples"], found["1_to_0"]["turned"]) == (1, 1)


def test_models_are_named_by_what_sets_them_apart() -> None:
    this = {"seed": 0, "layers": 1, "bidirectional": True, "resamples": 10}
    assert model_name(this, {**this, "seed": 3}) == "model with seed 3"
    assert model_name(this, {**this, "resamples": 99}) == "this model"
    other = {**this, "seed": 1, "layers": 2, "bidirectional": False}
    assert model_name(this, other) == "model with seed 1, layers 2, bidirectional no"
    assert model_name(this, {**other, "hidden_units": 9}) == "model of 4 other settings"


class TestGate:
    @pytest.mark.parametrize(
        ("limits", "reason"),
        [
            (
                {"gate_cells": 1, "max_turned": 0.3},
                "1 changed cell or fewer is 0.333, above max_turned 0.300",
            ),
            (
                {"gate_cells": 2, "max_turned": 0.5},
                "2 changed cells or fewer is 0.667, above max_turned 0.500",
            ),
            ({"max_calibration_error": 0.1}, "is 0.108, above max_calibration_error 0.100"),
        ],
    )
    def test_each_threshold_can_fail(self, limits: dict, reason: str):
        gate = evaluate(tiny_inputs(), dataclasses.replace(TINY, **limits)).gate
        assert not gate.passed
        assert any(reason in given for given in gate.reasons), gate.reasons

    def test_at_the_limit_it_passes(self):
        gate = evaluate(tiny_inputs(), dataclasses.replace(TINY, gate_cells=1, max_turned=0.34)).gate
        assert gate.passed
        assert [criterion.name for criterion in gate.criteria] == ["min_auroc", "max_calibration_error", "max_turned"]

    def test_where_nothing_was_attacked_robustness_is_not_known(self):
        inputs = tiny_inputs()
        nothing = dataclasses.replace(
            inputs, examples=inputs.examples.clear(), perturbations=inputs.perturbations.clear()
        )
        asked = evaluate(nothing, dataclasses.replace(TINY, max_turned=0.5)).gate
        assert any("turned by 1 changed cell or fewer is undefined" in reason for reason in asked.reasons)
        assert evaluate(nothing, TINY).gate.passed  # nothing was asked
