"""Every `docker run` line of a component's README works as written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from documents import ROOT, blocks_of
from images.engine import Engine
from lstm_adversarial_attack.artifacts import open_artifact
from pipelines.cluster import NEEDS

#: In this order, in which each finds what those before it have made.
READMES = [ROOT / "components" / command.replace("-", "_") / "README.md" for command in NEEDS]
#: What lies in runs/1 when all have run.
MADE = {
    "events": "events",
    "dataset": "dataset",
    "hyperparameters": "hyperparameters",
    "merged-hyperparameters": "hyperparameters",
    "model": "model",
    "attack-settings": "attack-settings",
    "examples": "examples",
    "joined": "examples",
    "report": "report",
}


@pytest.fixture(scope="module")
def folder(engine: Engine, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/1, and a `docker` on the way that is the engine's client."""
    made = tmp_path_factory.mktemp("readmes")
    (made / "runs" / "1").mkdir(parents=True)
    (made / "bin").mkdir()
    client = shutil.which(engine.client)
    assert client is not None
    (made / "bin" / "docker").symlink_to(client)
    assert len(images) == 7
    return made


def test_every_line_of_every_readme_works_as_written(folder: Path, engine: Engine) -> None:
    environ = {**engine.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    lines = 0
    for readme in READMES:
        (block,) = [block for block in blocks_of(readme) if block.language == "sh"]
        lines += len(block.commands)
        assert all(words[:2] == ["docker", "run"] for words in block.commands), block
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{block}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert lines == len(NEEDS) + 2  # merging takes two shards, which are made first
    for name, kind in MADE.items():
        open_artifact(folder / "runs" / "1" / name, kind)
    assert open_artifact(folder / "runs/1/joined", "examples").manifest.settings["shard"] == ""
