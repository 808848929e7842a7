"""What is in the wheel is enough: SQL, catalogue, protocol and template travel with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(site)}
    where = "import lstm_adversarial_attack.cli as c, lstm_adversarial_attack.sources.sql as s"
    found = subprocess.run(
        [sys.executable, "-c", f"{where}; print(c.__file__, s.__file__)"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert all(Path(path).is_relative_to(site) for path in found.stdout.split())
    options = ["--source", "synthetic:600", "--tune.trials", "1", "--tune.max-epochs", "2", "--train.max-epochs", "2"]
    options += ["--attack-tune.trials", "1", "--attack-tune.steps", "5", "--attack.steps", "10"]
    done = subprocess.run(
        [sys.executable, "-m", "lstm_adversarial_attack", "run", *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "default" / "report" / "report.html").is_file()
