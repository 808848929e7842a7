"""Unfinished training goes on elsewhere from its copy in a real S3 bucket, or a folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from integration.conftest import Artifacts
from lstm_adversarial_attack import cli
from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.checkpoints import Checkpoints, FolderCopies, open_checkpoints
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.s3 import BucketCopies
from seaweedfs_server import Server, running_seaweedfs
from workers import free_port

BUCKET = "work"
QUICK = ("--hidden-units", "4", "--resamples", "10", "--no-baselines", "--device", "cpu")
EPOCHS = ("--max-epochs", "60", "--patience", "60")
BOUND_S = 240


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lstm_adversarial_attack", *map(str, arguments)]


def environment(server: Server | None, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    fixed = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "LSTM_AA_TRACKING": "off"}
    return kept | fixed | {"PYTHONPATH": str(Path(cli.__file__).parents[1])} | (server.env if server else {}) | more


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def s3() -> Iterator[Server]:
    with running_seaweedfs() as server:
        server.client.make_bucket(BUCKET)
        yield server


@pytest.fixture
def in_bucket(s3: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, named in the environment of this process."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture(scope="module")
def undisturbed(artifacts: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the weights of a training that nothing happens to."""
    out = tmp_path_factory.mktemp("undisturbed") / "model"
    cli.main(["train", "--dataset", str(artifacts.dataset), "--out", str(out), *QUICK, *EPOCHS])
    return weights_of(out)


def weights_of(out: Path) -> str:
    return open_artifact(out, "model").manifest.files["weights.safetensors"].sha256


def killed(artifacts: Artifacts, out: Path, address: str, env: dict[str, str], seen: Callable[[], bool]) -> None:
    """Start training and kill it without warning when its copy is seen."""
    train = command("train", "--dataset", artifacts.dataset, "--out", out, *QUICK, *EPOCHS, "--checkpoints", address)
    with subprocess.Popen(train, env=env, stderr=subprocess.DEVNULL) as process:
        until(lambda: seen() or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def finished(artifacts: Artifacts, out: Path, address: str, env: dict[str, str]) -> str:
    train = command("train", "--dataset", artifacts.dataset, "--out", out, *QUICK, *EPOCHS, "--checkpoints", address)
    done = subprocess.run(train, env=env, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_killed_training_goes_on_on_another_machine(
    s3: Server, artifacts: Artifacts, undisturbed: str, tmp_path: Path
) -> None:
    here, there, address, env = tmp_path / "here", tmp_path / "there", f"s3://{BUCKET}/pods", environment(s3)
    killed(artifacts, here / "model", address, env, lambda: any("checkpoint-0" in name for name in s3.names(BUCKET)))
    shutil.rmtree(here)

    assert "going on after" in finished(artifacts, there / "model", address, env)

    assert weights_of(there / "model") == undisturbed
    assert not [name for name in s3.names(BUCKET) if name.startswith("pods/")], "nothing is left of finished work"


def test_a_folder_serves_as_well(artifacts: Artifacts, undisturbed: str, tmp_path: Path) -> None:
    here, there, volume, env = tmp_path / "here", tmp_path / "there", tmp_path / "volume", environment(None)
    killed(artifacts, here / "model", str(volume), env, lambda: any(volume.glob("*/checkpoint-0.safetensors")))
    shutil.rmtree(here)

    assert "going on after" in finished(artifacts, there / "model", str(volume), env)

    assert weights_of(there / "model") == undisturbed
    assert not list(volume.iterdir())


def test_a_server_that_is_killed_in_the_middle_does_not_stop_training(
    artifacts: Artifacts, undisturbed: str, tmp_path: Path
) -> None:
    with running_seaweedfs() as server:
        server.client.make_bucket(BUCKET)
        train = command("train", "--dataset", artifacts.dataset, "--out", tmp_path / "model", *QUICK, *EPOCHS,
                        "--checkpoints", f"s3://{BUCKET}")  # fmt: skip
        with subprocess.Popen(train, env=environment(server), stderr=subprocess.PIPE, text=True) as process:
            until(lambda: any("checkpoint-0" in name for name in server.names(BUCKET)))
            server.kill()
            _, said = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0
    (line,) = [line for line in said.splitlines() if "checkpoints:" in line]
    assert "cannot be reached" in line
    assert server.secret_key not in said
    assert weights_of(tmp_path / "model") == undisturbed


# --- addresses that cannot be used are told before any work -----------------------------------------------------


def refused(lstm_aa: Callable[..., subprocess.CompletedProcess[str]], artifacts: Artifacts, address: str,
            env: dict[str, str]) -> str:  # fmt: skip
    done = lstm_aa("train", "--dataset", artifacts.dataset, "--out", "model", "--checkpoints", address, env=env)
    assert done.returncode == 2, done.stderr
    assert "S3cret" not in done.stderr
    assert "epoch" not in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_wrong_secret(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]], s3: Server,
                        artifacts: Artifacts) -> None:  # fmt: skip
    said = refused(lstm_aa_inside, artifacts, f"s3://{BUCKET}/x", s3.env | {"AWS_SECRET_ACCESS_KEY": "S3cret"})
    assert "AWS_SECRET_ACCESS_KEY" in said


