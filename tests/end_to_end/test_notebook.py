"""The walkthrough runs without a browser, shows its figures, and its conclusions are those of its artifacts."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread
from safetensors.numpy import load_file
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from end_to_end.conftest import read_json

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "walkthrough.ipynb"
#: Cells that draw, those that show a single stay apart, and those that need enough attacked stays.
OF_MANY_STAYS = {"cohort", "measured", "training", "curves", "calibration", "audit"}
OF_ONE_STAY = {"stay", "one", "charted", "series"}
OF_ATTACKED_STAYS = {"all", "where", "when", "sizes"}
DIRECTIONS = {0: "survivors called dead", 1: "deaths called survivors"}


@dataclass(frozen=True)
class Walkthrough:
    """An executed notebook: its artifacts and what its cells put out."""

    out: Path
    cells: dict[str, list[Any]]

    @property
    def drawn(self) -> set[str]:
        """The cells that show a picture."""
        return {name for name, outputs in self.cells.items() if any("image/png" in o.get("data", {}) for o in outputs)}

    @property
    def text(self) -> str:
        """All text that is shown, that of tables included."""
        return "\n".join(said(output) for outputs in self.cells.values() for output in outputs)

    @property
    def conclusions(self) -> str:
        """What the cell of that name prints."""
        return "".join(said(output) for output in self.cells["conclusions"])


def said(output: Any) -> str:
    data = output.get("data", {})
    return str(output.get("text", "")) + str(data.get("text/plain", "")) + str(data.get("text/html", ""))


def execute(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    options = ("--source", source, "--out", folder / "artifacts", "--audit-source", "synthetic:600")
    command = [sys.executable, ROOT / "notebooks" / "execute.py", *options, "--to", folder / "walkthrough.ipynb"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=500, check=False)


def walk(folder: Path, source: str) -> Walkthrough:
    done = execute(folder, source)
    assert done.returncode == 0, done.stderr
    assert str(folder / "walkthrough.ipynb") in done.stdout
    notebook = nbformat.read(folder / "walkthrough.ipynb", as_version=4)
    cells = {cell["id"]: cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"}
    kinds = {output["output_type"] for outputs in cells.values() for output in outputs}
    assert "error" not in kinds
    return Walkthrough(folder / "artifacts", cells)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Walkthrough:
    return walk(tmp_path_factory.mktemp("walkthrough"), "synthetic:600")


@pytest.fixture
def audited(synthetic: Walkthrough, tmp_path: Path) -> Path:
    """A folder in which the audit, which has a synthetic cohort whatever the source, is up to date."""
    shutil.copytree(synthetic.out / "audit", tmp_path / "artifacts" / "audit")
    return tmp_path


def test_it_is_committed_without_what_execution_leaves() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}
    ids = [cell["id"] for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in ids), "ids are words, so that they stay"
    for cell in notebook.cells:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_its_text_states_no_result_and_links_to_what_is_there() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    text = "\n".join(cell["source"] for cell in notebook.cells if cell["cell_type"] == "markdown")
    assert re.findall(r"\d[.,]\d|\d ?%", text) == []
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 5
    for link in links:
        assert (NOTEBOOK.parent / link.partition("#")[0]).exists(), link


def test_every_figure_is_shown(synthetic: Walkthrough) -> None:
    assert synthetic.drawn == OF_MANY_STAYS | OF_ONE_STAY | OF_ATTACKED_STAYS
    shown = [o["data"] for outputs in synthetic.cells.values() for o in outputs if "image/png" in o.get("data", {})]
    assert len(shown) == len(synthetic.drawn)
    for data in shown:
        picture = imread(BytesIO(base64.b64decode(data["image/png"])), format="png")
        colourful = np.ptp(picture[..., :3], axis=-1) > 0.2
        assert colourful.sum() > 200  # axes and words alone are black, grey and white


def test_the_conclusions_on_data_and_prediction_are_those_of_the_artifacts(synthetic: Walkthrough) -> None:
    out = synthetic.out
    samples = pl.read_parquet(out / "dataset" / "samples.parquet")
    predictions = pl.read_parquet(out / "model" / "predictions.parquet")
    threshold = read_json(out / "model" / "model.json")["threshold"]
    test, train = (predictions.filter(pl.col("split").cast(pl.String) == split) for split in ("test", "train"))
    assert (
        f"Cohort: {samples.height:,} stays of {samples['subject_id'].n_unique():,} patients, "
        f"{samples['label'].sum()} of which ended in death; {test.height} stays held out." in synthetic.conclusions
    )
    f1, of_train = (f1_score(part["label"], part["probability"] >= threshold) for part in (test, train))
    auroc = roc_auc_score(test["label"], test["probability"])
    auprc = average_precision_score(test["label"], test["probability"])
    assert f"held-out patients AUROC {auroc:.3f} (" in synthetic.conclusions
    assert f"AUPRC {auprc:.3f} (" in synthetic.conclusions
    assert f"F1 {f1:.3f} (" in synthetic.conclusions
    assert f"training patients F1 is {of_train:.3f} (" in synthetic.conclusions
    baselines = pl.read_parquet(out / "model" / "baselines.parquet").with_columns(
        pl.col("model", "split").cast(pl.String)
    )
    for name in ("logistic-regression", "gradient-boosting"):
        of = baselines.filter(model=name, split="test")
        gain = auroc - roc_auc_score(of["label"], of["probability"])
        assert f"LSTM less {name.replace('-', ' ')}: AUROC {gain:.3f} (" in synthetic.conclusions
    steps = read_json(out / "audit" / "audit" / "audit.json")["steps"]
    assert f"F1 {steps['claimed']:.3f} when judged its way, {steps['honest']:.3f} on new" in synthetic.conclusions
    assert steps["claimed"] > steps["honest"] + 0.3


def test_the_conclusions_on_the_attack_are_those_of_the_artifacts(synthetic: Walkthrough) -> None:
    examples, cells = (
        pl.read_parquet(synthetic.out / "examples" / f"{name}.parquet").filter(
            pl.col("kind").cast(pl.String) == "sparsest"
        )
        for name in ("examples", "perturbations")
    )
    features = {
        f["name"]: f["measurement"]["label"] for f in read_json(synthetic.out / "dataset/features.json")["features"]
    }
    for label, direction in DIRECTIONS.items():
        of = examples.filter(label=label)
        assert of.height > 0
        found = of.filter("success")
        by_one = 100 * found.filter(l0=1).height / of.height
        middle = sorted([*found["l0"], *[np.inf] * (of.height - found.height)])[of.height // 2]
        (line,) = re.findall(rf"^Attack, {direction}: .*$", synthetic.conclusions, flags=re.M)
        assert f" {100 * found.height / of.height:.1f} % (" in line
        assert re.search(rf"of {of.height} stays? turned by", line)
        assert f" {by_one:.1f} % (" in line
        assert re.search(rf"median stay takes {middle} changes?, on the grid", line)
        touched = cells.join(found.select("sample"), on="sample").group_by("feature").agg(pl.col("sample").n_unique())
        most = touched.sort("sample", descending=True).row(0)
        share = f"{features[most[0]]} {100 * most[1] / found.height:.1f} % ("
        assert re.search(rf"^Measurements, {direction}: .*{re.escape(share)}", synthetic.conclusions, flags=re.M)


def typical_changes(dataset: Path) -> dict[str, float]:
    """Return the mean change from one charted hour of a training stay to the next, in the measurements' units."""
    tensors = load_file(dataset / "tensors.safetensors")
    training = (pl.read_parquet(dataset / "samples.parquet")["split"].cast(pl.String) == "train").to_numpy()
    names = [feature["name"] for feature in read_json(dataset / "features.json")["features"]]
    typical = {}
    for column, (name, std) in enumerate(zip(names, read_json(dataset / "scaling.json")["std"], strict=True)):
        steps = [
            np.abs(np.diff(series[seen]))
            for series, seen in zip(
                tensors["values"][training, :, column], tensors["observed"][training, :, column], strict=True
            )
        ]
        typical[name] = float(np.concatenate(steps).mean() * std)
    return typical


