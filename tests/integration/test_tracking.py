"""What is seen of a run in MLflow and TensorBoard, and that neither can fail or stall a stage."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest
import torch
from mlflow import MlflowClient
from playwright.sync_api import sync_playwright
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from integration.conftest import Artifacts
from lstm_adversarial_attack import cli
from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.models import load_model, predict_logits
from lstm_adversarial_attack.tracking import tracker
from lstm_adversarial_attack.tracking.problems import explain, shown
from lstm_adversarial_attack.tracking.tracker import Tracker
from mlflow_server import Server, running_mlflow
from workers import free_port

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
REGISTERED = "lstm-adversarial-attack"
QUICK = ("--hidden-units", "4", "--resamples", "10", "--no-baselines", "--device", "cpu")
#: A stage that waits for a server for ever is told from a slow machine by it.
BOUND_S = 240
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


LOAD = """
import sys
import mlflow
import numpy as np
loaded = mlflow.pyfunc.load_model(sys.argv[1])
given = np.load(sys.argv[2])
names = [spec.name for spec in loaded.metadata.signature.inputs.inputs]
said = loaded.predict({name: given[name] for name in names})
np.savez(sys.argv[3], **{name: np.asarray(said[name]) for name in ("logits", "probability", "calibrated")})
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    sources = str(Path(cli.__file__).parents[1])
    return kept | {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "PYTHONPATH": sources} | more


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lstm_adversarial_attack", *map(str, arguments)]