def test_a_missing_bucket(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]], s3: Server,
                          artifacts: Artifacts) -> None:  # fmt: skip
    assert "there is no such bucket" in refused(lstm_aa_inside, artifacts, "s3://nobody-made-it/x", s3.env)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:{port}", "cannot be reached"),
        ("http://me:S3cret@127.0.0.1:{port}", "holds a user"),
        ("127.0.0.1:{port}", "is not an address"),
    ],
)
def test_no_server(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]], artifacts: Artifacts,
                   endpoint: str, words: str) -> None:  # fmt: skip
    env = {"AWS_ENDPOINT_URL": endpoint.format(port=free_port()), "AWS_ACCESS_KEY_ID": "x"}
    assert words in refused(lstm_aa_inside, artifacts, "s3://b-bb/x", env | {"AWS_SECRET_ACCESS_KEY": "S3cret"})


def test_no_credentials(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]], s3: Server,
                        artifacts: Artifacts, tmp_path: Path) -> None:  # fmt: skip
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path)}
    assert "no credentials" in refused(lstm_aa_inside, artifacts, f"s3://{BUCKET}", s3.env | nothing)


def test_a_name_that_is_no_bucket(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]], s3: Server,
                                  artifacts: Artifacts) -> None:  # fmt: skip
    assert "not an address of S3" in refused(lstm_aa_inside, artifacts, "s3://", s3.env)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://AKID:S3cret@b-bb/x", "s3://b-bb/x:"),
        ("s3://AKID:S3cret/S3cret@b-bb", "s3://b-bb:"),
        ("s3://AKID:S3cret@", "s3://:"),
    ],
)
def test_credentials_in_the_address(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]], s3: Server,
                                    artifacts: Artifacts, address: str, shown: str) -> None:  # fmt: skip
    said = refused(lstm_aa_inside, artifacts, address, s3.env)
    assert f"{shown} not of the form s3://BUCKET/PREFIX" in said


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"AWS_ENDPOINT_URL": "http://[S3cret"}, "AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:S3cret"}, "AWS_ENDPOINT_URL"),
        ({"AWS_REGION": "no region: S3cret"}, "AWS_REGION"),
        ({"AWS_CA_BUNDLE": "nowhere.pem"}, "AWS_CA_BUNDLE nowhere.pem: No such file"),
        ({"AWS_CA_BUNDLE": "/dev/null"}, "AWS_CA_BUNDLE /dev/null: holds no certificates"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_an_environment_that_is_not_of_the_form(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]],
                                                s3: Server, artifacts: Artifacts, wrong: dict[str, str],
                                                words: str) -> None:  # fmt: skip
    assert words in refused(lstm_aa_inside, artifacts, f"s3://{BUCKET}", s3.env | wrong)


def test_a_file_of_credentials_that_is_none(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]],
                                            s3: Server, artifacts: Artifacts, tmp_path: Path) -> None:  # fmt: skip
    (tmp_path / "credentials").write_text("S3cret\n")
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    assert "no credentials" in refused(lstm_aa_inside, artifacts, f"s3://{BUCKET}", s3.env | nothing)


