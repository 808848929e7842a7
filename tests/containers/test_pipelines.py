"""The compiled pipelines from end to end, each task in its image, by the local runner of the Kubeflow SDK.

The runner says of a container that vanished that it succeeded, so what counts here is what lies in the artifacts; and
it is made to wait for a container's exit code before the container is removed.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from docker.types import Mount
from kfp import components, local
from kfp.local import docker_task_handler
from kfp.local.config import LocalExecutionConfig
from kfp.local.orchestrator import task_executor

from images.engine import Engine
from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.stage import STAGES
from pipelines.compile import COMPILED
from pipelines.submit import checked, read_parameters
from small_stages import USERS, on_host

#: The folder of each artifact below a pipeline's root, in a run of everything.
PLACES = {
    "events": "extract/events",
    "dataset": "preprocess/dataset",
    "hyperparameters": "merge-hyperparameters/merged",
    "model": "train/model",
    "attack-settings": "attack-tune/attack_settings",
    "examples": "merge-examples/merged",
    "report": "evaluate/report",
}
#: Small searches, whatever the file of parameters says.
QUICK = {
    "tune_trials": 1,
    "tune_max_epochs": 2,
    "train_max_epochs": 6,
    "train_resamples": 50,
    "attack_tune_trials": 1,
    "attack_tune_steps": 10,
    "attack_tune_max_samples": 16,
    "attack_steps": 30,
    "evaluate_resamples": 50,
    "evaluate_min_auroc": 0.0,
    "evaluate_max_calibration_error": 1.0,
}


@dataclass(frozen=True)
class Carried:
    """A pipeline that was carried out: where its artifacts lie, whether it says that it succeeded, what was logged."""

    root: Path
    succeeded: bool
    log: str

    def holds(self, place: str) -> list[Path]:
        """Return what lies at a place of the run, in loops too."""
        return sorted(self.root.glob(place))

    def only(self, place: str) -> Path:
        (found,) = self.holds(place)
        return found


Carry = Callable[..., Carried]


def wait_for(client: Any, image: str, command: list[str], volumes: dict[str, Any], **options: Any) -> int:
    """Run a container to its end and return its exit code, whatever becomes of it meanwhile."""
    container = client.containers.run(image, command, detach=True, volumes=volumes, **options)
    try:
        for line in container.logs(stream=True):
            print(line.decode(errors="replace"), end="")
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)


@pytest.fixture(scope="module")
def carry(
    engine: Engine,
    images: dict[str, str],  # noqa: ARG001 - they have to be there
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Carry]:
    """Carry out a compiled pipeline: ``carry(name, {parameter: value}, data=folder, run=...)``."""
    before, mask = LocalExecutionConfig.instance, os.umask(0o002)
    # One for all runs: it is what the runner mounts, and so what later runs can find.
    root = tmp_path_factory.mktemp("pipelines")
    root.chmod(0o777 if os.getegid() else 0o775)
    root.parent.chmod(0o755)  # pytest makes it for its own user alone
    uid, _, group = USERS[0].partition(":")
    options = {
        "user": f"{uid}:{group}",
        "read_only": True,
        "tmpfs": {"/tmp": ""},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "network_mode": "none",
        "pids_limit": 256,
        "mem_limit": "3g",
    }

    def call(
        name: str, parameters: dict[str, Any], data: Path | None = None, run: Callable[..., int] = wait_for
    ) -> Carried:
        package = COMPILED / "cpu" / f"{name}.yaml"
        mounts = [Mount("/data", str(data), type="bind", read_only=True)] if data else []
        earlier = set(root.iterdir())
        local.init(local.DockerRunner(mounts=mounts, **options), pipeline_root=str(root), raise_on_error=True)
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(said):
            patched.setattr(docker_task_handler, "run_docker_container", run)
            patched.setattr(task_executor, "time", SimpleNamespace(sleep=lambda _seconds: None))  # between attempts
            patched.setenv("DOCKER_HOST", docker_host(engine))
            pipeline = components.load_component_from_file(str(package))
            try:
                pipeline(**checked(package, parameters))
                succeeded = True
            except RuntimeError:
                succeeded = False
        (made,) = set(root.iterdir()) - earlier
        return Carried(made, succeeded, re.sub(r"\x1b\[\d+m", "", said.getvalue()))

    yield call
    os.umask(mask)
    LocalExecutionConfig.instance = before


@pytest.fixture(scope="module")
def everything(carry: Carry) -> Carried:
    """The whole on a synthetic cohort, with the parameters of `smoke`."""
    carried = carry("train-and-attack", read_parameters("smoke"))
    assert carried.succeeded, carried.log[-4000:]
    return carried


def docker_host(engine: Engine) -> str:
    """Return where the engine is for who does not ask its client."""
    if "DOCKER_HOST" in engine.environ:
        return engine.environ["DOCKER_HOST"]
    shown = subprocess.run(
        [engine.client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return shown.stdout.strip()


def digests(carried: Carried) -> dict[str, str]:
    """Return the digests of all artifacts, which are read and verified."""
    return {kind: open_artifact(carried.only(place), kind).digest for kind, place in PLACES.items()}


def made_by_run(parameters: dict[str, Any], out: Path, source: str) -> dict[str, str]:
    """Return the digests of the artifacts of `lstm-aa run` on this machine with the same settings."""
    line = ["run", "--source", source, "--snapshot-id", parameters["snapshot_id"], "--out", str(out)]
    for name, value in parameters.items():
        stage = max((one for one in STAGES if name.startswith(f"{one.replace('-', '_')}_")), key=len, default="")
        if stage and name != "attack_shards":
            line.append(f"--{stage}.{name.removeprefix(stage.replace('-', '_') + '_').replace('_', '-')}={value}")
    done = on_host(*line)
    assert done.returncode == 0, done.stderr
    return {kind: open_artifact(out / kind, kind).digest for kind in PLACES}


def output_of(carried: Carried, task: str) -> dict[str, Any]:
    """Return the executor output of a task."""
    text = carried.only(f"{task}/executor_output.json").read_text()
    found: dict[str, Any] = json.loads(text, parse_constant=lambda word: pytest.fail(f"{task}: {word} in its output"))
    return {name: one["artifacts"][0] for name, one in found["artifacts"].items()}


def test_everything_on_a_synthetic_cohort_is_what_one_process_makes(everything: Carried, tmp_path: Path) -> None:
    carried, parameters = everything, read_parameters("smoke")
    assert digests(carried) == made_by_run(parameters, tmp_path / "by-run", parameters["source"])
    # two shards, each with its half
    shards = [open_artifact(path, "examples").manifest for path in carried.holds("*/attack/examples")]
    assert [one.settings["shard"] for one in shards] == ["1/2", "2/2"]
    assert sum(one.rows["examples"] for one in shards) == open_artifact(
        carried.only(PLACES["examples"]), "examples"
    ).manifest.rows["examples"]  # fmt: skip
    assert "run lstm-aa-train-and-attack" in carried.log
    assert "SUCCEEDED" in carried.log


def test_everything_on_the_demo_is_what_one_process_makes_and_nobody_is_told_of_a_patient(
    carry: Carry, tmp_path: Path, demo: Path
) -> None:
    parameters = {**read_parameters("demo"), **QUICK}
    carried = carry("train-and-attack", parameters, data=demo.parent)
    assert carried.succeeded, carried.log[-4000:]
    assert digests(carried) == made_by_run(parameters, tmp_path / "by-run", f"csv:{demo}")
    ids = patients_of(open_artifact(carried.only(PLACES["events"]), "events").path)
    outputs = "".join(path.read_text() for path in carried.holds("**/executor_output.json"))
    assert len(ids) > 100
    assert not [one for one in ids if re.search(rf"\b{one}\b", carried.log + outputs)]


def patients_of(events: Path) -> set[int]:
    """Return every number by which a stay, an admission or a patient is known."""
    import polars as pl

    stays = pl.read_parquet(events / "stays.parquet")
    return {int(one) for name in ("stay_id", "hadm_id", "subject_id") for one in stays[name] if one is not None}


def test_the_ui_gets_what_it_draws_and_finite_numbers(everything: Carried) -> None:
    for task, kind in (("preprocess", "dataset"), ("train", "model"), ("evaluate", "report")):
        metadata = output_of(everything, task)[kind]["metadata"]
        assert metadata["digest"] == open_artifact(everything.only(PLACES[kind]), kind).digest
        assert metadata["kind"] == kind
    shown = output_of(everything, "evaluate")
    assert everything.only("evaluate/page").read_text().startswith("<!DOCTYPE html>")
    assert everything.only("preprocess/card").read_text().startswith("<!DOCTYPE html>")
    assert len(everything.only("evaluate/summary").read_bytes()) < 1_000_000  # the most that the UI shows
    assert 0 <= shown["metrics"]["metadata"]["test_auroc"] <= 1
    assert 0 <= output_of(everything, "train")["metrics"]["metadata"]["test_auroc"] <= 1
    for condition in ("clean", "attacked"):
        metadata = shown[condition]["metadata"]
        assert 2 <= len(metadata["confidenceMetrics"]) <= 200
        assert sum(sum(row["row"]) for row in metadata["confusionMatrix"]["rows"]) > 10
    handed_on = [path.read_bytes() for path in everything.holds("**/executor_output.json")]
    assert len(handed_on) >= 10
    assert max(map(len, handed_on)) < 64 * 1024  # of 128 KiB in which all inputs of a task have to fit


def test_an_enforced_gate_fails_the_run_when_the_report_is_stored(everything: Carried, carry: Carry) -> None:
    carried = carry(
        "reevaluate",
        {
            **addresses(everything, "dataset", "model", "examples"),
            "evaluate_resamples": 20,
            "enforce_gate": True,
            "evaluate_min_auroc": 1.0,
        },
    )
    assert not carried.succeeded
    assert "gate not passed" in carried.log
    report = open_artifact(carried.only("evaluate/report"), "report").manifest
    assert report.inputs["model"] == open_artifact(everything.only(PLACES["model"]), "model").digest
    assert re.search(r"lstm-aa: run lstm-aa-reevaluate\S*: FAILED", carried.log)


def test_a_model_that_is_there_is_attacked(everything: Carried, carry: Carry) -> None:
    carried = carry(
        "attack-model",
        {
            **addresses(everything, "dataset", "model"),
            "attack_method": "greedy",
            "attack_steps": 10,
            "attack_max_samples": 8,
            "evaluate_resamples": 20,
            "attack_tune_method": "greedy",
            "attack_tune_trials": 1,
            "attack_tune_steps": 5,
        },
    )
    assert carried.succeeded, carried.log[-4000:]
    examples = open_artifact(carried.only("merge-examples/merged"), "examples").manifest
    assert (examples.settings["method"], examples.settings["shard"]) == ("greedy", "")


def test_hyperparameters_are_searched_alone(everything: Carried, carry: Carry) -> None:
    given = {**addresses(everything, "dataset"), "tune_trials": 1, "tune_max_epochs": 1}
    carried = carry("tune-model", given)
    assert carried.succeeded, carried.log[-4000:]
    found = open_artifact(carried.only("merge-hyperparameters/merged"), "hyperparameters").manifest
    assert found.settings["trials"] == 1


def addresses(carried: Carried, *kinds: str) -> dict[str, str]:
    """Return the parameters that lead to artifacts of an earlier run."""
    return {f"{kind}_uri": str(carried.only(PLACES[kind])) for kind in kinds}


@pytest.mark.parametrize(
    ("wrong", "said", "made"),
    [
        ({"source": "csv:/nowhere"}, "/nowhere", ()),
        ({"train_optimizer": "magic"}, "--optimizer", ("events", "dataset", "hyperparameters")),
    ],
)
def test_a_task_that_fails_makes_the_run_fail(
    wrong: dict[str, Any], said: str, made: tuple[str, ...], carry: Carry
) -> None:
    carried = carry("train-and-attack", {**read_parameters("smoke"), **QUICK, **wrong})
    assert not carried.succeeded
    assert carried.log.count(said) >= 3  # it is tried three times
    there = {kind for kind, place in PLACES.items() if carried.holds(place)}
    assert there == set(made)
    for kind in made:
        open_artifact(carried.only(PLACES[kind]), kind)
    assert re.search(r"lstm-aa: run lstm-aa-train-and-attack\S*: FAILED", carried.log)  # the exit task is told


@pytest.mark.parametrize(("kills", "attempts"), [(1, 2), (3, 3)])
def test_a_container_that_is_killed_is_begun_again_until_it_makes_the_run_fail(
    kills: int, attempts: int, everything: Carried, carry: Carry
) -> None:
    """The runner as it comes takes a container for successful that was gone before it was asked."""
    begun = []

    def killed(client: Any, image: str, command: list[str], volumes: dict[str, Any], **options: Any) -> int:
        if command[1] != "evaluate":
            return wait_for(client, image, command, volumes, **options)
        begun.append(command)
        if len(begun) > kills:
            return wait_for(client, image, command, volumes, **options)
        container = client.containers.create(image, command, volumes=volumes, **options)
        try:
            container.start()
            container.kill()
            return int(container.wait()["StatusCode"])
        finally:
            container.remove(force=True)

    given = {**addresses(everything, "dataset", "model", "examples"), "evaluate_resamples": 20}
    carried = carry("reevaluate", given, run=killed)
    assert len(begun) == attempts
    assert carried.succeeded is (kills < attempts)
    assert bool(carried.holds("evaluate/report")) is carried.succeeded


def test_the_images_of_the_packages_are_those_that_were_built(images: dict[str, str]) -> None:
    """The runner finds an image by its exact name alone."""
    pipeline = next(yaml.safe_load_all((COMPILED / "cpu" / "train-and-attack.yaml").read_text()))
    named = {one["container"]["image"] for one in pipeline["deploymentSpec"]["executors"].values()}
    assert named == set(images.values())
