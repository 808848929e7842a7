"""The main job, from an ICU database to a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from safetensors.numpy import load_file

from end_to_end.conftest import KINDS, Run, digests, read_json


@pytest.mark.demo
def test_it_ends_with_five_lines_and_the_path_of_the_report(demo_run: Run) -> None:
    lines = demo_run.stdout.splitlines()
    assert len(lines) == 6
    assert lines[-1] == str(demo_run.out / "report" / "report.html")
    assert Path(lines[-1]).stat().st_size > 1_000_000
    assert lines[0].startswith("Cohort: 72 ICU stays of 56 patients")


@pytest.mark.demo
def test_the_same_command_again_leaves_everything_as_it_is(
    demo_run: Run, finish: Callable[..., Run], demo: Path
) -> None:
    before = digests(demo_run.out)
    again = finish(demo_run.out, f"csv:{demo}")
    assert again.stderr.count("up to date") == len(KINDS)
    assert digests(demo_run.out) == before
    assert again.stdout == demo_run.stdout


@pytest.mark.demo
def test_the_same_work_elsewhere_has_the_same_digests(
    demo_run: Run, finish: Callable[..., Run], demo: Path, tmp_path: Path
) -> None:
    assert digests(finish(tmp_path / "elsewhere", f"csv:{demo}").out) == digests(demo_run.out)


def test_another_seed_redoes_all_but_the_extraction(
    synthetic_run: Run, finish_inside: Callable[..., Run], tmp_path: Path
) -> None:
    other = finish_inside(tmp_path / "other", "synthetic:600", "--seed", 5).out
    assert digests(synthetic_run.out)["events"] == digests(other)["events"]
    for kind, file in {
        "dataset": "samples.parquet",
        "hyperparameters": "search.json",
        "model": "weights.safetensors",
        "attack-settings": "search.json",
        "examples": "perturbations.parquet",
        "report": "metrics.json",
    }.items():
        assert (synthetic_run.out / kind / file).read_bytes() != (other / kind / file).read_bytes(), kind


def test_a_changed_setting_redoes_what_depends_on_it_alone(finish_inside: Callable[..., Run], tmp_path: Path) -> None:
    before = digests(finish_inside(tmp_path / "run", "synthetic:600").out)
    after = digests(finish_inside(tmp_path / "run", "synthetic:600", "--attack.kappa", "0.5").out)
    assert {kind for kind in KINDS if before[kind] != after[kind]} == {"examples", "report"}


def test_nobody_is_attacked_but_correctly_classified_test_samples(synthetic_run: Run) -> None:
    examples = pl.read_parquet(synthetic_run.out / "examples" / "examples.parquet")
    predictions = pl.read_parquet(synthetic_run.out / "model" / "predictions.parquet")
    threshold = read_json(synthetic_run.out / "model" / "model.json")["threshold"]
    right = predictions.filter(
        (pl.col("split") == "test") & ((pl.col("probability") >= threshold) == (pl.col("label") == 1))
    )
    assert sorted(examples["sample"].unique()) == sorted(right["sample"])
    assert set(examples["label"].unique()) == {0, 1}


def test_every_example_turns_the_prediction_within_the_physiological_range(synthetic_run: Run) -> None:
    out = synthetic_run.out
    examples = pl.read_parquet(out / "examples" / "examples.parquet")
    threshold = read_json(out / "model" / "model.json")["threshold"]
    found = examples.filter("success")
    assert found.height > 0
    assert ((found["probability"] >= threshold) == (found["label"] == 0)).all()
    features = read_json(out / "dataset" / "features.json")["features"]
    ranges = pl.DataFrame(
        [(f["name"], *map(float, f["measurement"]["physiological"])) for f in features],
        schema={"feature": pl.String, "low": pl.Float64, "high": pl.Float64},
        orient="row",
    )
    cells = pl.read_parquet(out / "examples" / "perturbations.parquet").with_columns(pl.col("feature").cast(pl.String))
    cells = cells.join(ranges, on="feature").with_columns(
        original=pl.col("original_clinical").cast(pl.Float64),
        value=pl.col("original_clinical").cast(pl.Float64) + pl.col("delta_clinical").cast(pl.Float64),
    )
    slack = 1e-4 * (pl.col("high") - pl.col("low"))
    inside = cells.select(
        (pl.col("value") >= pl.min_horizontal("low", "original") - slack)
        & (pl.col("value") <= pl.max_horizontal("high", "original") + slack)
    ).to_series()
    assert inside.all()


def test_examples_of_clipped_data_stay_within_the_clip(finish_inside: Callable[..., Run], tmp_path: Path) -> None:
    """Protocol reference maps percentiles to 0 and 1: a value beyond them could not have come from any measurement."""
    out = finish_inside(tmp_path / "run", "synthetic:600", "--protocol", "reference").out
    values = load_file(out / "dataset" / "tensors.safetensors")["values"]
    names = [feature["name"] for feature in read_json(out / "dataset" / "features.json")["features"]]
    cells = pl.read_parquet(out / "examples" / "perturbations.parquet").cast({"feature": pl.Enum(names)})
    assert cells.height > 0
    at = (cells["sample"].to_numpy(), cells["hour"].to_numpy(), cells["feature"].to_physical().to_numpy())
    changed = values[at] + cells["delta"].to_numpy()
    assert changed.min() >= -1e-5
    assert changed.max() <= 1 + 1e-5
    assert (values.min(), values.max()) == (0.0, 1.0)


def test_what_the_user_asks_for_beats_what_a_search_found(finish_inside: Callable[..., Run], tmp_path: Path) -> None:
    out = finish_inside(tmp_path / "run", "synthetic:600", "--train.hidden-units", 16, "--attack.descent", 0.123).out
    model, attack = read_json(out / "model" / "model.json"), read_json(out / "examples" / "attack.json")
    assert model["architecture"]["hidden_units"] == model["settings"]["hidden_units"] == 16
    assert attack["settings"]["descent"] == 0.123
    found = (
        read_json(out / "hyperparameters" / "search.json")["best"],
        read_json(out / "attack-settings" / "search.json")["best"],
    )
    assert model["settings"]["dropout"] == found[0]["dropout"]
    assert attack["settings"]["width"] == found[1]["width"]
    page = (out / "report" / "report.html").read_text()
    assert "hidden_units 16" in page
    assert "descent 0.123" in page


def test_counts_are_kept_from_stage_to_stage(synthetic_run: Run) -> None:
    out = synthetic_run.out
    rows = {kind: read_json(out / kind / "manifest.json")["rows"] for kind in KINDS}
    flow = read_json(out / "dataset" / "cohort_flow.json")
    assert flow[-1]["stays"] == rows["events"]["stays"] == rows["dataset"]["samples"] == rows["model"]["predictions"]
    examples = pl.read_parquet(out / "examples" / "examples.parquet")
    cells = pl.read_parquet(out / "examples" / "perturbations.parquet")
    counted = cells.group_by("sample", "kind").len("cells")
    joined = examples.filter("success").join(counted, on=["sample", "kind"], how="left")
    assert (joined["l0"] == joined["cells"]).all()
    metrics = read_json(out / "report" / "metrics.json")
    assert metrics["cohort_flow"][-1]["stays"] == flow[-1]["stays"]


def test_no_table_holds_a_date(synthetic_run: Run) -> None:
    tables = list(synthetic_run.out.glob("*/*.parquet"))
    assert len(tables) > 8
    for path in tables:
        assert not any(dtype.is_temporal() for dtype in pl.read_parquet_schema(path).values()), path
