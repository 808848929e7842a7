"""What the README tells a reader to type works as written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from end_to_end.conftest import command
from lstm_adversarial_attack.cli import app

README = (Path(__file__).parents[2] / "README.md").read_text()

#: Small searches and few stays, so that the commands take seconds.
QUICK = """
tune: {trials: 1, max_epochs: 2}
train: {max_epochs: 3, resamples: 50}
attack-tune: {trials: 1, steps: 10}
attack: {steps: 20}
evaluate: {resamples: 50}
"""


def blocks(language: str) -> list[str]:
    """Return the code blocks of the README in ``language`` ("" for commands)."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


def command_lines() -> list[str]:
    """Return every call of `lstm-aa` in the command blocks."""
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [line for line in lines if line.startswith(".venv/bin/lstm-aa ")]


def run(line: str, folder: Path) -> None:
    words = [word.replace("synthetic:5000", "synthetic:600") for word in shlex.split(line)]
    assert words[0] == ".venv/bin/lstm-aa"
    done = subprocess.run(
        command(*words[1:], "--settings", "quick.yaml"), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_stage_by_stage_works_as_written(tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK)
    stages = [line for line in command_lines() if "runs/1/" in line]
    assert len(stages) == 7
    for line in stages:
        run(line, tmp_path)
    assert (tmp_path / "runs" / "1" / "report" / "report.html").is_file()


@pytest.mark.demo
@pytest.mark.challenge2012
@pytest.mark.parametrize("name", ["demo", "set-a"])
def test_runs_on_open_data_work_as_written(tmp_path: Path, shared_data: Path, name: str) -> None:
    """Fetched they are in tests of their own; here they lie where the command before would have put them."""
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "data").symlink_to(shared_data)
    (line,) = [line for line in command_lines() if line.endswith(f"runs/{name}")]
    run(line, tmp_path)
    assert (tmp_path / "runs" / name / "report" / "report.html").is_file()


def test_every_command_is_one() -> None:
    commands = {shlex.split(line)[1] for line in command_lines()}
    assert {"run", "fetch", "load-database", "extract", "evaluate"} <= commands
    for line in command_lines():
        app.parse_args(shlex.split(line)[1:], exit_on_error=False, print_error=False)


def test_the_settings_file_is_one(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "my.yaml").write_text(text)
    done = subprocess.run(
        command("preprocess", "--events", "nowhere", "--out", "x", "--settings", "my.yaml"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "nowhere: no such folder" in done.stderr  # so the file was read and found good


def test_the_library_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(code, {"__name__": "readme"})
    assert "tensor([True, True])" in capsys.readouterr().out


def test_the_make_targets_named_exist() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    named = {word for line in re.findall(r"^make ([a-z -]+)", README, flags=re.M) for word in line.split()}
    assert named >= {"run", "test", "lint", "typecheck", "bench", "lock"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, flags=re.M), target


def test_the_examples_of_the_attack_s_page_run_as_written() -> None:
    page = (Path(__file__).parents[2] / "docs" / "attack.md").read_text()
    codes = re.findall(r"^```python\n(.*?)^```$", page, flags=re.M | re.S)
    assert codes
    for code in codes:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "tensor(1.)" in done.stdout
