"""A run that is killed in the middle of any stage ends, when taken up again, with the same digests."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from end_to_end.conftest import QUICK, Run, command, digests

SOURCE = "synthetic:600"

#: For each stage its artifact, and a file that is there while the stage is in the middle of its work.
IN_THE_MIDDLE = {
    "extract": ("events", "draft"),
    "preprocess": ("dataset", "draft"),
    "tune": ("hyperparameters", "*/journal.log"),
    "train": ("model", "*/checkpoint-0.safetensors"),
    "attack-tune": ("attack-settings", "*/journal.log"),
    "attack": ("examples", "*/chunk-*-000000.safetensors"),
    "evaluate": ("report", "draft"),
}


def kill_in(stage: str, out: Path, *, tries: int = 3) -> str:
    """Start the run and kill it without warning while ``stage`` is at work; return what it said until then.

    Some stages last a tenth of a second; where a busy machine let one slip by, it is made to run again.
    """
    artifact, sign = IN_THE_MIDDLE[stage]
    first = None
    for _ in range(tries):
        killed, said = killed_on_sight(out / f".{artifact}.work", sign, out)
        first = said if first is None else first
        if killed and not (out / artifact).exists():
            return first
        shutil.rmtree(out / artifact, ignore_errors=True)
    pytest.fail(f"stage {stage} was never seen at work in {tries} runs")


def killed_on_sight(work: Path, sign: str, out: Path) -> tuple[bool, str]:
    """Start the run, kill it as soon as the sign is seen; tell whether that was before its end, and what it said."""
    with (
        TemporaryFile("w+") as said,
        subprocess.Popen(
            command("run", "--source", SOURCE, "--out", out, *QUICK), stdout=subprocess.DEVNULL, stderr=said
        ) as process,
    ):
        deadline = time.monotonic() + 120
        while process.poll() is None and not seen(work, sign):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        said.seek(0)
        return process.returncode == -signal.SIGKILL, said.read()


def seen(work: Path, sign: str) -> bool:
    """Tell whether the sign is there; of a journal, whether it tells of a finished trial."""
    try:
        found = next(work.glob(sign), None)
        if found is not None and found.name == "journal.log":
            return b'"state": 1' in found.read_bytes() or b'"state":1' in found.read_bytes()
        return found is not None
    except OSError:
        return False


@dataclass(frozen=True)
class Killed:
    """A run that was killed in each stage, and at last finished: what it said after the kill in each."""

    out: Path
    said_after: dict[str, str]


@pytest.fixture(scope="module")
def killed(finish: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Killed:
    out = tmp_path_factory.mktemp("kill") / "killed"
    stages = list(IN_THE_MIDDLE)
    said = [kill_in(stage, out) for stage in stages]
    said.append(finish(out, SOURCE).stderr)
    return Killed(out, dict(zip(stages, said[1:], strict=True)))


def test_a_kill_in_each_stage_changes_no_digest(killed: Killed, synthetic_run: Run) -> None:
    assert digests(killed.out) == digests(synthetic_run.out)
    assert not list(killed.out.glob(".*")), "a finished run leaves nothing but its artifacts"


@pytest.mark.parametrize("stage", ["tune", "train", "attack-tune", "attack"])
def test_what_was_done_before_the_kill_is_not_done_again(killed: Killed, stage: str) -> None:
    told = killed.said_after[stage]
    assert told.count("up to date") == list(IN_THE_MIDDLE).index(stage)
    went_on = re.search(rf"{stage} +(epochs|trials|samples): going on after (\d+) of", told)
    assert went_on is not None
    assert int(went_on.group(2)) >= 1
