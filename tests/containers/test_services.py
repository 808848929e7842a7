"""A stage in its image tells an MLflow server what it did, and keeps unfinished work in a bucket."""

from __future__ import annotations

from pathlib import Path

from lstm_adversarial_attack.artifacts import open_artifact
from mlflow_server import running_mlflow
from seaweedfs_server import running_seaweedfs
from serving import answer
from small_stages import Contained, command

_HOST = ("--network", "host")


def test_training_registers_its_model_with_a_server(made: Path, out: Path, contained: Contained) -> None:
    """The client alone is enough for figures, curves and the model; nothing is said, for nothing is missing."""
    with running_mlflow() as server:
        more = ("--env", f"MLFLOW_TRACKING_URI={server.address}")
        words = command("train", "/in", "/out")
        done = contained("train", "lstm-aa", *words, mounts={made: "/in", out: "/out"}, network=_HOST, more=more)
        assert done.returncode == 0, done.stderr
        assert "tracking:" not in done.stderr
        digest = open_artifact(out / "model", "model").digest
        assert digest in answer(server.port, "/api/2.0/mlflow/model-versions/search")
    assert [path.name for path in out.iterdir()] == ["model"]


def test_unfinished_work_goes_to_a_bucket(made: Path, out: Path, contained: Contained) -> None:
    with running_seaweedfs() as s3:
        s3.client.make_bucket("unfinished")
        more = tuple(part for name, value in s3.env.items() for part in ("--env", f"{name}={value}"))
        words = [*command("attack", "/in", "/out"), "--checkpoints", "s3://unfinished/attack"]
        done = contained("attack", "lstm-aa", *words, mounts={made: "/in", out: "/out"}, network=_HOST, more=more)
        assert done.returncode == 0, done.stderr
    assert open_artifact(out / "examples", "examples").digest == open_artifact(made / "examples", "examples").digest
