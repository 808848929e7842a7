"""Every stage as a command on small data, for containers and for the host to do the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

#: What each stage makes, and how it is asked for; {in} is the folder of inputs.
MAKES = {
    "extract": "events",
    "preprocess": "dataset",
    "tune": "hyperparameters",
    "train": "model",
    "attack-tune": "attack-settings",
    "attack": "examples",
    "evaluate": "report",
}
COMMANDS = {
    "extract": "--source synthetic:600,7",
    "preprocess": "--events {in}/events",
    "tune": "--dataset {in}/dataset --trials 1 --max-epochs 1",
    "train": "--dataset {in}/dataset --hyperparameters {in}/hyperparameters --max-epochs 2 --resamples 20",
    "attack-tune": "--dataset {in}/dataset --model {in}/model --trials 1 --steps 5 --max-samples 8",
    "attack": "--dataset {in}/dataset --model {in}/model --attack-settings {in}/attack-settings --max-samples 8",
    "evaluate": "--dataset {in}/dataset --model {in}/model --examples {in}/examples --resamples 20",
}
#: The user of the images, and any other, as some clusters draw one; both are of group 0.
USERS = ("10001:0", "1000680000:0")

#: Words in a hardened container of a stage; `tests/containers/conftest.py` has it.
Contained = Callable[..., subprocess.CompletedProcess[str]]


def command(stage: str, inputs: Path | str, out: Path | str) -> list[str]:
    """Return the words that carry out a stage on small data, after `lstm-aa`."""
    words = COMMANDS[stage].replace("{in}", str(inputs)).split()
    return [stage, *words, "--out", f"{out}/{MAKES[stage]}"]


def on_host(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `lstm-aa` here, with the libraries of the tests."""
    environ = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1", "LSTM_AA_TRACKING": "off"}
    called = [sys.executable, "-m", "lstm_adversarial_attack", *words]
    return subprocess.run(called, env=environ, capture_output=True, text=True, check=False)