def lstm_aa(*arguments: object, **env: str) -> str:
    """Call `lstm-aa` with tracking on; it has to succeed. Returns what it says on standard error."""
    done = subprocess.run(
        command(*arguments), env=environment(**env), capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def lines_of_tracking(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if "tracking:" in line]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with running_mlflow() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server, started again where a test has killed it."""
    if running.process is None or running.process.poll() is not None:
        running.start()
    return running


@pytest.fixture
def client(server: Server) -> MlflowClient:
    return MlflowClient(server.address, server.address)


#: A gate that everybody passes.
LENIENT = ("--min-auroc", 0, "--max-calibration-error", 1)


@dataclass(frozen=True)
class Tracked:
    """A model and two reports whose making was tracked, and what was said."""

    model: Path
    report: Path
    aliases_before: dict[str, str]
    said: str


@pytest.fixture(scope="module")
def tracked(running: Server, artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """Train an ensemble, attack it, and evaluate it twice: the gate is not passed, then passed."""
    out = tmp_path_factory.mktemp("tracked")
    uri = {"MLFLOW_TRACKING_URI": running.guarded()}
    dataset = ("--dataset", artifacts.dataset)
    model, examples = ("--model", out / "model"), ("--examples", out / "examples")
    said = lstm_aa("train", *dataset, "--out", out / "model", *QUICK, "--max-epochs", 3, "--ensemble", 2, **uri)
    lstm_aa("attack", *dataset, *model, "--out", out / "examples", "--steps", 3, "--max-samples", 4,
            LSTM_AA_TRACKING="off")  # fmt: skip
    evaluate = ("evaluate", *dataset, *model, *examples, "--resamples", 10)
    said += lstm_aa(*evaluate, "--out", out / "failing", "--min-auroc", 1, **uri)
    registered = MlflowClient(running.address, running.address).get_registered_model(REGISTERED)
    said += lstm_aa(*evaluate, "--out", out / "report", *LENIENT, **uri)
    return Tracked(out / "model", out / "report", registered.aliases, said)


def runs_of(client: MlflowClient, stage: str, experiment: str = REGISTERED) -> list[Any]:
    """Return the runs of a stage, the latest first."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs = client.search_runs([found.experiment_id], f"attributes.run_name = '{stage}'")
    return sorted(runs, key=lambda run: run.info.start_time, reverse=True)


def files_in(client: MlflowClient, run_id: str, folder: str | None = None) -> list[str]:
    """Return the paths of all files of a run."""
    found = client.list_artifacts(run_id, folder)
    inside = [path for entry in found if entry.is_dir for path in files_in(client, run_id, entry.path)]
    return [entry.path for entry in found if not entry.is_dir] + inside


# --- what is logged ---------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_parameters_digests_figures_and_curves_are_in_the_run(client: MlflowClient, tracked: Tracked) -> None:
    manifest = json.loads((tracked.model / "manifest.json").read_text())
    run = next(run for run in runs_of(client, "train") if run.data.tags["train.digest"] == manifest["digest"])
    assert run.info.status == "FINISHED"
    settings = json.loads((tracked.model / "model.json").read_text())["settings"]
    assert run.data.params == {f"train.{name}": str(value) for name, value in settings.items()}
    assert run.data.tags["train.input.dataset"] == manifest["inputs"]["dataset"]
    figures = json.loads((tracked.model / "metrics.json").read_text())
    assert run.data.metrics["train/test/auroc"] == figures["test"]["auroc"]["value"]
    assert run.data.metrics["train/test/auroc/high"] == figures["test"]["auroc"]["high"]
    history = pl.read_parquet(tracked.model / "history.parquet")
    for member, prefix in ((0, ""), (1, "member-1/")):
        curve = client.get_metric_history(run.info.run_id, f"train/{prefix}validation_auprc")
        rows = history.filter(pl.col("member") == member)
        assert [(point.step, point.value) for point in curve] == rows.select("epoch", "validation_auprc").rows()
    assert [file.path for file in client.list_artifacts(run.info.run_id, "train")] == ["train/history.png"]
    assert lines_of_tracking(tracked.said) == []


@pytest.mark.postgres
@pytest.mark.usefixtures("tracked")
def test_nothing_that_holds_patients_is_logged(client: MlflowClient, tmp_path: Path) -> None:
    """The files of all runs and models are the report with its figures, and the model with its code."""
    mlflow.set_tracking_uri(client.tracking_uri)
    (version, *_) = client.search_model_versions(f"name='{REGISTERED}'")
    model = Path(mlflow.artifacts.download_artifacts(f"models:/{REGISTERED}/{version.version}", dst_path=str(tmp_path)))
    package = model / "code" / "lstm_adversarial_attack"
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    beside = {name for name in files if not name.startswith("code/")}
    assert beside - {"registered_model_meta"} == {
        *("MLmodel", "classifier.py", "artifacts/model.json", "artifacts/weights.safetensors", "requirements.txt"),
        *("conda.yaml", "python_env.yaml", "input_example.json", "serving_input_example.json"),
    }
    assert {path.suffix for path in package.rglob("*") if path.is_file()} == {".py", ".yaml"}
    example = json.loads((model / "input_example.json").read_text())
    assert not np.any(np.array(example["values"]))
    runs = client.search_runs([client.get_experiment_by_name(REGISTERED).experiment_id])
    logged = {path for run in runs for path in files_in(client, run.info.run_id)}
    figures = {path for path in logged if re.fullmatch(r"evaluate/figures/[a-z0-9-]+\.png", path)}
    assert logged - figures == {
        *("train/history.png", "evaluate/report.html", "evaluate/summary.md"),
        *(f"evaluate/kubeflow/classification_metrics_{condition}.json" for condition in ("clean", "attacked")),
    }


@pytest.mark.postgres
def test_the_report_is_logged_as_it_stands(client: MlflowClient, tracked: Tracked, tmp_path: Path) -> None:
    manifest = json.loads((tracked.report / "manifest.json").read_text())
    run = next(run for run in runs_of(client, "evaluate") if run.data.tags["evaluate.digest"] == manifest["digest"])
    pictures = {name for name in manifest["files"] if name.endswith(".png")}
    assert {"figures/roc.png", "figures/confusion.png", "figures/roc-attacked.png"} <= pictures
    paths = files_in(client, run.info.run_id)
    assert {f"evaluate/{name}" for name in pictures} <= set(paths)
    for path in paths:
        there = Path(client.download_artifacts(run.info.run_id, path, str(tmp_path)))
        assert there.read_bytes() == (tracked.report / path.removeprefix("evaluate/")).read_bytes()
    found = json.loads((tracked.report / "metrics.json").read_text())["classification"]
    for condition in ("clean", "attacked"):
        for name, count in found[condition]["confusion"].items():
            assert run.data.metrics[f"evaluate/classification/{condition}/confusion/{name}"] == count


@pytest.mark.postgres
def test_the_registered_model_gives_the_same_predictions(
    client: MlflowClient, tracked: Tracked, artifacts: Artifacts, tmp_path: Path
) -> None:
    tensors = load_dataset(open_artifact(artifacts.dataset, "dataset"), torch.device("cpu")).tensors
    given = {part.name: getattr(tensors, part.name).numpy() for part in fields(tensors)}
    np.savez(tmp_path / "given.npz", **given)
    # In a process of its own: MLflow puts the model's code first on the path of whoever loads it.
    subprocess.run(
        [sys.executable, "-c", LOAD, f"models:/{REGISTERED}@champion", tmp_path / "given.npz", tmp_path / "said.npz"],
        env=environment(MLFLOW_TRACKING_URI=str(client.tracking_uri)),
        check=True,
        timeout=BOUND_S,
    )
    predicted = np.load(tmp_path / "said.npz")
    model, _ = load_model(open_artifact(tracked.model, "model"))
    assert np.array_equal(predicted["logits"], predict_logits(model, tensors).numpy())
    written = pl.read_parquet(tracked.model / "predictions.parquet")
    assert np.allclose(predicted["probability"], written["probability"], rtol=0, atol=1e-12)
    assert np.allclose(predicted["calibrated"], written["calibrated"], rtol=0, atol=1e-12)


@pytest.mark.postgres
def test_the_champion_is_who_passed_the_gate(client: MlflowClient, tracked: Tracked) -> None:
    assert tracked.aliases_before == {}
    champion = client.get_model_version_by_alias(REGISTERED, "champion")
    assert champion.tags["digest"] == open_artifact(tracked.model, "model").digest
    assert champion.tags["gate"] == "passed"
    assert champion.tags["input.dataset"] == open_artifact(tracked.model, "model").manifest.inputs["dataset"]


@pytest.mark.postgres
def test_a_browser_sees_parameters_curves_figure_and_model(client: MlflowClient, tracked: Tracked) -> None:
    digest = open_artifact(tracked.model, "model").digest
    run = next(run for run in runs_of(client, "train") if run.data.tags["train.digest"] == digest)
    page_of_run = f"{client.tracking_uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("no chromium on PATH: install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1400, "height": 2400})
        page.set_default_timeout(60_000)
        page.goto(page_of_run)
        for words in ("train.hidden_units", "train.digest", "train/test/auroc", "FINISHED".title()):
            page.get_by_text(words, exact=True).first.wait_for()
        page.goto(f"{page_of_run}/model-metrics")
        page.get_by_text("validation_auprc", exact=True).first.wait_for()
        page.get_by_text("train (train/validation_auprc)").first.wait_for()
        page.goto(f"{page_of_run}/artifacts/train/history.png")
        shown = page.locator("img[src^='blob:']").first
        shown.wait_for()
        assert shown.evaluate("image => image.naturalWidth") > 300
        page.goto(f"{client.tracking_uri}/#/models/{REGISTERED}")
        page.get_by_text("champion").first.wait_for()
        browser.close()


