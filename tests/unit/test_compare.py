"""Runs side by side, on reports with known answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from lstm_adversarial_attack.artifacts import Artifact, Draft, Identity, open_artifact, write_artifact
from lstm_adversarial_attack.artifacts.manifest import MANIFEST_NAME
from lstm_adversarial_attack.compare.command import compare_runs
from lstm_adversarial_attack.compare.results import compared, rank_correlation, tables_of
from lstm_adversarial_attack.compare.runs import open_runs
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.evaluate.analysis import Evaluation, EvaluationInputs, evaluate
from lstm_adversarial_attack.frames import PREDICTIONS
from unit.test_evaluate import TINY, tiny_inputs

#: Of the ten samples of `tiny_inputs`; the first six are the test split, of which two died.
BEFORE = [0.1, 0.1, 0.1, 0.6, 0.9, 0.9, 0.2, 0.8, 0.3, 0.7]
AFTER = [0.1, 0.2, 0.8, 0.7, 0.6, 0.9, 0.2, 0.8, 0.3, 0.7]


def write(path: Path, kind: str, settings: dict[str, Any], inputs: Mapping[str, Artifact], put: Callable) -> Artifact:
    digests = {name: artifact.digest for name, artifact in inputs.items()}
    identity = Identity(kind=kind, settings=settings, seed=settings.get("seed"), inputs=digests)
    with write_artifact(path, identity, stage="x") as draft:
        put(draft)
    return open_artifact(path, kind)


def write_run(
    folder: Path,
    *,
    probabilities: list[float] | None = None,
    data: int = 0,
    lr: float = 0.002,
    steps: int = 300,
    changes: dict[str, Any] | None = None,
) -> Path:
    """Write a run that went as `tiny_inputs` says; ``data`` tells datasets apart."""
    inputs = tiny_inputs(**(changes or {}))
    if probabilities is not None:
        raised = pl.Series(probabilities)
        inputs = tiny_inputs(predictions=inputs.predictions.with_columns(probability=raised, calibrated=raised))
    evaluation = evaluate(inputs, TINY)
    events = write(folder / "events", "events", {"seed": data}, {}, lambda draft: draft.write_json("x.json", data))
    dataset = write(
        folder / "dataset", "dataset", {"seed": 0}, {"events": events}, lambda draft: draft.write_json("x.json", data)
    )
    model = write(folder / "model", "model", {"lr": 1.0}, {"dataset": dataset}, put_model(inputs, lr))
    examples = write(
        folder / "examples",
        "examples",
        {"steps": steps},
        {"dataset": dataset, "model": model},
        lambda draft: draft.write_json("attack.json", {"settings": {"steps": steps}}),
    )
    lineage = {"dataset": dataset, "model": model, "examples": examples}
    write(folder / "report", "report", {"resamples": 50, "seed": 0}, lineage, put_report(evaluation))
    return folder


def put_model(inputs: EvaluationInputs, lr: float) -> Callable[[Draft], None]:
    def put(draft: Draft) -> None:
        draft.write_frame("predictions.parquet", inputs.predictions, PREDICTIONS)
        draft.write_json("model.json", {"settings": {"lr": lr}})

    return put


def put_report(evaluation: Evaluation) -> Callable[[Draft], None]:
    def put(draft: Draft) -> None:
        draft.write_json("metrics.json", evaluation.metrics)
        for name, table in evaluation.tables.items():
            draft.write_frame(f"{name}.parquet", table, table.schema)

    return put


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    runs = tmp_path_factory.mktemp("runs")
    return {
        "before": write_run(runs / "before"),
        "after": write_run(runs / "after", probabilities=AFTER, lr=0.01),
        "elsewhere": write_run(runs / "elsewhere", data=1),
    }


def compare(*folders: Path, labels: list[str] | None = None):
    runs = open_runs([str(folder) for folder in folders], labels)
    return runs, compared(runs)


class TestRankCorrelation:
    def test_known_answers(self):
        assert rank_correlation([1, 2, 3], [10, 20, 500]) == pytest.approx(1)
        assert rank_correlation([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
        # Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: covariance 4.5, variances 4.5 and 5.
        assert rank_correlation([0, 1, 1, 2], [0, 5, 4, 6]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))

    def test_agrees_with_scipy(self):
        rng = np.random.default_rng(0)
        a, b = rng.integers(6, size=(2, 19)).astype(float)
        assert rank_correlation(a.tolist(), b.tolist()) == pytest.approx(spearmanr(a, b).statistic)

    @pytest.mark.parametrize("pair", [([], []), ([1, 2], [2, 1]), ([1, 1, 1], [1, 2, 3])])
    def test_undefined(self, pair):
        assert rank_correlation(*pair) is None


class TestDifferences:
    def test_only_what_differs_is_listed(self, folders):
        _, comparison = compare(folders["before"], folders["after"])
        listed = {(row.group, row.item): row.values for row in comparison.differences}
        assert listed["setting", "train.lr"] == ("0.002", "0.01")
        assert {item for group, item in listed if group == "digest"} == {"model", "examples"}
        assert [item for group, item in listed if group == "setting"] == ["train.lr"]
        assert [item for group, item in listed if group == "code"] == []

    def test_other_data_are_told_by_digest(self, folders):
        _, comparison = compare(folders["before"], folders["elsewhere"])
        listed = {row.item: row.values for row in comparison.differences}
        assert {"events", "dataset", "model", "examples", "extract.seed"} <= set(listed)
        assert "train.lr" not in listed
        assert all(len(value) == 12 for value in listed["dataset"])

    def test_code_and_libraries(self, folders, tmp_path):
        other = edited(folders["before"], tmp_path, code="f" * 64, libraries={"torch": "9.9"})
        _, comparison = compare(folders["after"], other)
        listed = {row.item: row.values for row in comparison.differences if row.group == "code"}
        assert listed["source of the package"][1] == "f" * 12
        assert listed["torch"][1] == "9.9"

    def test_a_report_alone_says_what_is_not_known(self, folders, tmp_path):
        alone = copied(folders["after"] / "report", tmp_path / "alone")
        _, comparison = compare(folders["before"], alone)
        assert comparison.runs[0].unknown == ()
        assert comparison.runs[1].unknown == ("preprocess", "train", "attack")
        listed = {row.item: row.values for row in comparison.differences}
        assert "train.lr" not in listed
        assert {"model", "examples"} <= set(listed)
        assert "is not beside its report" in comparison.paired[0].reason

    def test_what_lies_beside_but_was_not_used_counts_for_nothing(self, folders, tmp_path):
        mixed = tmp_path / "mixed"
        copied(folders["after"] / "report", mixed / "report")
        copied(folders["before"] / "model", mixed / "model")
        _, comparison = compare(folders["before"], mixed)
        assert "train" in comparison.runs[1].unknown
        assert comparison.paired[0].figures is None


class TestPaired:
    def test_differences_on_the_same_patients(self, folders):
        _, comparison = compare(folders["before"], folders["after"])
        (pair,) = comparison.paired
        assert (pair.run, pair.less) == ("after", "before")
        labels = [0] * 4 + [1] * 2
        expected = roc_auc_score(labels, AFTER[:6]) - roc_auc_score(labels, BEFORE[:6])
        assert pair.figures["auroc"].value == pytest.approx(expected) == pytest.approx(-0.25)
        mended = tiny_inputs().predictions["calibrated"].to_list()
        assert mended != BEFORE  # Brier scores are of these
        brier = [np.mean((np.array(p[:6]) - labels) ** 2) for p in (AFTER, mended)]
        assert pair.figures["brier"].value == pytest.approx(brier[0] - brier[1])
        assert 0 < pair.figures["auroc"].p_value <= 1

    def test_none_on_other_patients(self, folders):
        _, comparison = compare(folders["before"], folders["elsewhere"])
        (pair,) = comparison.paired
        assert pair.figures is None
        assert "the datasets differ" in pair.reason

    def test_every_run_is_set_against_the_first(self, folders):
        _, comparison = compare(folders["before"], folders["elsewhere"], folders["after"])
        assert [(pair.run, pair.less, pair.figures is None) for pair in comparison.paired] == [
            ("elsewhere", "before", True),
            ("after", "before", False),
        ]


class TestNumbers:
    def test_they_are_those_of_the_reports(self, folders):
        runs, comparison = compare(folders["before"], folders["after"])
        tables = tables_of(runs, comparison)
        for name in ("before", "after"):
            metrics = json.loads((folders[name] / "report" / "metrics.json").read_text())
            assert comparison.prediction[name]["auroc"].value == metrics["prediction"]["test"]["auroc"]["value"]
            outcome = comparison.attack[name]["0_to_1"]["sparsest"]
            assert msgspec.to_builtins(outcome) == metrics["attack"]["0_to_1"]["kinds"]["sparsest"]
            own = tables["attack_curves"].filter(run=name).drop("run")
            assert own.equals(pl.read_parquet(folders[name] / "report" / "attack_curves.parquet"))
        assert comparison.susceptibility["before"]["0_to_1"]["potassium"].value == 1
        assert comparison.susceptibility["before"]["1_to_0"] == {}

    def test_rank_correlations_of_every_pair(self, folders):
        _, comparison = compare(*folders.values())
        found = [(one.direction, one.run, one.other, one.measurements) for one in comparison.rank_correlations]
        assert found[:3] == [
            ("0_to_1", "before", "after", 3),
            ("0_to_1", "before", "elsewhere", 3),
            ("0_to_1", "after", "elsewhere", 3),
        ]
        assert all(one.value == pytest.approx(1) for one in comparison.rank_correlations[:3])
        assert all(one.value is None for one in comparison.rank_correlations[3:])


class TestLabels:
    def test_folders_give_their_names(self, folders):
        runs, _ = compare(folders["before"], folders["after"] / "report")
        assert [run.label for run in runs] == ["before", "after"]

    def test_names_alike_are_told_apart(self, folders, tmp_path):
        other = copied(folders["after"], tmp_path / "new" / "before")
        runs, _ = compare(folders["before"], other)
        assert [run.label for run in runs] == [f"{folders['before'].parent.name}/before", "new/before"]

    def test_they_can_be_given(self, folders):
        runs, _ = compare(folders["before"], folders["after"], labels=["old", "new <b>"])
        assert [run.label for run in runs] == ["old", "new <b>"]

    @pytest.mark.parametrize("labels", [["one"], ["a", "b", "c"], ["a", "a "], ["a", " "]])
    def test_bad_ones(self, folders, labels):
        with pytest.raises(UserError, match="--labels"):
            compare(folders["before"], folders["after"], labels=labels)


class TestRefused:
    @pytest.mark.parametrize("count", [0, 1, 13])
    def test_too_few_or_too_many(self, folders, count):
        with pytest.raises(UserError, match=f"{count} given; give the folders of 2 to 12"):
            compare(*[folders["before"]] * count)

    def test_no_such_folder(self, folders, tmp_path):
        with pytest.raises(UserError, match="gone: no such folder"):
            compare(folders["before"], tmp_path / "gone")

    def test_not_a_run(self, folders, tmp_path):
        with pytest.raises(UserError, match="neither a run nor a report"):
            compare(folders["before"], tmp_path)

    def test_another_artifact(self, folders):
        with pytest.raises(UserError, match="holds 'model' where 'report' is needed"):
            compare(folders["before"], folders["after"] / "model")

    def test_the_same_folder_twice(self, folders):
        with pytest.raises(UserError, match="given twice"):
            compare(folders["before"], folders["before"] / "report")

    def test_the_same_report_in_two_places(self, folders, tmp_path):
        with pytest.raises(UserError, match="the same report as"):
            compare(folders["before"], copied(folders["before"], tmp_path / "again"))

    def test_another_schema_version(self, folders, tmp_path):
        old = copied(folders["after"], tmp_path / "old")
        file = old / "report" / MANIFEST_NAME
        file.write_text(json.dumps(json.loads(file.read_text()) | {"schema_version": 1}))
        with pytest.raises(UserError, match="'report' schema version 1, but this package reads"):
            compare(folders["before"], old)

    def test_a_report_that_was_changed(self, folders, tmp_path):
        changed = copied(folders["after"], tmp_path / "changed")
        (changed / "report" / "metrics.json").write_text("{}")
        with pytest.raises(UserError, match="checksum does not match"):
            compare(folders["before"], changed)


class TestWritten:
    def test_a_folder(self, folders, tmp_path):
        given = [str(folders["before"]), str(folders["after"])]
        for _ in range(2):  # an older comparison gives way
            page, comparison = compare_runs(given, str(tmp_path / "out"))
        assert page == tmp_path / "out" / "comparison.html"
        names = {path.name for path in page.parent.iterdir()}
        assert {"comparison.html", "comparison.json", "paired.csv", "attack_curves.parquet"} <= names
        written = json.loads((page.parent / "comparison.json").read_text())
        assert written == json.loads(msgspec.json.encode(comparison))
        assert str(tmp_path.parent) not in page.read_text()

    def test_a_page_alone(self, folders, tmp_path):
        page, _ = compare_runs([str(folders["before"]), str(folders["after"])], str(tmp_path / "some" / "page.html"))
        assert [path.name for path in (tmp_path / "some").iterdir()] == ["page.html"]
        compare_runs([str(folders["before"]), str(folders["elsewhere"])], str(page))
        assert "elsewhere" in page.read_text()

    @pytest.mark.parametrize("name", ["report", "notes.html", "folder.html"])
    def test_something_else_is_left_alone(self, folders, tmp_path, name):
        (tmp_path / "notes.html").write_text("<p>mine</p>")
        (tmp_path / "folder.html").mkdir()
        copied(folders["before"] / "report", tmp_path / "report")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError, match="--out"):
            compare_runs([str(folders["before"]), str(folders["after"])], str(tmp_path / name))
        assert sorted(tmp_path.rglob("*")) == before

    def test_labels_are_escaped(self, folders, tmp_path):
        given = [str(folders["before"]), str(folders["after"])]
        page, _ = compare_runs(given, str(tmp_path / "page.html"), ["<script>x", "</script>y"])
        text = page.read_text()
        assert "<script>x" not in text
        assert "</script>y" not in text
        assert "&lt;script&gt;x" in text


def copied(folder: Path, to: Path) -> Path:
    for file in folder.rglob("*"):
        if file.is_file():
            (to / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (to / file.relative_to(folder)).write_bytes(file.read_bytes())
    return to


def edited(folder: Path, to: Path, **environment: Any) -> Path:
    """Copy a run as if its report had been made in another environment."""
    copied(folder, to)
    file = to / "report" / MANIFEST_NAME
    content = json.loads(file.read_text())
    content["environment"] |= environment
    file.write_text(json.dumps(content))
    for kind in ("events", "dataset", "model", "examples"):  # what else there is was made in the usual one
        for part in (to / kind).iterdir():
            part.unlink()
    return to
