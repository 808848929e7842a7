"""Unfinished training goes on elsewhere from its copy in a real S3 bucket, or a folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.conftest import Artifacts
from lstm_adversarial_attack import cli
from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.checkpoints import open_checkpoints
from lstm_adversarial_attack.errors import UserError
from mlflow_server import free_port
from seaweedfs_server import Server, running_seaweedfs

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
