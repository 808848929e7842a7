"""What the submitter sends to Kubeflow Pipelines, and what it refuses to send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeflow_api import Recorder, running_kubeflow_api
from pipelines import submit
from pipelines.compile import main as compile_main
from pipelines.submit import main, read_parameters

HERE = ("--params", "smoke", "--local-images")


@pytest.fixture(autouse=True)
def own_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for packages of one's own, without any at first."""
    folder = tmp_path / "own"
    monkeypatch.setattr(submit, "OWN", folder)
    monkeypatch.setattr(submit, "_PAUSE_S", 0.05)
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with running_kubeflow_api() as recorder:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", recorder.address)
        monkeypatch.setenv("KFP_TOKEN", "the-token")
        yield recorder


def test_a_run_is_started_as_asked_for(server: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            *(*HERE, "--set", "train_lr=5e-1", "--set", "attack_shards=[1/1]", "--set", "attack_lr=0.1"),
            *("--set", "snapshot_id=20261101", "--set", "evaluate_explorer=on", "--run-name", "mine"),
            *("--experiment", "icu", "--namespace", "team", "--pipeline-root", "s3://bucket/root", "--no-cache"),
            *("--service-account", "runner", "--wait"),
        ]
    )
    (_, _, experiment), (path, token, run) = server.posted
    assert path == "/apis/v2beta1/runs"
    assert token == "Bearer the-token"
    assert experiment == {"display_name": "icu", "namespace": "team"}
    assert run["display_name"] == "mine"
    assert run["service_account"] == "runner"
    assert run["runtime_config"] == {
        "pipeline_root": "s3://bucket/root",
        "parameters": read_parameters("smoke")
        | {"train_lr": 0.5, "attack_shards": ["1/1"], "attack_lr": "0.1", "snapshot_id": "20261101"}
        | {"evaluate_explorer": "on"},
    }
    spec = run["pipeline_spec"]
    assert spec["pipeline_spec"]["pipelineInfo"]["name"] == "lstm-aa-train-and-attack"
    assert "platforms" in spec["platform_spec"]  # tolerations and secrets are sent along
    cached = re.findall(r'"enableCache": (\w+)', json.dumps(spec))
    assert "true" not in cached
    said = capsys.readouterr().out
    assert "started: run-1" in said
    assert "run-1: SUCCEEDED" in said


def test_by_default_each_task_is_cached_as_compiled(server: Recorder) -> None:
    main([*HERE, "--cluster", "cpu"])
    spec = json.dumps(server.posted[-1][2]["pipeline_spec"])
    assert spec.count('"enableCache": true') == 9
    assert spec.count('"cachingOptions": {}') == 2  # the gate and the exit task


def test_a_run_is_scheduled(server: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    main([*HERE, "--schedule", "0 0 2 * * 1"])
    path, _, job = server.posted[-1]
    assert path == "/apis/v2beta1/recurringruns"
    assert job["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * 1"}}
    assert job["max_concurrency"] == "1" or job["max_concurrency"] == 1
    assert job["no_catchup"] is True
    assert "scheduled: schedule-1" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_run_that_fails_is_told_by_the_exit_code(state: str, server: Recorder) -> None:
    server.state = state
    with pytest.raises(SystemExit) as stopped:
        main([*HERE, "--wait"])
    assert stopped.value.code == 1


def test_a_server_that_is_away_for_a_while_is_waited_for(server: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    server.away = 3
    main([*HERE, "--wait"])
    assert server.away == 0
    server.away = 10
    monkeypatch.setattr(submit, "_MOST_LOST", 2)
    with pytest.raises(SystemExit) as stopped:
        main([*HERE, "--wait"])
    assert stopped.value.code == 2  # nothing is known of the run


def test_what_was_compiled_last_is_sent(server: Recorder, own_packages: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("accelerator: null\nnotify: false\n")
    registry = "registry.example/team"
    compile_main(["--cluster", str(file), "--registry", registry, "--out", str(own_packages / "mine")])
    main(["--params", "smoke", "--cluster", str(file)])  # no --local-images: they are in a registry
    spec = server.posted[-1][2]["pipeline_spec"]
    images = {one["container"]["image"] for one in spec["pipeline_spec"]["deploymentSpec"]["executors"].values()}
    assert all(image.startswith(registry) for image in images)


def test_what_the_server_says_is_shown_in_a_line(server: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    server.refuse = 403
    with pytest.raises(SystemExit) as stopped:
        main([*HERE])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "it answered 403" in said
    assert "service account" in said
    assert said.count("\n") == 1


def test_a_token_comes_from_a_file(server: Recorder, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    main([*HERE, "--token-file", str(tmp_path / "token")])
    assert server.posted[-1][1] == "Bearer from-a-file"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ((), "no value for snapshot_id"),
        (("--params", "smok"), "smoke"),
        (("--params", "smoke"), "--local-images"),
        ((*HERE, "--set", "train_lrs=1"), "train_lrs"),
        ((*HERE, "--set", "train_lr=fast"), "'fast' is not a number"),
        ((*HERE, "--set", "train_lr=true"), "'true' is not a number"),
        ((*HERE, "--set", "train_max_epochs=2.5"), "2.5 is not a whole number"),
        ((*HERE, "--set", "train_static=1"), "1 is not true or false"),
        ((*HERE, "--set", "seed=9007199254740993"), "more digits"),
        ((*HERE, "--set", "attack_shards=1/2"), "is not a list"),
        ((*HERE, "--set", "attack_shards=[1/2]"), "not all shards"),
        ((*HERE, "--set", f"attack_shards={[f'{one}/40' for one in range(1, 41)]}"), "at most 32"),
        ((*HERE, "--set", "tune_pods=[a]"), "a number of workers"),
        ((*HERE, "--set", "tune_pods=[1, 1]"), "storage"),
        ((*HERE, "--set", "train_lr"), "NAME=VALUE"),
        ((*HERE, "--schedule", "0 2 * * 1"), "six fields"),
        ((*HERE, "--schedule", ""), "six fields"),
        ((*HERE, "--package", "nowhere.yaml"), "make compile"),
        ((*HERE, "--package", "pyproject.toml"), "not a compiled pipeline"),
        ((*HERE, "--pipeline", "tune-model"), "the pipeline has none of that name"),
        ((*HERE, "--token-file", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_sent(
    line: tuple[str, ...], said: str, server: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(line))
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert server.posted == []


def test_a_server_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as stopped:
        main([*HERE])
    assert stopped.value.code == 2
    assert "http://127.0.0.1:1" in capsys.readouterr().err


def test_a_dry_run_sends_nothing(server: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--params", "smoke", "--dry-run"])
    assert json.loads(capsys.readouterr().out)["parameters"] == read_parameters("smoke")
    assert server.posted == []


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for word in ("--pipeline-root", "--service-account", "--no-cache", "--schedule", "KFP_TOKEN", "kubectl"):
        assert word in said
    assert submit.TOKEN in said
