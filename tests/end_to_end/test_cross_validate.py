"""`lstm-aa cross-validate` on a small synthetic cohort: the same figures however it is done, also after a kill."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from end_to_end.conftest import Call, Run, command, read_json

SMALL = (
    *("--folds", "2", "--seeds", "2", "--resamples", "50", "--train.max-epochs", "3", "--train.hidden-units", "8"),
    *("--train.distillation", "0.5", "--device", "cpu"),
)


def cross_validate(dataset: Path, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("cross-validate", "--dataset", dataset, "--out", out, *SMALL, *options),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def whole(synthetic_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cv") / "cross-validation"
    done = cross_validate(synthetic_run.out / "dataset", out)
    assert done.returncode == 0, done.stderr
    assert "gradient-boosting" in done.stdout
    return out


def test_every_sample_is_predicted_once_by_each_method(whole: Path, synthetic_run: Run) -> None:
    predictions = pl.read_parquet(whole / "predictions.parquet")
    samples = pl.read_parquet(synthetic_run.out / "dataset" / "samples.parquet")
    methods = set(predictions["method"])
    assert methods == {"lstm", "reference-network", "logistic-regression", "gradient-boosting"}
    for method in methods:
        part = predictions.filter(pl.col("method") == method).sort("sample")
        assert part["subject_id"].to_list() == samples["subject_id"].to_list()
        assert part["label"].to_list() == samples["label"].to_list()
        assert part.group_by("subject_id").agg(pl.col("fold").n_unique())["fold"].max() == 1
    metrics = read_json(whole / "metrics.json")
    for method, figures in metrics["methods"].items():
        folds = predictions.filter(pl.col("method") == method).partition_by("fold", maintain_order=True)
        expected = {fold["fold"][0]: roc_auc_score(fold["label"], fold["probability"]) for fold in folds}
        assert figures["ensemble"]["auroc"]["folds"] == pytest.approx([expected[number] for number in range(2)])


def test_two_workers_and_a_kill_change_nothing(whole: Path, synthetic_run: Run, tmp_path: Path) -> None:
    dataset, out = synthetic_run.out / "dataset", tmp_path / "cross-validation"
    with subprocess.Popen(
        command("cross-validate", "--dataset", dataset, "--out", out, *SMALL, "--workers", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and len(list(tmp_path.glob(".*.work/*/lstm-*.json"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers = children_of(process.pid)
        assert len(workers) >= 2
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlives the command that was killed"
        time.sleep(0.05)
    done = cross_validate(dataset, out, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "going on after" in done.stderr
    assert (out / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    assert read_json(out / "manifest.json")["digest"] == read_json(whole / "manifest.json")["digest"]


@pytest.fixture
def inside(lstm_aa_inside: Call) -> Call:
    """Call the command in this process, which saves the start."""
    return lambda dataset, out, *options: lstm_aa_inside(
        "cross-validate", "--dataset", dataset, "--out", out, *SMALL, *options
    )


def test_hyperparameters_found_on_the_same_patients_are_refused(
    synthetic_run: Run, tmp_path: Path, inside: Call
) -> None:
    found = synthetic_run.out / "hyperparameters"
    done = inside(synthetic_run.out / "dataset", tmp_path / "out", "--hyperparameters", found)
    assert done.returncode == 2
    assert "a fold holds out" in done.stderr
    assert not (tmp_path / "out").exists()


def test_hyperparameters_found_on_another_split_of_the_same_patients_are_refused(
    synthetic_run: Run, tmp_path: Path, inside: Call, lstm_aa_inside: Call
) -> None:
    dataset = tmp_path / "dataset"
    events = synthetic_run.out / "events"
    made = lstm_aa_inside("preprocess", "--events", events, "--out", dataset, "--seed", "5")
    assert made.returncode == 0, made.stderr
    done = inside(dataset, tmp_path / "out", "--hyperparameters", synthetic_run.out / "hyperparameters")
    assert done.returncode == 2
    assert "a fold holds out" in done.stderr


@pytest.mark.parametrize(("option", "value"), [("--imputation", "interpolate"), ("--scaling", "min-max")])
def test_data_filled_or_clipped_by_held_out_patients_are_refused(
    option: str, value: str, synthetic_run: Run, tmp_path: Path, inside: Call, lstm_aa_inside: Call
) -> None:
    dataset = tmp_path / "dataset"
    events = synthetic_run.out / "events"
    made = lstm_aa_inside("preprocess", "--events", events, "--out", dataset, option, value)
    assert made.returncode == 0, made.stderr
    done = inside(dataset, tmp_path / "out")
    assert done.returncode == 2
    assert f"{option} {value}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_refit_learns_from_all_training_patients(whole: Path, synthetic_run: Run, tmp_path: Path, inside: Call) -> None:
    done = inside(synthetic_run.out / "dataset", tmp_path / "out", "--refit", "--no-compare")
    assert done.returncode == 0, done.stderr
    figures, stopped = (read_json(out / "metrics.json")["methods"]["lstm"] for out in (tmp_path / "out", whole))
    assert figures["f1"] is None
    assert stopped["f1"] is not None
    assert figures["epochs_mean"] == 3
    assert figures["ensemble"]["auroc"] != stopped["ensemble"]["auroc"]
