"""`lstm-aa check-attack` on a finished run, and the gate's exit code."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from end_to_end.conftest import Call, Run, command, read_json
from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.models import death_probability, load_model, predict_logits

METHODS = ("random", "random", "sigma-zero")  # one of them twice


@pytest.fixture(scope="module")
def checked(synthetic_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("checks")
    done = call_outside(
        *("check-attack", synthetic_run.out, "--out", out, "--methods", *METHODS, "--seeds", 1, "--max-samples", 12),
        *("--evaluate.resamples", 100, "--device", "cpu"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out / "report" / "report.html")
    return out


def call_outside(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=300, check=False)


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "report" / f"{name}.parquet")


def test_every_attack_and_model_is_in_the_report(checked: Path) -> None:
    attacks = set(table(checked, "other_attacks")["attack"])
    steps = read_json(checked / "examples-steps-doubled" / "attack.json")["settings"]["steps"]
    assert {f"steps {steps}", "method random", "method sigma-zero", "model with seed 1"} < attacks
    assert len(attacks) == 5  # and the plain network
    page = (checked / "report" / "report.html").read_text()
    for attack in attacks:
        assert attack in page
    pairs = set(table(checked, "transfer")["attacked", "judging"].rows())
    assert {("this model", "model with seed 1"), ("model with seed 1", "this model")} <= pairs
    assert len(pairs) == 4
    assert set(table(checked, "rank_agreement")["against"]) >= attacks


def test_chance_does_worse_and_twice_the_steps_no_worse(checked: Path) -> None:
    rows = {row["attack"]: row for row in table(checked, "other_attacks").filter(direction="0_to_1").to_dicts()}
    random, doubled = rows["method random"], next(row for name, row in rows.items() if name.startswith("steps"))
    assert random["this_sparser"] > random["sparser"]
    assert doubled["sparser"] >= doubled["this_sparser"]


def test_what_transfers_is_what_the_other_model_says_of_the_changed_values(checked: Path, synthetic_run: Run) -> None:
    """Charted changes are carried forward here hour by hour, by hand."""
    dataset = open_artifact(synthetic_run.out / "dataset", "dataset")
    loaded = load_dataset(dataset, torch.device("cpu"))
    model, card = load_model(open_artifact(checked / "model-seed-1", "model"))
    found = pl.read_parquet(checked / "transfer-to-seed-1" / "transfer.parquet")
    cells = pl.read_parquet(synthetic_run.out / "examples" / "perturbations.parquet")
    assert found.height > 10
    for row in found.head(12).to_dicts():
        sample = loaded.tensors[torch.tensor([row["sample"]])]
        values, observed = sample.values.clone(), sample.observed[0].numpy()
        changed = cells.filter(sample=row["sample"], kind=row["kind"])
        places = zip(changed["hour"], changed["feature"].to_physical(), changed["delta"], strict=True)
        for hour, feature, delta in places:
            until = next((h for h in range(hour + 1, len(observed)) if observed[h, feature]), len(observed))
            values[0, hour:until, feature] += delta
        for values_read, column in ((sample.values, "clean_probability"), (values, "probability")):
            logits = predict_logits(model, dataclasses.replace(sample, values=values_read))
            assert death_probability(logits).item() == pytest.approx(row[column], abs=1e-5)
    card_said = json.loads((checked / "transfer-to-seed-1" / "transfer.json").read_text())
    assert card_said["threshold"] == card.threshold
    assert (card_said["attacked"]["seed"], card_said["judging"]["seed"]) == (0, 1)
    shown = table(checked, "transfer").filter(judging="model with seed 1", kind="sparsest", direction="0_to_1")
    part = found.filter(kind="sparsest", label=0).filter(pl.col("clean_probability") < card.threshold)
    assert shown["turned"].item() == pytest.approx(np.mean(part["probability"].to_numpy() >= card.threshold))


def test_again_it_has_nothing_to_do(checked: Path, synthetic_run: Run, lstm_aa_inside: Call) -> None:
    done = lstm_aa_inside(
        *("check-attack", synthetic_run.out, "--out", checked, "--methods", *METHODS, "--seeds", 1),
        *("--max-samples", 12, "--evaluate.resamples", 100, "--device", "cpu"),
    )
    assert done.returncode == 0
    assert "done in" not in done.stderr


def test_a_run_that_is_not_there(tmp_path: Path, lstm_aa_inside: Call) -> None:
    done = lstm_aa_inside("check-attack", tmp_path / "nothing")
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_other_examples_must_be_of_the_dataset(
    checked: Path, synthetic_run: Run, tmp_path: Path, lstm_aa_inside: Call
) -> None:
    made = [f"--{kind}={synthetic_run.out / kind}" for kind in ("dataset", "model", "examples")]
    made += ["--out", str(tmp_path / "report")]
    twice = lstm_aa_inside("evaluate", *made, "--other-examples", synthetic_run.out / "examples")
    assert twice.returncode == 2
    assert "holds the same examples" in twice.stderr
    lost = lstm_aa_inside("evaluate", *made, "--transfers", checked / "transfer-from-seed-1")
    assert lost.returncode == 2
    assert "of examples that were not given" in lost.stderr


def test_the_gate_tells_by_its_exit_code(synthetic_run: Run, tmp_path: Path, lstm_aa_inside: Call) -> None:
    made = [f"--{kind}={synthetic_run.out / kind}" for kind in ("dataset", "model", "examples")]
    out = ("--out", tmp_path / "report", "--resamples", 20)
    strict = ("--min-auroc", 0.999, "--max-turned", 0.01)
    assert lstm_aa_inside("evaluate", *made, *out, *strict).returncode == 0
    refused = call_outside("evaluate", *made, *out, *strict, "--enforce-gate")
    assert refused.returncode == 3
    assert "below min_auroc 0.999" in refused.stderr
    assert "above max_turned 0.010" in refused.stderr
    assert (tmp_path / "report" / "report.html").is_file()
    lenient = ("--min-auroc", 0, "--max-calibration-error", 1)
    assert lstm_aa_inside("evaluate", *made, *out, *lenient, "--enforce-gate").returncode == 0


def test_a_shard_is_refused_before_any_work(synthetic_run: Run, tmp_path: Path, lstm_aa_inside: Call) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for kind in ("dataset", "model"):
        (run / kind).symlink_to(synthetic_run.out / kind)
    made = [f"--{kind}={synthetic_run.out / kind}" for kind in ("dataset", "model")]
    shard = ("--shard", "1/2", "--steps", 10, "--chunk-size", 4, "--device", "cpu")
    assert lstm_aa_inside("attack", *made, *shard, "--out", run / "examples").returncode == 0
    done = lstm_aa_inside("check-attack", run)
    assert done.returncode == 2
    assert "shard 1/2" in done.stderr
    assert not (run / "checks").exists()
