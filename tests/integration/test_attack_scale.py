"""Attacks in parts: by shards that are merged, killed and taken up elsewhere, and tuning whose journal is copied."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from integration.conftest import Artifacts
from integration.test_checkpoints import BOUND_S, command, environment
from lstm_adversarial_attack import cli
from seaweedfs_server import Server, running_seaweedfs

Call = Callable[..., subprocess.CompletedProcess[str]]

BUCKET = "work"
SHARDED = ("--steps", "12", "--chunk-size", "5", "--device", "cpu")
#: Some twenty chunks of half a second.
LONG = ("--split", "train", "--steps", "60", "--chunk-size", "10", "--device", "cpu")
#: Some ten trials of a third of a second.
SEARCH = ("--steps", "30", "--trials", "10", "--max-samples", "16", "--objective", "sparsity", "--device", "cpu")
TUNE = ("--trials", "6", "--max-epochs", "6", "--device", "cpu")


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    with running_seaweedfs() as server:
        server.client.make_bucket(BUCKET)
        yield server


def manifest(out: Path) -> Any:
    return json.loads((out / "manifest.json").read_text())


def digest(out: Path) -> str:
    found: str = manifest(out)["digest"]
    return found


def attack(artifacts: Artifacts, out: Path, *options: object) -> Path:
    made_of = ["--dataset", str(artifacts.dataset), "--model", str(artifacts.model)]
    cli.main(["attack", *made_of, "--out", str(out), *map(str, options)])
    return out


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a command says of what a user can mend."""
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("lstm-aa: error:")]
    assert "Traceback" not in done.stderr
    return line


# --- shards -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shards:
    """An attack on all samples, and the same in three shards."""

    whole: Path
    parts: tuple[Path, ...]