@pytest.mark.postgres
def test_an_up_to_date_stage_logs_nothing(
    client: MlflowClient, server: Server, tracked: Tracked, artifacts: Artifacts
) -> None:
    before = [run.info.run_id for run in runs_of(client, "evaluate")]
    said = lstm_aa("evaluate", "--dataset", artifacts.dataset, "--model", tracked.model, "--examples",
                   tracked.model.parent / "examples", "--out", tracked.report, "--resamples", 10, *LENIENT,
                   MLFLOW_TRACKING_URI=server.guarded())  # fmt: skip
    assert "up to date" in said
    assert [run.info.run_id for run in runs_of(client, "evaluate")] == before


@pytest.mark.postgres
def test_a_run_that_is_given_is_joined(
    client: MlflowClient, server: Server, artifacts: Artifacts, tmp_path: Path
) -> None:
    experiment = client.create_experiment("pipeline")
    run_id = client.create_run(experiment).info.run_id
    lstm_aa("preprocess", "--events", artifacts.events, "--out", tmp_path / "dataset",
            MLFLOW_TRACKING_URI=server.guarded(), MLFLOW_RUN_ID=run_id)  # fmt: skip
    run = client.get_run(run_id)
    assert run.data.params["preprocess.imputation"] == "forward-fill"
    assert run.data.tags["preprocess.digest"] == open_artifact(tmp_path / "dataset", "dataset").digest
    assert run.info.status == "RUNNING", "whoever made the run ends it"
    assert len(client.search_runs([experiment])) == 1