class Portal(BaseHTTPRequestHandler):
    """Answers everything with a page, as the login of a network does."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else b"<html><p>Welcome<br></html>")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("region", ["", "us-east-1"])
def test_a_server_that_is_none_of_s3(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]],
                                     artifacts: Artifacts, region: str) -> None:  # fmt: skip
    with HTTPServer(("127.0.0.1", 0), Portal) as portal:
        threading.Thread(target=portal.serve_forever, daemon=True).start()
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{portal.server_port}", "AWS_ACCESS_KEY_ID": "x"}
        env |= {"AWS_SECRET_ACCESS_KEY": "S3cret", "AWS_REGION": region}
        said = refused(lstm_aa_inside, artifacts, "s3://b-bb/x", env)
        portal.shutdown()
    assert "does not answer as S3 does" in said


def test_a_folder_that_cannot_be_made(lstm_aa_inside: Callable[..., subprocess.CompletedProcess[str]],
                                      artifacts: Artifacts, tmp_path: Path) -> None:  # fmt: skip
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refused(lstm_aa_inside, artifacts, str(tmp_path / "file" / "x"), {})


# --- files of a work folder -------------------------------------------------------------------------------------


@pytest.fixture(params=["bucket", "folder"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "bucket":
        request.getfixturevalue("in_bucket")
        return f"s3://{BUCKET}/{request.node.name.partition('[')[0]}"
    return str(tmp_path / "volume")


def work_folder(tmp_path: Path, machine: str, key: str = "0123456789abcdef") -> Path:
    work = tmp_path / machine / key
    work.mkdir(parents=True)
    return work


def test_what_was_put_last_is_fetched_by_the_same_work_alone(address: str, tmp_path: Path) -> None:
    here = work_folder(tmp_path, "here")
    with open_checkpoints(address, here, pytest.fail) as checkpoints:
        for text in ("one", "two", "three"):
            (here / "journal.log").write_text(text)
            checkpoints.put("journal.log")
    other = work_folder(tmp_path, "there", "fedcba9876543210")
    with open_checkpoints(address, other, pytest.fail):
        assert not list(other.iterdir())
    there = work_folder(tmp_path, "there")
    with open_checkpoints(address, there, pytest.fail) as again:
        assert {path.name: path.read_text() for path in there.iterdir()} == {"journal.log": "three"}
    again.discard()
    empty = work_folder(tmp_path, "later")
    with open_checkpoints(address, empty, pytest.fail):
        assert not list(empty.iterdir())


def test_a_later_file_of_the_work_folder_stays(address: str, tmp_path: Path) -> None:
    """As after an upload that failed: the work folder is ahead of its copy."""
    here = work_folder(tmp_path, "here")
    with open_checkpoints(address, here, pytest.fail) as checkpoints:
        (here / "checkpoint-0.safetensors").write_text("old")
        checkpoints.put("checkpoint-0.safetensors")
    (here / "checkpoint-0.safetensors").write_text("new")
    os.utime(here / "checkpoint-0.safetensors", (time.time() + 60, time.time() + 60))
    with open_checkpoints(address, here, pytest.fail):
        assert (here / "checkpoint-0.safetensors").read_text() == "new"


def test_names_that_lead_elsewhere_are_not_fetched(in_bucket: Server, tmp_path: Path) -> None:
    here = work_folder(tmp_path, "here")
    source = tmp_path / "source"
    source.write_text("x")
    for name in (".hidden", "manifest.json", "deeper/file"):
        in_bucket.client.fput_object(BUCKET, f"strange/{here.name}/{name}", str(source))
    with open_checkpoints(f"s3://{BUCKET}/strange", here, pytest.fail):
        assert not list(here.iterdir())


def test_without_an_address_nothing_is_kept(tmp_path: Path) -> None:
    here = work_folder(tmp_path, "here")
    with open_checkpoints("", here, pytest.fail) as checkpoints:
        checkpoints.put("never-written")
    checkpoints.discard()
    assert not list(here.iterdir())


def test_a_stage_that_fails_leaves_its_copies(tmp_path: Path) -> None:
    here, volume = work_folder(tmp_path, "here"), tmp_path / "volume"
    (here / "journal.log").write_text("one")

    def stage() -> None:
        with open_checkpoints(str(volume), here, pytest.fail) as checkpoints:
            checkpoints.put("journal.log")
            raise UserError("the stage")

    with pytest.raises(UserError, match="the stage"):
        stage()
    assert (volume / here.name / "journal.log").read_text() == "one"


def test_a_file_that_is_replaced_while_it_is_sent_arrives_whole(tmp_path: Path) -> None:
    file, arrived = tmp_path / "checkpoint-0.safetensors", []

    class Client:
        """Replaces the file, as the stage does after its next epoch, before it reads what it is to send."""

        def put_object(self, _bucket: str, _name: str, data: BinaryIO, length: int) -> None:
            (tmp_path / "next").write_bytes(b"the next epoch")
            (tmp_path / "next").replace(file)
            arrived.append((data.read(), length))

    copies = BucketCopies.__new__(BucketCopies)
    copies._client, copies._bucket, copies._prefix = Client(), BUCKET, ""  # type: ignore[assignment]
    file.write_bytes(b"an epoch")
    copies.put(file.name, file)
    assert arrived == [(b"an epoch", 8)]


class Unforeseen(FolderCopies):
    """Copies whose library fails in a way of its own, with a request in its words."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fails = True

    def put(self, name: str, file: Path) -> None:
        if self.fails:
            raise KeyError("Authorization: S3cret")
        super().put(name, file)

    def names(self) -> dict[str, datetime]:
        raise KeyError("Authorization: S3cret")


