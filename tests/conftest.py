"""What tests of every kind need: the shared data, a synthetic cohort, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lstm_adversarial_attack import cli
from lstm_adversarial_attack.sources.synthetic import synthesize

#: Tests of other things do not log; those of tracking switch it on.
os.environ["LSTM_AA_TRACKING"] = "off"
#: Where several processes run tests, each computes on one core.
os.environ["OMP_NUM_THREADS"] = "1"
#: How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

Run = Callable[..., subprocess.CompletedProcess[str]]

REPOSITORY = Path(__file__).parents[1]
#: Enough for both outcomes in all three splits under the default settings.
SYNTHETIC_STAYS, SYNTHETIC_SEED = 600, 7


#: More processes at once would mostly wait for the longest files.
MOST_PROCESSES = 4
#: What takes longest comes first where several processes share the tests, so that none of them is left with it.
LONGEST_FIRST = ("end_to_end", "integration", "contract", "unit")


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run tests where nobody says how many."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(ours, MOST_PROCESSES)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    kind = item.path.relative_to(REPOSITORY / "tests").parts[0] if REPOSITORY / "tests" in item.path.parents else ""
    return LONGEST_FIRST.index(kind) if kind in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the shared data: LSTM_AA_SHARED_DATA, or ../shared/data beside the repository."""
    default = REPOSITORY.parent / "shared" / "data"
    folder = Path(os.environ.get("LSTM_AA_SHARED_DATA") or default)
    if not folder.is_dir():
        _missing(f"no shared data at {folder}; set LSTM_AA_SHARED_DATA to the folder with mimic-iii-demo")
    return folder


@pytest.fixture(scope="session")
def demo(shared_data: Path) -> Path:
    """The MIMIC-III demo, version 1.4, as CSV.gz files."""
    folder = shared_data / "mimic-iii-demo"
    if not (folder / "CHARTEVENTS.csv.gz").is_file():
        _missing(f"no MIMIC-III demo at {folder}; put the CSV.gz files of PhysioNet's mimiciii-demo 1.4 there")
    return folder


@pytest.fixture(scope="session")
def challenge2012(shared_data: Path) -> Path:
    """The folder with set-a of the PhysioNet/CinC Challenge 2012 and its outcomes."""
    folder = shared_data / "challenge-2012"
    if not (folder / "set-a.tar.gz").is_file():
        _missing(f"no Challenge 2012 at {folder}; put PhysioNet's set-a.tar.gz and Outcomes-a.txt there")
    return folder


def _missing(message: str) -> None:
    """Skip on a developer's machine, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def synthetic_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small synthetic release."""
    folder = tmp_path_factory.mktemp("synthetic")
    synthesize(SYNTHETIC_STAYS, SYNTHETIC_SEED, folder)
    return folder


@pytest.fixture
def lstm_aa(tmp_path: Path) -> Run:
    """Call `lstm-aa` in a process and an environment of its own; the working directory is `tmp_path`."""

    def call(
        *arguments: object, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lstm_adversarial_attack", *map(str, arguments)],
            cwd=tmp_path,
            env=_clean_environment() | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return call


def _clean_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    sources = str(Path(cli.__file__).parents[1])
    fixed = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "PYTHONPATH": sources, "LSTM_AA_TRACKING": "off"}
    return kept | fixed


@pytest.fixture
def lstm_aa_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call `lstm-aa` in this process, which saves the start; what is no exit with a code is raised."""

    def call(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        given = list(map(str, arguments))
        with monkeypatch.context() as patched:
            patched.chdir(tmp_path)
            for name, value in (env or {}).items():
                patched.setenv(name, value)
            capsys.readouterr()
            code = 0
            try:
                cli.main(given)
            except SystemExit as end:
                code = int(end.code or 0)
            out, err = capsys.readouterr()
        return subprocess.CompletedProcess(given, code, out, err)

    return call
