"""A run that is killed in the middle of any stage ends, when taken up again, with the same digests."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

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


def kill_in(stage: str, out: Path, *, tries: int = 3) -> None:
    """Start the run and kill it without warning while ``stage`` is at work.

    Some stages last a tenth of a second; where a busy machine let one slip by, it is made to run again.
    """
    artifact, sign = IN_THE_MIDDLE[stage]
    for _ in range(tries):
        if killed_on_sight(out / f".{artifact}.work", sign, out) and not (out / artifact).exists():
            return
        shutil.rmtree(out / artifact, ignore_errors=True)
    pytest.fail(f"stage {stage} was never seen at work in {tries} runs")


def killed_on_sight(work: Path, sign: str, out: Path) -> bool:
    """Start the run, kill it as soon as the sign is seen, and tell whether it was killed before its end."""
    with subprocess.Popen(
        command("run", "--source", SOURCE, "--out", out, *QUICK), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and not seen(work, sign):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.returncode == -signal.SIGKILL


def seen(work: Path, sign: str) -> bool:
    """Tell whether the sign is there; of a journal, whether it tells of a finished trial."""
    try:
        found = next(work.glob(sign), None)
        if found is not None and found.name == "journal.log":
            return b'"state": 1' in found.read_bytes() or b'"state":1' in found.read_bytes()
        return found is not None
    except OSError:
        return False


def test_a_kill_in_each_stage_changes_no_digest(synthetic_run: Run, finish: Callable[..., Run], tmp_path: Path) -> None:
    out = tmp_path / "killed"
    for stage in IN_THE_MIDDLE:
        kill_in(stage, out)
    assert digests(finish(out, SOURCE).out) == digests(synthetic_run.out)
    assert not list(out.glob(".*")), "a finished run leaves nothing but its artifacts"


@pytest.mark.parametrize("stage", ["tune", "train", "attack-tune", "attack"])
def test_what_was_done_before_the_kill_is_not_done_again(
    finish: Callable[..., Run], stage: str, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    kill_in(stage, out)
    told = finish(out, SOURCE).stderr
    assert told.count("up to date") == list(IN_THE_MIDDLE).index(stage)
    went_on = re.search(rf"{stage} +(epochs|trials|samples): going on after (\d+) of", told)
    assert went_on is not None
    assert int(went_on.group(2)) >= 1