@pytest.mark.postgres
def test_a_killed_training_is_marked_and_its_curve_is_whole_in_the_next_run(
    client: MlflowClient, server: Server, artifacts: Artifacts, tmp_path: Path
) -> None:
    env = {"MLFLOW_TRACKING_URI": server.guarded(), "MLFLOW_EXPERIMENT_NAME": "killed"}
    slow = ("--max-epochs", 40, "--patience", 40, "--hidden-units", 256, "--batch-size", 8)
    quick = ("--resamples", 10, "--no-baselines", "--device", "cpu")
    train = ("train", "--dataset", artifacts.dataset, "--out", tmp_path / "model", *quick, *slow)
    with subprocess.Popen(command(*train), env=environment(**env), stderr=subprocess.DEVNULL) as process:
        until(lambda: any(run.data.metrics for run in runs_of(client, "train", "killed")))
        process.send_signal(signal.SIGKILL)
    until(lambda: runs_of(client, "train", "killed")[0].info.status == "KILLED")
    assert "going on after" in lstm_aa(*train, **env)
    again, killed = runs_of(client, "train", "killed")
    assert (again.info.status, killed.info.status) == ("FINISHED", "KILLED")
    curve = client.get_metric_history(again.info.run_id, "train/train_loss")
    assert sorted(point.step for point in curve) == list(range(1, 41))


def until(condition: Any) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# --- tracking that cannot be had --------------------------------------------------------------------------------


def preprocessed(artifacts: Artifacts, out: Path, **env: str) -> list[str]:
    """Preprocess with tracking that cannot be had; return what is said of it."""
    said = lstm_aa("preprocess", "--events", artifacts.events, "--out", out, **env)
    assert open_artifact(out, "dataset").digest == open_artifact(artifacts.dataset, "dataset").digest
    assert "S3cret" not in said
    return lines_of_tracking(said)


