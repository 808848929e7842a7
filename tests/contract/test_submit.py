"""What the submitter sends to Kubeflow Pipelines, and what it refuses to send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeflow_api import Recorder, running_kubeflow_api
from pipelines import submit
from pipelines.submit import main, read_parameters


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    with running_kubeflow_api() as recorder:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", recorder.address)
        monkeypatch.setenv("KFP_TOKEN", "the-token")
        yield recorder


def test_a_run_is_started_as_asked_for(server: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            *("--params", "smoke", "--set", "train_lr=0.5", "--set", "attack_shards=[1/1]", "--run-name", "mine"),
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
        "parameters": read_parameters("smoke") | {"train_lr": 0.5, "attack_shards": ["1/1"]},
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
    main(["--params", "smoke", "--cluster", "cpu"])
    spec = json.dumps(server.posted[-1][2]["pipeline_spec"])
    assert spec.count('"enableCache": true') == 9
    assert spec.count('"cachingOptions": {}') == 2  # the gate and the exit task


def test_a_run_is_scheduled(server: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--params", "smoke", "--schedule", "0 0 2 * * 1"])
    path, _, job = server.posted[-1]
    assert path == "/apis/v2beta1/recurringruns"
    assert job["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * 1"}}
    assert job["max_concurrency"] == "1" or job["max_concurrency"] == 1
    assert job["no_catchup"] is True
    assert "scheduled: schedule-1" in capsys.readouterr().out


def test_a_run_that_fails_is_told_by_the_exit_code(server: Recorder) -> None:
    server.state = "FAILED"
    with pytest.raises(SystemExit) as stopped:
        main(["--params", "smoke", "--wait"])
    assert stopped.value.code == 1


def test_what_the_server_says_is_shown_in_a_line(server: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    server.refuse = 403
    with pytest.raises(SystemExit) as stopped:
        main(["--params", "smoke"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "it answered 403" in said
    assert "service account" in said
    assert said.count("\n") == 1


def test_a_token_comes_from_a_file(server: Recorder, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file\n")
    main(["--params", "smoke", "--token-file", str(tmp_path / "token")])
    assert server.posted[-1][1] == "Bearer from-a-file"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ((), "no value for snapshot_id"),
        (("--params", "smok"), "smoke"),
        (("--params", "smoke", "--set", "train_lrs=1"), "train_lrs"),
        (("--params", "smoke", "--set", "train_lr=fast"), "'fast' is not a number"),
        (("--params", "smoke", "--set", "train_lr=true"), "True is not a number"),
        (("--params", "smoke", "--set", "train_max_epochs=2.5"), "2.5 is not a whole number"),
        (("--params", "smoke", "--set", "train_static=1"), "1 is not true or false"),
        (("--params", "smoke", "--set", "snapshot_id=2026-11-01"), "is not text"),
        (("--params", "smoke", "--set", "attack_shards=1/2"), "is not a list"),
        (("--params", "smoke", "--set", "train_lr"), "NAME=VALUE"),
        (("--params", "smoke", "--schedule", "0 2 * * 1"), "six fields"),
        (("--params", "smoke", "--package", "nowhere.yaml"), "make compile"),
        (("--params", "smoke", "--package", "pyproject.toml"), "not a compiled pipeline"),
        (("--params", "smoke", "--token-file", "nowhere"), "nowhere"),
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
        main(["--params", "smoke"])
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