@pytest.fixture(scope="module")
def shards(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    out = tmp_path_factory.mktemp("shards")
    whole = attack(artifacts, out / "whole", *SHARDED)
    parts = (attack(artifacts, out / f"{n}-of-3", *SHARDED, "--shard", f"{n}/3") for n in (1, 2, 3))
    return Shards(whole, tuple(parts))


def merged(call: Call, out: object, *shards: object, more: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return call("merge-examples", "--examples", *shards, "--out", out, *more)


def test_three_shards_merge_to_the_very_artifact_of_one_attack(
    lstm_aa_inside: Call, shards: Shards, tmp_path: Path
) -> None:
    one, two, three = shards.parts

    done = merged(lstm_aa_inside, "merged", three, one, two)

    assert done.returncode == 0, done.stderr
    here, there = manifest(tmp_path / "merged"), manifest(shards.whole)
    for name in ("digest", "kind", "stage", "settings", "seed", "inputs", "files", "rows"):
        assert here[name] == there[name], name
    assert here["environment"].keys() == there["environment"].keys() | {"shards"}
    assert not list(tmp_path.glob(".*"))
    samples = [set(pl.read_parquet(part / "examples.parquet")["sample"]) for part in shards.parts]
    assert all(samples)
    assert sum(map(len, samples)) == len(set.union(*samples)) == here["rows"]["examples"] / 3


def test_what_is_merged_is_up_to_date_for_merge_and_attack_alike(
    lstm_aa_inside: Call, shards: Shards, artifacts: Artifacts, tmp_path: Path
) -> None:
    merged(lstm_aa_inside, "merged", *shards.parts)
    made = manifest(tmp_path / "merged")

    assert "up to date" in merged(lstm_aa_inside, "merged", *shards.parts).stderr
    made_of = ("--dataset", artifacts.dataset, "--model", artifacts.model)
    assert "up to date" in lstm_aa_inside("attack", *made_of, "--out", "merged", *SHARDED).stderr
    assert manifest(tmp_path / "merged") == made
    again = merged(lstm_aa_inside, "merged", *shards.parts, more=("--force",)).stderr
    assert "up to date" not in again
    assert digest(tmp_path / "merged") == made["digest"]


def test_examples_may_be_named_one_by_one(lstm_aa_inside: Call, shards: Shards, tmp_path: Path) -> None:
    named = [word for part in shards.parts for word in ("--examples", part)]
    assert lstm_aa_inside("merge-examples", *named, "--out", "merged").returncode == 0
    assert digest(tmp_path / "merged") == digest(shards.whole)


def test_shards_without_a_chunk_are_empty_and_merge(lstm_aa_inside: Call, artifacts: Artifacts, tmp_path: Path) -> None:
    options = ("--steps", "3", "--max-samples", "4", "--chunk-size", "2")
    made_of = ("--dataset", artifacts.dataset, "--model", artifacts.model)
    whole = attack(artifacts, tmp_path / "whole", *options)
    parts = [tmp_path / f"{number}" for number in (1, 2, 3)]
    said = [
        lstm_aa_inside("attack", *made_of, "--out", part, *options, "--shard", f"{part.name}/3").stderr
        for part in parts
    ]
    assert "4 samples are 2 chunks of 2, none of them for shard 3/3" in said[2]
    assert manifest(parts[2])["rows"] == dict.fromkeys(("examples", "frontier", "perturbations", "singles", "edits"), 0)

    assert merged(lstm_aa_inside, "merged", *parts).returncode == 0

    assert digest(tmp_path / "merged") == digest(whole)


def test_one_shard_of_one_is_the_whole(lstm_aa_inside: Call, artifacts: Artifacts, shards: Shards,
                                       tmp_path: Path) -> None:  # fmt: skip
    alone = attack(artifacts, tmp_path / "alone", *SHARDED, "--shard", "1/1")
    assert merged(lstm_aa_inside, "merged", alone).returncode == 0
    assert digest(tmp_path / "merged") == digest(shards.whole)


def test_shards_that_do_not_belong_together_are_refused(
    lstm_aa_inside: Call, artifacts: Artifacts, shards: Shards, tmp_path: Path
) -> None:
    one, two, three = shards.parts

    def said(*parts: Path) -> str:
        line = refused(merged(lstm_aa_inside, "merged", *parts))
        assert not (tmp_path / "merged").exists()
        return line

    assert "2 of 3 shards missing: 1/3, 3/3" in said(two)
    assert "1 of 3 shards missing: 2/3" in said(one, three)
    assert "both are shard 2/3; give each shard once" in said(one, two, three, two)
    assert "holds all samples of an attack, not a shard" in said(one, two, three, shards.whole)
    assert "needed; give the artifact of that kind" in said(one, two, artifacts.model)
    other = attack(artifacts, tmp_path / "steps", "--steps", "2", *SHARDED[2:], "--shard", "3/3")
    assert "made with steps 2, but" in said(one, two, other)
    size = attack(artifacts, tmp_path / "size", *SHARDED[:2], "--chunk-size", "7", "--shard", "3/3")
    assert "made with chunk_size 7, but" in said(one, two, size)
    four = attack(artifacts, tmp_path / "four", *SHARDED, "--shard", "3/4")
    assert "made with a number of shards of 4, but" in said(one, two, four)
    model = tmp_path / "model"
    cli.main(["train", "--dataset", str(artifacts.dataset), "--out", str(model), "--hidden-units", "5",
              "--max-epochs", "1", "--resamples", "10", "--no-baselines"])  # fmt: skip
    foreign = tmp_path / "foreign"
    made_of = ["--dataset", str(artifacts.dataset), "--model", str(model)]
    cli.main(["attack", *made_of, "--out", str(foreign), *SHARDED, "--shard", "3/3"])
    assert "made with model " in said(one, two, foreign)


def test_a_shard_is_never_overwritten_by_what_it_is_merged_to(
    lstm_aa_inside: Call, shards: Shards, tmp_path: Path
) -> None:
    parts = [shutil.copytree(part, tmp_path / part.name) for part in shards.parts]
    assert "is one of the shards; give --out another" in refused(merged(lstm_aa_inside, parts[0], *parts))
    assert manifest(parts[0])["settings"]["shard"] == "1/3"


def test_a_report_is_of_all_samples(lstm_aa_inside: Call, artifacts: Artifacts, shards: Shards) -> None:
    made_of = ("--dataset", artifacts.dataset, "--model", artifacts.model)
    said = refused(lstm_aa_inside("evaluate", *made_of, "--examples", shards.parts[1], "--out", "report"))
    assert "holds shard 2/3 of the samples; join all shards first, with lstm-aa merge-examples" in said
    assert "--attack.shard 1/2: run reports on all samples" in refused(lstm_aa_inside("run", "--attack.shard", "1/2"))


@pytest.mark.parametrize("shard", ["4/3", "0/3", "third"])
def test_a_shard_that_there_is_not_is_refused(lstm_aa_inside: Call, artifacts: Artifacts, shard: str) -> None:
    made_of = ("--dataset", artifacts.dataset, "--model", artifacts.model)
    assert f"--shard {shard}:" in refused(lstm_aa_inside("attack", *made_of, "--out", "x", "--shard", shard))


# --- twice the same; killed, and taken up on another machine ----------------------------------------------------


def test_the_same_attack_twice_has_one_digest_and_says_the_size_that_was_chosen(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    one, two = (attack(artifacts, tmp_path / name, "--steps", "12", "--device", "cpu") for name in ("one", "two"))
    assert digest(one) == digest(two)
    assert manifest(one)["settings"]["chunk_size"] == 0
    assert json.loads((one / "attack.json").read_text())["settings"]["chunk_size"] == 64


@dataclass(frozen=True)
class Undisturbed:
    """Digests of work that nothing happens to."""

    examples: str
    attack_settings: str
    hyperparameters: str


@pytest.fixture(scope="module")
def undisturbed(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    out = tmp_path_factory.mktemp("undisturbed")
    made_of = ["--dataset", str(artifacts.dataset), "--model", str(artifacts.model)]
    cli.main(["attack", *made_of, "--out", str(out / "examples"), *LONG])
    cli.main(["attack-tune", *made_of, "--out", str(out / "attack-settings"), *SEARCH])
    cli.main(["tune", *made_of[:2], "--out", str(out / "hyperparameters"), *TUNE])
    return Undisturbed(*(digest(out / name) for name in ("examples", "attack-settings", "hyperparameters")))


def killed(arguments: list[str], env: dict[str, str], seen: Callable[[], bool]) -> None:
    """Start a command and kill it without warning when enough of its copies is seen."""
    deadline = time.monotonic() + BOUND_S
    with subprocess.Popen(arguments, env=env, stderr=subprocess.DEVNULL) as process:
        while not seen() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def finished(arguments: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def went_on_after(said: str) -> int:
    found = re.search(r"going on after (\d+) of", said)
    assert found is not None, said
    return int(found[1])


def test_a_killed_attack_goes_on_on_another_machine(
    s3: Server, artifacts: Artifacts, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    address, env = f"s3://{BUCKET}/attack", environment(s3)
    made_of = (
        "--dataset",
        artifacts.dataset,
        "--model",
        artifacts.model,
        *LONG,
        "--checkpoints",
        address,
    )

    def chunks() -> list[str]:
        return [name for name in s3.names(BUCKET) if re.search(r"attack/.*/chunk-10-\d+\.safetensors$", name)]

    killed(command("attack", *made_of, "--out", tmp_path / "here" / "examples"), env, lambda: len(chunks()) >= 3)
    copied = len(chunks())
    shutil.rmtree(tmp_path / "here")

    said = finished(command("attack", *made_of, "--out", tmp_path / "there" / "examples"), env)

    assert went_on_after(said) >= 10 * (copied - 1)
    assert digest(tmp_path / "there" / "examples") == undisturbed.examples
    assert not [name for name in s3.names(BUCKET) if name.startswith("attack/")], "nothing is left of finished work"


def test_a_killed_attack_goes_on_where_it_was(artifacts: Artifacts, undisturbed: Undisturbed, tmp_path: Path) -> None:
    env, out = environment(None), tmp_path / "examples"
    arguments = command(
        *("attack", "--dataset", artifacts.dataset, "--model", artifacts.model),
        *(*LONG, "--out", out),
    )
    killed(arguments, env, lambda: len(list(tmp_path.glob(".examples.work/*/chunk-10-*.safetensors"))) >= 2)
    killed(arguments, env, lambda: len(list(tmp_path.glob(".examples.work/*/chunk-10-*.safetensors"))) >= 4)
    assert went_on_after(finished(arguments, env)) >= 40
    assert digest(out) == undisturbed.examples
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("stage", ["tune", "attack-tune"])
def test_a_killed_search_goes_on_elsewhere_from_the_copy_of_its_journal(
    artifacts: Artifacts, undisturbed: Undisturbed, stage: str, tmp_path: Path
) -> None:
    env, volume = environment(None), tmp_path / "volume"
    made_of = ["--dataset", artifacts.dataset, "--checkpoints", volume]
    made_of += [*TUNE] if stage == "tune" else ["--model", artifacts.model, *SEARCH]

    def finished_trials() -> int:
        return sum(file.read_bytes().count(b'"state":1') + file.read_bytes().count(b'"state": 1')
                   for file in volume.glob("*/journal.log"))  # fmt: skip

    killed(command(stage, *made_of, "--out", tmp_path / "here" / "found"), env, lambda: finished_trials() >= 2)
    shutil.rmtree(tmp_path / "here")
    (copy,) = volume.glob("*/journal.log")
    whole = copy.read_bytes()
    copy.write_bytes(whole[: whole.rstrip().rfind(b"\n") + 20])  # as a copy that was made amid a line

    said = finished(command(stage, *made_of, "--out", tmp_path / "there" / "found"), env)

    assert went_on_after(said) >= 1
    expected = undisturbed.hyperparameters if stage == "tune" else undisturbed.attack_settings
    assert digest(tmp_path / "there" / "found") == expected
    assert not list(volume.iterdir())


# --- what attack-tune refuses, and what it hands to attack ------------------------------------------------------


@pytest.mark.parametrize("method", ["random", "gradient-free"])
def test_controls_have_nothing_to_tune(lstm_aa_inside: Call, artifacts: Artifacts, method: str) -> None:
    made_of = ("--dataset", artifacts.dataset, "--model", artifacts.model)
    said = refused(lstm_aa_inside("attack-tune", *made_of, "--out", "x", "--method", method))
    assert f"method {method} is a control and has nothing to search" in said


def test_the_attack_takes_the_tuned_method_unless_another_is_asked_for(
    lstm_aa_inside: Call, artifacts: Artifacts, tmp_path: Path
) -> None:
    made_of = ("--dataset", artifacts.dataset, "--model", artifacts.model)
    search = ("--steps", "4", "--trials", "2", "--max-samples", "4", "--method", "ista")
    assert lstm_aa_inside("attack-tune", *made_of, "--out", "found", *search).returncode == 0
    best = json.loads((tmp_path / "found" / "search.json").read_text())["best"]
    quick = (*made_of, "--attack-settings", "found", "--steps", "4", "--max-samples", "4")

    assert "method ista" in lstm_aa_inside("attack", *quick, "--out", "as-tuned").stderr
    other = lstm_aa_inside("attack", *quick, "--out", "other", "--method", "greedy").stderr
    wrong = refused(lstm_aa_inside("attack", *quick, "--out", "wrong", "--method", "greedy", "--lr", "0.1"))

    used = json.loads((tmp_path / "as-tuned" / "attack.json").read_text())["settings"]
    assert {name: used[name] for name in best} == best
    assert best["method"] == "ista"
    assert "was found for method ista and is not used; method greedy" in other
    used = json.loads((tmp_path / "other" / "attack.json").read_text())["settings"]
    assert (used["method"], used["lr"], used["sparsity"]) == ("greedy", None, None)
    assert "--lr is no option of method greedy" in wrong


@pytest.mark.parametrize("objective", ["area", "sparsity", "sparse_small", "sparse_small_max", "max_num_nonzero"])
def test_each_objective_is_searched_repeatably_to_the_exact_number_of_trials(
    artifacts: Artifacts, objective: str, tmp_path: Path
) -> None:
    made_of = ["--dataset", str(artifacts.dataset), "--model", str(artifacts.model)]
    search = ["--steps", "6", "--trials", "3", "--max-samples", "8", "--objective", objective]
    for name in ("one", "two"):
        cli.main(["attack-tune", *made_of, "--out", str(tmp_path / name), *search])
    found = json.loads((tmp_path / "one" / "search.json").read_text())
    assert found["objective"] == objective
    assert len(found["trials"]) == 3
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    cli.main(["attack-tune", *made_of, "--out", str(tmp_path / "seed"), *search, "--seed", "3"])
    assert digest(tmp_path / "seed") != digest(tmp_path / "one")
