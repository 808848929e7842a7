"""A command as a task of Kubeflow: what it makes of the executor input, and what it hands back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lstm_adversarial_attack import cli, notify
from lstm_adversarial_attack.artifacts import Identity, open_artifact, write_artifact
from lstm_adversarial_attack.artifacts.contents import Search, Trial
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.kubeflow import OPTION, VIEWS, as_task, described, take_own_store
from lstm_adversarial_attack.settings import AttackSettings, as_manifest
from pipelines.submit import _MOST_SHARDS

DEFAULTS = {
    "--lr": 0.01,
    "--max-epochs": 30,
    "--static": True,
    "--decay": False,
    "--method": "frontier",
    "--width": None,
}


def executor_input(
    inputs: dict[str, list[str]] | None = None, outputs: dict[str, str] | None = None, file: str = ""
) -> str:
    def listed(name: str, addresses: list[str]) -> dict[str, Any]:
        kind = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
        return {"artifacts": [{"name": name, "uri": uri, "type": kind, "metadata": {}} for uri in addresses]}

    return json.dumps(
        {
            "inputs": {
                "parameterValues": {"lr": 0.01},
                "artifacts": {name: listed(name, addresses) for name, addresses in (inputs or {}).items()},
            },
            "outputs": {
                "artifacts": {name: listed(name, [uri]) for name, uri in (outputs or {}).items()},
                "outputFile": file,
            },
        }
    )


def line_of(*tokens: str, given: str | None = None) -> list[str]:
    return as_task(["train", *tokens, OPTION, given or executor_input()], lambda _command: DEFAULTS)[0]


def test_without_executor_input_a_line_stays_as_it_is() -> None:
    line = ["train", "--lr=0.01", "--width="]
    assert as_task(line, lambda _command: DEFAULTS) == (line, None)


@pytest.mark.parametrize(
    "token",
    ["--lr=0.01", "--lr=1e-02", "--max-epochs=30", "--static=true", "--decay=false", "--method=frontier", "--width="],
)
def test_a_value_that_is_the_default_counts_as_not_given(token: str) -> None:
    assert line_of(token) == ["train"]


@pytest.mark.parametrize(
    "token",
    [
        "--lr=0.02",
        "--max-epochs=31",
        "--static=false",
        "--decay=true",
        "--method=greedy",
        "--width=3",
        "--out=/x",
        "--lr=x",
        "--max-epochs=nan",
    ],
)
def test_any_other_value_is_kept(token: str) -> None:
    assert line_of(token) == ["train", token]


def test_a_value_of_its_own_token_is_kept_even_where_it_is_the_default() -> None:
    assert line_of("--lr", "0.01") == ["train", "--lr", "0.01"]


def test_artifacts_that_the_line_does_not_name_come_from_the_executor_input() -> None:
    given = executor_input(
        {"dataset": ["minio://b/d"], "attack_settings": ["s3://b/s"], "examples": ["gs://b/1", "/root/2"], "none": []}
    )
    line = line_of("--dataset=/minio/b/d", given=given)
    assert line == [
        "train",
        "--dataset=/minio/b/d",
        "--attack-settings",
        "/s3/b/s",
        "--examples",
        "/gcs/b/1",
        "/root/2",
    ]


def test_an_address_of_its_own_comes_before_that_of_the_bucket() -> None:
    given = '{"inputs": {"artifacts": {"model": {"artifacts": [{"uri": "s3://b/m", "customPath": "/mnt/m"}]}}}}'
    assert line_of(given=given) == ["train", "--model", "/mnt/m"]


def test_the_store_of_checkpoints_has_names_of_its_own() -> None:
    environ = {"LSTM_AA_S3_ENDPOINT_URL": "http://objects", "AWS_ENDPOINT_URL": "http://launcher", "AWS_REGION": "x"}
    take_own_store(environ)
    assert environ["AWS_ENDPOINT_URL"] == "http://objects"
    assert environ["AWS_REGION"] == "x"


def test_metadata_of_the_most_shards_fit_into_one_argument(tmp_path: Path) -> None:
    """Linux takes 128 KiB, and Kubeflow adds some 400 bytes an artifact of its own."""
    settings = as_manifest(AttackSettings()) | {"catalogue": "c" * 64}
    identity = Identity(kind="examples", settings=settings, seed=0, inputs={"dataset": "d" * 64, "model": "e" * 64})
    with write_artifact(tmp_path / "examples", identity, stage="attack") as draft:
        draft.rows |= dict.fromkeys(("examples", "frontier", "perturbations", "singles", "edits"), 10**6)
        draft.environment |= {"device": "NVIDIA H200 141GB HBM3e", "seconds": 12345.6}
    metadata = json.dumps(described(open_artifact(tmp_path / "examples", "examples")))
    assert _MOST_SHARDS * (len(metadata) + 400 + 300) < 128 * 1024


@pytest.mark.parametrize("given", ["", "no JSON", "[]", '{"inputs": {"artifacts": {"model": 3}}}'])
def test_what_is_no_executor_input_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="--executor-input"):
        as_task(["train", OPTION, given], lambda _command: {})


def test_a_missing_executor_input_is_refused() -> None:
    with pytest.raises(UserError, match="after it"):
        as_task(["train", OPTION], lambda _command: {})


def search(path: Path, trials: int, seed: int = 0) -> Path:
    """Write hyperparameters of so many trials."""
    identity = Identity(kind="hyperparameters", settings={"seed": seed}, seed=seed, inputs={})
    with write_artifact(path, identity, stage="tune") as draft:
        found = [Trial(number, "COMPLETE", 0.1 * number, {"lr": 0.1}) for number in range(trials)]
        draft.write_json("search.json", Search("auprc", {"lr": 0.1}, 0.1 * (trials - 1), found))
    return path


def test_the_executor_output_says_what_the_artifact_is(tmp_path: Path) -> None:
    one, two = search(tmp_path / "1", 2), search(tmp_path / "2", 3)
    out, file = tmp_path / "deep" / "merged", tmp_path / "new" / "executor_output.json"
    given = executor_input({"hyperparameters": [str(one), str(two)]}, {"merged": str(out)}, str(file))
    cli.main(["merge-hyperparameters", f"--out={out}", OPTION, given])
    written = json.loads(file.read_text())["artifacts"]["merged"]["artifacts"][0]
    manifest = open_artifact(out, "hyperparameters").manifest
    assert written["uri"] == str(out)
    assert written["type"] == {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
    assert written["metadata"]["digest"] == manifest.digest == open_artifact(two, "hyperparameters").digest
    assert written["metadata"]["kind"] == "hyperparameters"
    assert None not in written["metadata"].values()


def test_a_command_that_fails_writes_no_executor_output(tmp_path: Path) -> None:
    file = tmp_path / "executor_output.json"
    given = executor_input({}, {"merged": str(tmp_path / "merged")}, str(file))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["merge-hyperparameters", f"--out={tmp_path / 'merged'}", OPTION, given])
    assert stopped.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_the_stage_does_not_have_fails_the_task(tmp_path: Path, capsys: Any) -> None:
    one = search(tmp_path / "1", 2)
    file = tmp_path / "executor_output.json"
    outputs = {"merged": str(tmp_path / "merged"), "card": str(tmp_path / "card")}
    given = executor_input({"hyperparameters": [str(one)]}, outputs, str(file))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["merge-hyperparameters", f"--out={tmp_path / 'merged'}", OPTION, given])
    assert stopped.value.code == 2
    assert "output card" in capsys.readouterr().err
    assert not file.exists()


def test_numbers_that_go_cannot_read_are_no_executor_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, file = search(tmp_path / "1", 2), tmp_path / "executor_output.json"

    def figures(_artifact: Any, to: Path) -> dict[str, float]:
        to.write_text("{}")
        return {"worst": float("inf")}

    monkeypatch.setitem(VIEWS, "hyperparameters", {"figures": figures})
    outputs = {"merged": str(tmp_path / "merged"), "figures": str(tmp_path / "figures")}
    given = executor_input({"hyperparameters": [str(one)]}, outputs, str(file))
    with pytest.raises(ValueError, match="not JSON compliant"):
        cli.main(["merge-hyperparameters", f"--out={tmp_path / 'merged'}", OPTION, given])
    assert not file.exists()


def test_of_several_searches_the_one_with_most_trials_is_kept(tmp_path: Path, capsys: Any) -> None:
    searches = [str(search(tmp_path / str(trials), trials)) for trials in (2, 5, 3)]
    for _ in range(2):  # and again, over what is there
        cli.main(["merge-hyperparameters", "--hyperparameters", *searches, "--out", str(tmp_path / "merged")])
        kept = open_artifact(tmp_path / "merged", "hyperparameters")
        assert kept.digest == open_artifact(tmp_path / "5", "hyperparameters").digest
    assert "5 trials" in capsys.readouterr().err


def test_searches_of_different_settings_are_not_merged(tmp_path: Path, capsys: Any) -> None:
    one, other = search(tmp_path / "1", 2), search(tmp_path / "2", 2, seed=1)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["merge-hyperparameters", "--hyperparameters", str(one), str(other), "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "not of the same search" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Webhook(HTTPServer):
    """Answers with the statuses it is given, one after the other, and keeps what it was sent."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.statuses, self.messages = list(statuses), list[Any]()


