"""Which examples the report shows one by one, and how their series come about."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import plotly.offline
import polars as pl
import pytest
from safetensors.numpy import save_file

from lstm_adversarial_attack.artifacts import Artifact, Identity, open_artifact, write_artifact
from lstm_adversarial_attack.artifacts.contents import Access, DataSource, Scaling
from lstm_adversarial_attack.evaluate.analysis import EvaluationInputs, evaluate
from lstm_adversarial_attack.evaluate.explorer import Explorer, chosen_samples, explorer_of
from lstm_adversarial_attack.evaluate.shown_samples import perturbed
from lstm_adversarial_attack.extract.access import access_of
from lstm_adversarial_attack.frames import EDITS, EXAMPLE_KINDS, EXAMPLES, with_features
from lstm_adversarial_attack.settings import EvaluateSettings
from unit.test_evaluate import HOURS, tiny_inputs


def turned(label: int, cells: list[int | None]) -> pl.DataFrame:
    """Return attacked samples of one direction, numbered from 100 * label, with what each took."""
    rows = [
        {"sample": 100 * label + at, "label": label, "kind": "sparsest", "success": l0 is not None, "l0": l0}
        for at, l0 in enumerate(cells)
    ]
    schema = {name: EXAMPLES[name] for name in ("sample", "label", "kind", "success", "l0")}
    return pl.DataFrame(rows, schema=schema)


class TestChosen:
    def test_from_the_fewest_cells_to_the_most(self):
        examples = pl.concat([turned(0, [5, 1, None, 9, 3, 7]), turned(1, [2, 1, 4])])
        assert chosen_samples(examples, 6) == [1, 0, 3, 101, 100, 102]

    def test_each_direction_has_half_and_the_first_the_odd_one(self):
        examples = pl.concat([turned(0, list(range(1, 9))), turned(1, list(range(1, 9)))])
        assert [sample < 100 for sample in chosen_samples(examples, 5)] == [True] * 3 + [False] * 2

    @pytest.mark.parametrize(("survivors", "deaths"), [(1, 9), (9, 1), (0, 9), (9, 0)])
    def test_what_one_direction_lacks_the_other_has(self, survivors, deaths):
        examples = pl.concat([turned(0, list(range(survivors))), turned(1, list(range(deaths)))])
        assert len(chosen_samples(examples, 6)) == 6
        assert len(set(chosen_samples(examples, 100))) == survivors + deaths

    def test_none_where_nothing_was_turned(self):
        assert chosen_samples(turned(0, [None, None]), 6) == []


class TestPerturbed:
    VALUES = np.zeros((5, 3), dtype=np.float32)
    #: The first is measured in hours 1 and 3, the second never, the third is a volume measured in hours 1 and 3.
    OBSERVED = np.array([[False, False, False], [True, False, True]] * 2 + [[False] * 3])
    VOLUMES = np.array([False, False, True])

    def test_a_change_goes_on_until_the_next_measured_hour(self):
        change = np.zeros_like(self.VALUES)
        change[1, 0] = 2.0
        after = perturbed(self.VALUES, self.OBSERVED, change, carried=True, volumes=self.VOLUMES)
        assert after[:, 0].tolist() == [0, 2, 2, 0, 0]
        assert not after[:, 1:].any()

    def test_the_last_change_goes_on_to_the_end(self):
        change = np.zeros_like(self.VALUES)
        change[3, 0] = -1.5
        after = perturbed(self.VALUES, self.OBSERVED, change, carried=True, volumes=self.VOLUMES)
        assert after[:, 0].tolist() == [0, 0, 0, -1.5, -1.5]

    def test_a_volume_changes_in_its_hour_alone(self):
        change = np.zeros_like(self.VALUES)
        change[1, 2] = 2.0
        after = perturbed(self.VALUES, self.OBSERVED, change, carried=True, volumes=self.VOLUMES)
        assert after[:, 2].tolist() == [0, 2, 0, 0, 0]

    def test_cells_of_the_grid_change_by_themselves(self):
        change = np.zeros_like(self.VALUES)
        change[0, 1], change[1, 0] = 1.0, 2.0
        after = perturbed(self.VALUES, self.OBSERVED, change, carried=False, volumes=self.VOLUMES)
        assert np.array_equal(after, change)


def artifacts_of(inputs: EvaluationInputs, folder: Path, access: Access | None) -> tuple[Artifact, Artifact]:
    """Write a dataset and examples with what the explorer reads of them; values rise by 0.5 an hour and measurement."""
    shape = (len(inputs.samples), inputs.hours, len(inputs.features))
    values = np.broadcast_to(np.arange(inputs.hours * shape[2]).reshape(shape[1:]) / 2, shape)
    observed = np.zeros(shape, dtype=np.bool_)
    observed[:, 1:] = True
    dataset, examples = (Identity(kind=kind, settings={}, seed=0, inputs={}) for kind in ("dataset", "examples"))
    with write_artifact(folder / "dataset", dataset, stage="preprocess") as draft:
        tensors = {"values": np.ascontiguousarray(values, dtype=np.float32), "observed": observed}
        save_file(tensors, draft.path / "tensors.safetensors")
        draft.write_json("scaling.json", Scaling([10.0] * shape[2], inputs.feature_stds.tolist()))
        if access:
            draft.write_json("source.json", DataSource("somewhere", access))
    schema = with_features(EDITS, inputs.feature_names)
    edits = pl.DataFrame([(1, "sparsest", 185, "potassium", 4.0, 5.5, None)], schema=schema, orient="row")
    with write_artifact(folder / "examples", examples, stage="attack") as draft:
        draft.write_frame("edits.parquet", edits, schema)
    return open_artifact(folder / "dataset", "dataset"), open_artifact(folder / "examples", "examples")


def explored(
    folder: Path, access: Access | None, inputs: EvaluationInputs | None = None, **settings: object
) -> tuple[Explorer | None, list[str]]:
    inputs, heard = inputs or tiny_inputs(), []
    dataset, examples = artifacts_of(inputs, folder, access)
    return explorer_of(dataset, examples, inputs, EvaluateSettings(**settings), heard.append), heard


class TestWhoIsShown:
    @pytest.mark.parametrize("access", ["synthetic", "open"])
    def test_open_data_are_shown_without_a_word(self, tmp_path, access):
        found, heard = explored(tmp_path, access)
        assert found is not None
        assert found.access == access
        assert heard == []

    @pytest.mark.parametrize("access", ["unknown", None])
    def test_other_data_are_not_shown_unless_asked_for(self, tmp_path, access):
        found, heard = explored(tmp_path, access)
        assert found is None
        assert ["--explorer on" in words for words in heard] == [True]

    @pytest.mark.parametrize("access", ["unknown", None])
    def test_asked_for_they_are_shown_with_a_warning(self, tmp_path, access):
        found, heard = explored(tmp_path, access, explorer="on")
        assert found is not None
        assert found.access == "unknown"
        assert ["single patients" in words for words in heard] == [True]
        page = evaluate(tiny_inputs(), EvaluateSettings(resamples=5), explorer=found).report_html
        assert "hourly series of single patients, of data that are not known to be open" in page
        assert "odd<b>" not in page.lower().replace(plotly.offline.get_plotlyjs().lower(), "")

    @pytest.mark.parametrize("access", ["synthetic", "open", "unknown"])
    def test_off_shows_nobody(self, tmp_path, access):
        assert explored(tmp_path, access, explorer="off") == (None, [])

    def test_a_page_without_them_says_nothing_of_them(self):
        page = evaluate(tiny_inputs(), EvaluateSettings(resamples=5)).report_html
        assert 'id="explorer"' not in page
        assert "no rows of single patients" in page


class TestShown:
    def test_series_are_in_clinical_units(self, tmp_path):
        found, _ = explored(tmp_path, "open")
        assert [label for label, _ in found.measurements] == ["Potassium", "Ph", "Odd<b>"]
        potassium = found.samples[0].series[0]
        # 10 mEq/L and 0.5 for each of 0, 1.5, 3 and 4.5 standard deviations.
        assert potassium == [10.0, 1, 10.75, 1, 11.5, 1, 12.25, 1]
        assert found.samples[0].observed[0] == "0" + "1" * (HOURS - 1)

    def test_charted_values_stand_as_they_were_edited(self, tmp_path):
        found, _ = explored(tmp_path, "open")
        edits = [edit for sample in found.samples for edit in sample.of_kind("sparsest").edits]
        assert (185, 3, 0, 4.0, 5.5, "charted differently") in edits

    def test_a_change_that_rounding_hides_is_a_change(self, tmp_path):
        inputs = tiny_inputs()
        tiny = inputs.perturbations.with_columns(delta=pl.lit(1e-5, pl.Float32))
        found, _ = explored(tmp_path, "open", dataclasses.replace(inputs, perturbations=tiny))
        shown = found.samples[0].of_kind("sparsest")
        assert set(shown.series) == {place for place, _ in shown.cells} != set()
        assert all(shown.series[place] == found.samples[0].series[place] for place in shown.series)

    def test_cells_stand_where_no_charted_value_is_named(self, tmp_path):
        found, _ = explored(tmp_path, "open")
        for sample in found.samples:
            for kind in EXAMPLE_KINDS:
                shown = sample.of_kind(kind)
                if all(edit[0] is None for edit in shown.edits):
                    assert [(edit[2], edit[1]) for edit in shown.edits] == shown.cells

    def test_page_grows_no_larger_than_its_share(self, tmp_path, monkeypatch):
        monkeypatch.setattr("lstm_adversarial_attack.evaluate.explorer._MOST_BYTES", 700)
        found, heard = explored(tmp_path, "open")
        assert found is not None
        assert len(found.samples) == 1
        assert ["shows 1 samples" in words for words in heard] == [True]


@pytest.mark.parametrize(
    ("records", "access"), [([132_539, 163_037], "open"), ([132_539, 7], "unknown"), ([], "unknown")]
)
def test_records_of_somebody_else_in_the_challenge_s_form_are_not_taken_for_open(
    records: list[int], access: str
) -> None:
    stays = pl.DataFrame({"stay_id": records}, schema={"stay_id": pl.Int64})
    assert access_of("challenge-2012", stays) == access
