"""Benchmarks that the attack's loop is measured by run, and say of each target whether it is met."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_bench_of_the_attack_s_step_prints_its_targets() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "bench_attack_step.py", "--samples", "4", "--gradients", "8", "--rounds", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    targets = [line for line in done.stdout.splitlines() if line.startswith("target ")]
    assert targets
    assert all(re.search(r"\((<=|at most) .*\) (met|missed)$", line) for line in targets)