def test_no_server(artifacts: Artifacts, tmp_path: Path) -> None:
    port = free_port()
    (line,) = preprocessed(artifacts, tmp_path / "x", MLFLOW_TRACKING_URI=f"http://me:S3cret@127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port} cannot be reached" in line


def test_an_address_of_no_known_kind(artifacts: Artifacts, tmp_path: Path) -> None:
    (line,) = preprocessed(artifacts, tmp_path / "x", MLFLOW_TRACKING_URI="gopher://me:S3cret@host")
    assert "gopher://host refuses (INVALID_PARAMETER_VALUE)" in line


@pytest.mark.postgres
def test_a_wrong_password(server: Server, artifacts: Artifacts, tmp_path: Path) -> None:
    (line,) = preprocessed(artifacts, tmp_path / "x", MLFLOW_TRACKING_URI=server.guarded("S3cret"))
    assert "wrong user or password" in line


@pytest.mark.postgres
def test_a_run_that_is_not_there(server: Server, artifacts: Artifacts, tmp_path: Path) -> None:
    (line,) = preprocessed(artifacts, tmp_path / "x", MLFLOW_TRACKING_URI=server.address, MLFLOW_RUN_ID="0" * 32)
    assert "RESOURCE_DOES_NOT_EXIST" in line


@pytest.mark.postgres
def test_a_server_that_accepts_and_never_answers(server: Server, artifacts: Artifacts, tmp_path: Path) -> None:
    server.send_signal(signal.SIGSTOP)
    try:
        (line,) = preprocessed(artifacts, tmp_path / "x", MLFLOW_TRACKING_URI=server.address)
    finally:
        server.send_signal(signal.SIGCONT)
    assert "does not answer in time" in line


@pytest.mark.postgres
def test_a_server_that_is_killed_in_the_middle(
    client: MlflowClient, server: Server, artifacts: Artifacts, tmp_path: Path
) -> None:
    train = ("train", "--dataset", artifacts.dataset, *QUICK, "--max-epochs", 40, "--patience", 40)
    env = environment(MLFLOW_TRACKING_URI=server.address, MLFLOW_EXPERIMENT_NAME="cut off")
    with subprocess.Popen(
        command(*train, "--out", tmp_path / "model"), env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: any(run.data.metrics for run in runs_of(client, "train", "cut off")))
        server.kill()
        _, said = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0
    (line,) = lines_of_tracking(said)
    assert "cannot be reached" in line
    lstm_aa(*train, "--out", tmp_path / "untracked", LSTM_AA_TRACKING="off")
    assert open_artifact(tmp_path / "model", "model").digest == open_artifact(tmp_path / "untracked", "model").digest


def test_where_only_servers_are_told_nothing_is_kept_without_one(tmp_path: Path) -> None:
    with Tracker({"LSTM_AA_TRACKING": "server"}) as made, made.stage("train", tmp_path / "model", pytest.fail) as stage:
        stage.metrics({"loss": 1.0}, 1)
        stage.finish(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_problems_are_explained_without_what_keeps_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy.exc", None)
    assert explain(ConnectionError("refused")).unreachable
    assert explain(ValueError("strange")).words == "cannot be used (ValueError)"


@pytest.mark.parametrize("uri", ["http://me:S3cret@host", ""])
def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str) -> None:
    monkeypatch.setattr(tracker, "find_spec", lambda _name: None)
    said: list[str] = []
    with Tracker({"MLFLOW_TRACKING_URI": uri}) as made, made.stage("train", tmp_path / "model", said.append) as stage:
        stage.metrics({"loss": 1.0}, 1)
        stage.finish(tmp_path / "model")
    assert [line for line in said if "extra 'tracking'" in line and "S3cret" not in line] == said
    assert len(said) == bool(uri)
    assert not list(tmp_path.iterdir())


# --- without a server -------------------------------------------------------------------------------------------


def test_without_an_address_a_store_lies_beside_the_artifacts(artifacts: Artifacts, tmp_path: Path) -> None:
    out = tmp_path / "model"
    said = lstm_aa("train", "--dataset", artifacts.dataset, "--out", out, *QUICK, "--max-epochs", 3)
    assert lines_of_tracking(said) == []
    client = MlflowClient(f"sqlite:///{tmp_path}/tracking/mlflow.db")
    (run,) = runs_of(client, "train")
    assert run.info.status == "FINISHED"
    assert run.data.params["train.hidden_units"] == "4"
    (version,) = client.search_model_versions(f"name='{REGISTERED}'")
    assert version.tags["digest"] == open_artifact(out, "model").digest
    (events,) = (tmp_path / "tracking" / "tensorboard").iterdir()
    board = EventAccumulator(str(events)).Reload()
    history = pl.read_parquet(out / "history.parquet")
    points = board.Scalars("train/validation_auprc")
    assert [point.step for point in points] == history["epoch"].to_list()
    assert np.allclose([point.value for point in points], history["validation_auprc"], atol=1e-6)


def test_data_stages_without_an_address_and_stages_with_tracking_off_leave_nothing(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    lstm_aa("preprocess", "--events", artifacts.events, "--out", tmp_path / "dataset")
    lstm_aa("train", "--dataset", tmp_path / "dataset", "--out", tmp_path / "model", *QUICK, "--max-epochs", 1,
            LSTM_AA_TRACKING="off", MLFLOW_TRACKING_URI="http://nowhere.invalid")  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "model"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://me:S3cret@host:5000/x?token=S3cret", "http://host:5000/x"),
        ("postgresql+psycopg2://me:S3@cret@host/db", "postgresql+psycopg2://host/db"),
        ("postgresql://u:S3/cret@host/db", "postgresql://host/db"),
        ("https://u:S3?cret@host", "https://host"),
        ("https://u:S3#cret@host:5000/#x", "https://host:5000"),
        ("https://u:S3/c?r#e@t@[::1]:5000/x?token=S3cret", "https://[::1]:5000/x"),
        ("https://host/x?token=S3@cret", "https://..."),
        ("sqlite:////runs/mlflow.db", "sqlite:////runs/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, words: str) -> None:
    assert shown(address) == words