def test_a_failure_of_any_kind_is_said_and_the_next_copy_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lstm_adversarial_attack.checkpoints._PAUSES_S", ())
    here, said = work_folder(tmp_path, "here"), list[str]()
    copies = Unforeseen(tmp_path / "volume")
    checkpoints = Checkpoints(copies, here, said.append)
    (here / "journal.log").write_text("one")
    checkpoints.put("journal.log")
    until(lambda: said)
    copies.fails = False
    checkpoints.put("journal.log")
    checkpoints.close()
    checkpoints.discard()
    assert (tmp_path / "volume" / "journal.log").read_text() == "one"
    assert said == [
        "checkpoints: something unforeseen (KeyError); the stage goes on, and keeps them beside its output",
        "checkpoints: something unforeseen (KeyError); what is left there can be deleted",
    ]


@pytest.mark.parametrize("left", [0, 4, 30, 600])
def test_a_copy_that_is_not_whole_is_said_and_left_alone(address: str, tmp_path: Path, left: int) -> None:
    """As after a copy by other means that was cut off."""
    name, here, said = "checkpoint-0.safetensors", work_folder(tmp_path, "here"), list[str]()
    save_file({"weights": np.arange(200.0)}, here / name)
    whole = (here / name).read_bytes()
    (here / name).write_bytes(whole[:left])
    with open_checkpoints(address, here, pytest.fail) as checkpoints:
        checkpoints.put(name)
    there, later = work_folder(tmp_path, "there"), work_folder(tmp_path, "later")
    (there / name).write_bytes(whole)
    os.utime(there / name, (time.time() - 60, time.time() - 60))

    for work in (there, later):
        with open_checkpoints(address, work, said.append):
            pass

    assert load_file(there / name)["weights"].tolist() == list(range(200))
    assert [path.name for path in there.iterdir()] == [name]
    assert not list(later.iterdir())
    assert said == [
        f"checkpoints: the copy of {name} is not whole; going on from the one that is here",
        f"checkpoints: the copy of {name} is not whole; beginning anew",
    ]
    again = work_folder(tmp_path, "again")
    (there / name).write_bytes(whole)
    with open_checkpoints(address, there, said.append) as checkpoints:
        checkpoints.put(name)
    with open_checkpoints(address, again, pytest.fail):
        assert (again / name).read_bytes() == whole
