"""A model that depends on three known cells: the report finds them first, with intervals that exclude all others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from lstm_adversarial_attack import cli
from lstm_adversarial_attack.artifacts import Artifact, Identity, open_artifact, write_artifact
from lstm_adversarial_attack.artifacts.contents import ModelCard
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.frames import BASELINE_PREDICTIONS, HISTORY, PREDICTIONS
from lstm_adversarial_attack.models import load_model
from lstm_adversarial_attack.train.stage import predict

PLANTED = ("heart_rate", "resp_rate", "sysbp")
LAST_HOUR = 47
#: Largest weight of every other cell of the last hour, where those of the planted ones are some 0.7.
FAINT = 0.03


def planted_weights(weights: dict[str, torch.Tensor], features: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Make each of three units the tangent of one measurement in the hour read, and death their sum.

    Input and output gate stand open, the forget gate is closed: only the last step counts.
    """
    units = 3
    new = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    wide = new["lstm.weight_ih_l0"]  # input, forget, cell and output gate, [4 * units, feature]
    generator = torch.Generator().manual_seed(0)
    cell = slice(2 * units, 3 * units)
    wide[cell, : len(features)] = FAINT * (2 * torch.rand(units, len(features), generator=generator) - 1)
    for unit, (name, weight) in enumerate(zip(PLANTED, (0.7, 0.7, -0.77), strict=True)):
        wide[2 * units + unit, features.index(name)] = weight
    bias = new["lstm.bias_ih_l0"]
    bias[:units], bias[units : 2 * units], bias[3 * units :] = 9.0, -9.0, 9.0
    new["output.weight"][:] = torch.tensor([[-2.0] * units, [2.0] * units])
    new["output.bias"][:] = torch.tensor([0.9, -0.9])
    return new


@dataclass(frozen=True)
class Planted:
    """Artifacts that the planted model is part of."""

    dataset: Path
    model: Path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    out = tmp_path_factory.mktemp("planted")
    made = Planted(out / "dataset", out / "model")
    for command in (
        ["extract", "--source", "synthetic:4000", "--out", out / "events"],
        ["preprocess", "--events", out / "events", "--out", made.dataset, "--test-share", "0.5"],
        ["train", "--dataset", made.dataset, "--out", out / "trained", "--inputs", "values", "--hidden-units", "3",
         "--no-bidirectional", "--pooling", "last", "--hours-per-step", "48", "--projection-units", "0",
         "--shortcut-units", "0", "--encoding-bins", "0", "--no-static", "--max-epochs", "1", "--resamples", "10",
         "--no-baselines"],
    ):  # fmt: skip
        cli.main([str(word) for word in command])
    _plant(open_artifact(out / "trained", "model"), open_artifact(made.dataset, "dataset"), made.model)
    return made


def _plant(trained: Artifact, dataset_artifact: Artifact, out: Path) -> None:
    """Write a model artifact like ``trained``, with the planted weights and what they predict."""
    card = trained.json("model.json", ModelCard)
    one = trained.manifest
    weights = planted_weights(load_file(trained.file("weights.safetensors")), card.features)
    with write_artifact(
        out, Identity(kind="model", settings=one.settings, seed=one.seed, inputs=one.inputs), stage="train"
    ) as draft:
        save_file(weights, draft.path / "weights.safetensors")
        draft.write_json("model.json", msgspec.structs.replace(card, threshold=0.5))
        model, _ = load_model(trained)
        model.load_state_dict(weights)
        predictions, _ = predict(model, load_dataset(dataset_artifact, torch.device("cpu")))
        draft.write_frame("predictions.parquet", predictions, PREDICTIONS)
        draft.write_frame("baselines.parquet", pl.DataFrame(schema=dict(BASELINE_PREDICTIONS)), BASELINE_PREDICTIONS)
        draft.write_frame("history.parquet", trained.frame("history.parquet", HISTORY), HISTORY)
        draft.write_json("metrics.json", json.loads(trained.file("metrics.json").read_text()))


def report(planted: Planted, out: Path, threat: str) -> Path:
    made_on = ["--dataset", str(planted.dataset), "--model", str(planted.model)]
    cli.main(["attack", *made_on, "--threat", threat, "--steps", "100", "--out", str(out / "examples")])
    cli.main(["evaluate", *made_on, "--examples", str(out / "examples"), "--out", str(out / "report")])
    return out / "report"


def test_the_three_cells_come_first_and_their_intervals_exclude_the_others(planted: Planted, tmp_path: Path) -> None:
    cells = pl.read_parquet(report(planted, tmp_path, "grid") / "susceptibility_cells.parquet")
    wanted = {(LAST_HOUR, name) for name in PLANTED}
    for direction in ("0_to_1", "1_to_0"):
        found = cells.filter(direction=direction, kind="sparsest").sort("gpp", descending=True)
        assert found["examples"][0] >= 10
        assert set(found["hour", "feature"].head(3).rows()) == wanted
        first, others = found.head(3), found.slice(3)
        assert first["gpp_low"].min() > others["gpp_high"].max()
    reached = cells.filter(kind="first", direction="0_to_1").sort("s", descending=True)
    assert set(reached["hour", "feature"].head(3).rows()) == wanted  # Sun et al.'s score ranks them so too


def test_their_measurements_come_first_where_charted_values_change(planted: Planted, tmp_path: Path) -> None:
    folder = report(planted, tmp_path, "charted")
    sturdy = pl.read_parquet(folder / "susceptibility_sturdy.parquet").filter(kind="sparsest", direction="0_to_1")
    ranked = sturdy.sort("rank")
    assert set(ranked["feature"].head(3)) == set(PLANTED)
    assert ranked["share_low"].head(3).min() > ranked["share_high"].slice(3).max()
    assert ranked["share_matched_low"].head(3).min() > ranked["share_matched_high"].slice(3).max()
    assert ranked["rank_high"].head(3).max() <= 3
    edits = pl.read_parquet(folder / "smallest_edits.parquet").filter(direction="0_to_1")
    shares = dict(edits["feature", "share"].rows())
    others = [share for name, share in shares.items() if name not in (*PLANTED, "any")]
    assert max(others) < min(shares[name] for name in PLANTED)
    agreement = pl.read_parquet(folder / "rank_agreement.parquet").filter(direction="0_to_1")
    assert (
        agreement.filter(against="saliency")["spearman"].item() > agreement.filter(against="chance")["spearman"].item()
    )


def test_the_planted_model_reads_the_three_cells_above_all(planted: Planted) -> None:
    """What the tests above call known, asked of the model itself."""
    model, _ = load_model(open_artifact(planted.model, "model"))
    artifact = open_artifact(planted.dataset, "dataset")
    names = artifact.json("features.json", FeatureSet).names
    batch = load_dataset(artifact, torch.device("cpu")).tensors[:50]
    values = batch.values.clone().requires_grad_()
    model(values, *batch.context)[:, 1].sum().backward()
    slope = values.grad.abs().sum(dim=0)
    assert slope[:LAST_HOUR].max() == 0
    columns = slope[LAST_HOUR].argsort(descending=True)[:3].tolist()
    assert {names[column] for column in columns} == set(PLANTED)
