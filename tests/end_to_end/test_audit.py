"""The audit from the command line: the claim and the truth, the same bytes again, and a kill in the middle."""

from __future__ import annotations

import html
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser

from end_to_end.conftest import VIEWS, Call, Run, barriers, command, read_json

QUICK = (
    *("--folds", "3", "--epochs", "16", "--hidden-units", "24", "--batch-size", "16", "--lr", "0.005"),
    *("--resamples", "50", "--device", "cpu"),
)
SOURCE = ("--source", "synthetic:600")
FILES = {"audit.json", "audit.html", "weights.safetensors", "manifest.json"}


@pytest.fixture
def audit(lstm_aa_inside: Call) -> Callable[..., Run]:
    """Call the command in this process, which saves the start."""

    def call(out: Path, *arguments: object, code: int = 0) -> Run:
        done = lstm_aa_inside("audit", "--out", out, *arguments)
        assert done.returncode == code, done.stderr
        return Run(out, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("audit") / "runs"
    audit = command("audit", "--out", out, *SOURCE, *QUICK)
    done = subprocess.run(audit, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return Run(out, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def found(finished: Run) -> dict[str, Any]:
    findings: dict[str, Any] = read_json(finished.out / "audit" / "audit.json")
    return findings


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    (view,) = [view for view in found["views"] if view["name"] == name]
    mean: dict[str, Any] = view["mean"]
    return mean


def test_the_claim_is_far_above_the_truth(found: dict[str, Any]) -> None:
    claimed, honest = of(found, "reference"), of(found, "held-out")
    assert claimed["f1"] > honest["f1"] + 0.25
    assert claimed["prevalence"] == pytest.approx(0.5, abs=0.05)
    assert honest["prevalence"] == pytest.approx(found["cohort"]["deaths"] / found["cohort"]["samples"], abs=0.01)
    assert of(found, "reference")["f1"] > of(found, "training")["f1"] > honest["f1"]
    assert of(found, "held-out-balanced")["f1"] > honest["f1"]


def test_the_steps_add_up(found: dict[str, Any]) -> None:
    steps = found["steps"]
    added = sum(steps[name] for name in ("honest", "training_alone", "resampling_alone", "together"))
    assert added == pytest.approx(steps["claimed"])
    assert steps["honest"] == of(found, "held-out")["f1"]
    assert steps["honest"] + steps["resampling_alone"] == pytest.approx(of(found, "held-out-balanced")["f1"])
    limits = found["limits"]
    assert limits["max_f1"] < limits["f1_bound"] < 1
    assert limits["auroc"] < limits["auroc_for_claimed"] < 1


def test_every_sample_is_held_out_once(found: dict[str, Any]) -> None:
    cohort, folds = found["cohort"], found["folds"]
    assert len(folds) == 3
    for count in ("samples", "patients", "deaths"):
        assert sum(fold["held_out"][count] for fold in folds) == cohort[count]
        assert all(fold["held_out"][count] + fold["training"][count] == cohort[count] for fold in folds)
    assert all(len(fold["history"]) == 16 for fold in folds)


def test_what_is_printed_is_what_was_found(finished: Run, found: dict[str, Any]) -> None:
    lines = finished.stdout.splitlines()
    assert lines[-1] == str(finished.out / "audit" / "audit.html")
    assert lines[-1 - len(found["headline"]) : -1] == found["headline"]
    for view in found["views"]:
        (line,) = [line for line in lines if line.startswith(view["title"])]
        assert f" {view['mean']['f1']:.3f} " in line
    page = html.unescape((finished.out / "audit" / "audit.html").read_text())
    assert all(view["title"] in page and f"{view['mean']['f1']:.3f}" in page for view in found["views"])
    assert not re.search(r"(src|href)=\"(?!data:)", page), "the page loads nothing"
    assert {path.name for path in (finished.out / "audit").iterdir()} == FILES


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_the_page_has_no_barriers(browser: Browser, finished: Run, width: int, scheme: str) -> None:
    assert barriers(browser, finished.out / "audit" / "audit.html", width, scheme) == []


def test_no_patient_is_named(finished: Run) -> None:
    samples = pl.read_parquet(finished.out / "dataset" / "samples.parquet")
    ids = {str(number) for column in ("stay_id", "subject_id", "hadm_id") for number in samples[column]}
    told = [finished.stdout, finished.stderr]
    told += [(finished.out / "audit" / name).read_text() for name in ("audit.json", "audit.html")]
    for text in told:
        assert not ids & set(re.findall(r"(?<![\w.])\d{5,}(?![\w.])", text))


def test_the_second_time_nothing_is_done_again(finished: Run, audit: Callable[..., Run]) -> None:
    again = audit(finished.out, *SOURCE, *QUICK)
    assert again.stderr.count("up to date") == 3
    assert again.stdout == finished.stdout


def test_another_time_and_after_a_kill_the_bytes_are_the_same(
    finished: Run, audit: Callable[..., Run], tmp_path: Path
) -> None:
    dataset = ("--dataset", finished.out / "dataset")
    out = tmp_path / "killed"
    with subprocess.Popen(
        command("audit", "--out", out, *dataset, *QUICK), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and not list(out.glob(".audit.work/*/fold-1.safetensors")):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "audit").exists()
    resumed = audit(out, *dataset, *QUICK)
    assert "fold 1 of 3, epochs: going on after 16 of 16" in resumed.stderr
    assert re.search(r"fold 2 of 3, epochs: going on after \d+ of 16", resumed.stderr)
    for name in FILES - {"manifest.json"}:
        assert (out / "audit" / name).read_bytes() == (finished.out / "audit" / name).read_bytes(), name
    digests = [json.loads((at / "audit" / "manifest.json").read_text())["digest"] for at in (out, finished.out)]
    assert digests[0] == digests[1]
    assert [path.name for path in out.iterdir()] == ["audit"], "a finished audit leaves nothing else"


def test_a_dataset_of_another_protocol_is_refused(
    finished: Run, audit: Callable[..., Run], lstm_aa_inside: Call, tmp_path: Path
) -> None:
    made = lstm_aa_inside("preprocess", "--events", finished.out / "events", "--out", tmp_path / "dataset")
    assert made.returncode == 0, made.stderr
    refused = audit(tmp_path / "runs", "--dataset", tmp_path / "dataset", code=2)
    assert "imputation forward-fill, where the recipe that is audited has interpolate" in refused.stderr
    assert "--protocol reference" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --source, such as synthetic:8000, or --dataset"),
        (("--source", "synthetic:600", "--dataset", "x"), "give either --source"),
        (("--source", "synthetic:600", "--folds", "1"), "--folds 1"),
        (("--dataset", "nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    audit: Callable[..., Run], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    refused = audit(tmp_path / "runs", *arguments, code=2)
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("lstm-aa: error:")]
    assert message in line
    assert not refused.stdout


def test_too_many_folds_are_refused(finished: Run, audit: Callable[..., Run], tmp_path: Path) -> None:
    refused = audit(tmp_path / "runs", "--dataset", finished.out / "dataset", "--folds", "60", code=2)
    assert re.search(r"\d+ who died are too few for 60 folds; give a larger source, or fewer --folds", refused.stderr)


def test_a_folder_with_something_else_is_left_alone(audit: Callable[..., Run], tmp_path: Path) -> None:
    kept = tmp_path / "runs" / "notes.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    assert "holds something else (notes.txt)" in audit(kept.parent, *SOURCE, code=2).stderr
    assert kept.read_text() == "mine"