class Hook(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        self.server.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.statuses.pop(0))
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def webhook(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    server = Webhook(*request.param)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("LSTM_AA_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/secret-path")
    monkeypatch.setattr(notify, "_FIRST_WAIT_S", 0.01)
    yield server
    server.shutdown()
    server.server_close()


FAILED = '{"state": "FAILED", "error": {"code": 1, "message": "Task train failed."}}'


@pytest.mark.parametrize("webhook", [(503, 200)], indirect=True)
def test_a_webhook_is_told_and_asked_again(webhook: Webhook, capsys: Any) -> None:
    cli.main(["notify", "--run", "nightly", f"--status={FAILED}", OPTION, executor_input()])
    assert len(webhook.messages) == 2
    assert webhook.messages[1] == {
        "text": "lstm-aa: run nightly: FAILED: Task train failed.",
        "run": "nightly",
        "state": "FAILED",
        "error": "Task train failed.",
    }
    assert capsys.readouterr() == ("lstm-aa: run nightly: FAILED: Task train failed.\n", "")


@pytest.mark.parametrize("webhook", [(404,), (500, 500, 500)], indirect=True)
def test_a_webhook_that_refuses_does_not_fail_the_run_nor_show_its_address(webhook: Webhook, capsys: Any) -> None:
    cli.main(["notify", "--run", "nightly", "--status", '{"state": "SUCCEEDED"}'])
    assert webhook.statuses == []
    said = capsys.readouterr()
    assert "not told: it answered" in said.err
    assert "secret-path" not in said.err + said.out


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ('{"state": "COMPLETE"}', "SUCCEEDED"),
        ('{"state": "RUNNING", "error": {}}', "ENDED: this version of Kubeflow does not say how; look at the run"),
        ("{}", "ENDED: this version of Kubeflow does not say how; look at the run"),
        ('{"state": "FAILED", "error": null}', "FAILED"),
    ],
)
def test_what_older_backends_call_an_end_is_understood_and_no_success_is_made_up(
    told: str, said: str, capsys: Any
) -> None:
    cli.main(["notify", "--run", "nightly", "--status", told])
    assert capsys.readouterr().out == f"lstm-aa: run nightly: {said}\n"


@pytest.mark.parametrize(
    "address",
    [
        *(
            "http://127.0.0.1:1/secret",
            "file:///etc/passwd",
            "nonsense secret",
            "http://[x",
            "http://a.example:port/secret",
        ),
        "http://hooks.example/ser vices/secret",
    ],
)
def test_a_webhook_that_cannot_be_reached_is_said(address: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("LSTM_AA_WEBHOOK_URL", address)
    monkeypatch.setattr(notify, "_FIRST_WAIT_S", 0.01)
    cli.main(["notify", "--status", '{"state": "SUCCEEDED"}'])
    said = capsys.readouterr()
    assert "not told" in said.err
    assert "secret" not in said.err
    assert "passwd" not in said.err


@pytest.mark.parametrize("status", ["nonsense", "[1]"])
def test_a_status_that_is_none_is_refused(status: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["notify", "--status", status])
    assert stopped.value.code == 2
    assert "--status" in capsys.readouterr().err