def test_the_conclusions_on_the_edits_are_those_of_the_artifacts(synthetic: Walkthrough) -> None:
    typical = typical_changes(synthetic.out / "dataset")
    edits = pl.read_parquet(synthetic.out / "examples" / "edits.parquet").with_columns(
        pl.col("kind", "feature").cast(pl.String)
    )
    times: dict[str, list[float]] = {"sparsest": [], "smallest": []}
    largest: dict[int, float] = {}
    for edit in edits.filter(pl.col("kind").is_in(list(times))).iter_rows(named=True):
        size = abs(edit["edited"] - edit["value"]) / typical[edit["feature"]]
        times[edit["kind"]].append(size)
        if edit["kind"] == "smallest":
            largest[edit["sample"]] = max(size, largest.get(edit["sample"], 0.0))
    for kind, sizes in times.items():
        assert f"Edits, {kind} examples: the median edit is {np.median(sizes):.1f} times" in synthetic.conclusions
    attacked = pl.read_parquet(synthetic.out / "examples" / "examples.parquet")["sample"].n_unique()
    slight = 100 * sum(size <= 1 for size in largest.values()) / attacked
    assert f"Slight edits: {slight:.1f} % (" in synthetic.conclusions


def test_executed_again_it_skips_what_is_up_to_date(synthetic: Walkthrough) -> None:
    manifests = sorted(synthetic.out.rglob("manifest.json"))
    assert len(manifests) == 9
    before = [file.stat().st_mtime_ns for file in manifests]
    again = walk(synthetic.out.parent, "synthetic:600")
    assert [file.stat().st_mtime_ns for file in manifests] == before
    assert again.conclusions == synthetic.conclusions


def identifiers(dataset: Path) -> set[str]:
    samples = pl.read_parquet(dataset / "samples.parquet")
    return {str(value) for name in ("stay_id", "subject_id", "hadm_id") for value in samples[name].drop_nulls()}


@pytest.mark.demo
def test_on_real_patients_it_shows_nothing_of_one_stay(demo: Path, audited: Path) -> None:
    """So few stays of the demo are turned that where they were changed is not shown either."""
    real = walk(audited, f"csv:{demo}")
    assert real.drawn == OF_MANY_STAYS
    assert real.conclusions.startswith("Cohort: 72 stays of 56 patients, 27 of which ended in death;")
    assert real.text.count("too few stays were turned to show where") == 2
    assert not identifiers(real.out / "dataset") & set(re.findall(r"\w+", real.text))


@pytest.mark.challenge2012
def test_on_many_real_patients_it_shows_all_but_single_stays(challenge2012: Path, audited: Path) -> None:
    real = walk(audited, f"challenge2012:{challenge2012 / 'set-a.tar.gz'}")
    assert real.drawn == OF_MANY_STAYS | OF_ATTACKED_STAYS
    assert "Cohort: 3,990 stays of 3,990 patients, 554 of which ended in death;" in real.conclusions
    assert not identifiers(real.out / "dataset") & set(re.findall(r"\w+", real.text))


def test_a_cell_that_fails_is_told(tmp_path: Path) -> None:
    done = execute(tmp_path, "nowhere:at-all")
    assert done.returncode == 1
    assert "UserError" in done.stderr
    assert "give csv:FOLDER" in done.stderr
