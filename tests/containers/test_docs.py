"""What the page on containers tells a reader to type works as written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from documents import IN_CONTAINERS, ROOT, Block, blocks_of
from images import names
from images.engine import Engine
from workshop import QUICK

_COMMANDS = [block for page in IN_CONTAINERS for block in blocks_of(page) if block.language == "sh"]
_IMAGE = re.compile(r"lstm-adversarial-attack/(?P<stage>[a-z-]+):(?P<tag>[\w.-]+)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, engine: Engine, images: dict[str, str]) -> Path:  # noqa: ARG001
    """A folder in which the blocks are carried out one after the other, with the engine's client as `docker`."""
    place = tmp_path_factory.mktemp("reader")
    (place / "runs" / "1").mkdir(parents=True)
    (place / "runs" / "1" / "quick.yaml").write_text(yaml.safe_dump(QUICK), encoding="utf-8")
    (place / "bin").mkdir()
    client = subprocess.run(["which", engine.client], capture_output=True, text=True, check=True).stdout.strip()
    (place / "bin" / "docker").symlink_to(client)
    return place


@pytest.mark.parametrize("block", _COMMANDS, ids=str)
def test_what_the_page_says_to_type_works(block: Block, folder: Path) -> None:
    """On less data, and without a GPU; of make, what it would do, which other tests do step by step."""
    makes = [line for line in block.text.splitlines() if line.startswith("make ")]
    for line in makes:
        done = subprocess.run(
            ["make", "--dry-run", *line.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "images." in done.stdout
    if not makes:
        text = block.text.replace("synthetic:5000", "synthetic:600").replace(" --out ", " --settings quick.yaml --out ")
        text = text.replace(" --gpus all", "").replace("-cuda ", "-cpu ").replace("--device cuda", "--device cpu")
        environ = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-euc", text], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def test_the_page_makes_a_report(folder: Path) -> None:
    assert (folder / "runs" / "1" / "report" / "report.html").is_file()


@pytest.mark.parametrize("page", IN_CONTAINERS, ids=str)
def test_images_that_the_page_names_are_built(page: Path) -> None:
    there = {names.tagged(stage, each) for stage in names.STAGES for each in names.ACCELERATORS}
    text = re.sub(r"stage ([a-z-]+:\S+) ", r"lstm-adversarial-attack/\1 ", page.read_text())
    named = {match[0] for match in _IMAGE.finditer(text)}
    assert len(named) >= len(names.STAGES)
    assert named <= there
