"""An environment with a stage's extra alone can load the stage; nothing pulls in kfp."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lstm_adversarial_attack.stage import STAGES

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Import names of the distributions that the extras name.
MODULES = {
    "duckdb": "duckdb",
    "ipykernel": "ipykernel",
    "jinja2": "jinja2",
    "jupyter-client": "jupyter_client",
    "matplotlib": "matplotlib",
    "minio": "minio",
    "mlflow": "mlflow",
    "nbclient": "nbclient",
    "nbformat": "nbformat",
    "optuna": "optuna",
    "plotly": "plotly",
    "psycopg2-binary": "psycopg2",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "sqlalchemy": "sqlalchemy",
    "tensorboard": "tensorboard",
    "torch": "torch",
    "traitlets": "traitlets",
    "urllib3": "urllib3",
}

LOAD = """
import sys

import polars  # looks around for libraries that it could work with

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused}:
            raise ImportError(name + " is not in the extra")

sys.meta_path.insert(0, Refuse())
from lstm_adversarial_attack.stage import load_stage
from lstm_adversarial_attack.sources import open_source
stage = load_stage({stage!r})
if stage.name == "extract":
    open_source("synthetic:10").close()
    import lstm_adversarial_attack.sources.challenge2012
    import lstm_adversarial_attack.sources.mimic_postgres
if stage.name in ("tune", "attack-tune"):
    import lstm_adversarial_attack.search.database
if stage.name == "attack":
    import lstm_adversarial_attack.attack.merge
if stage.name == "evaluate":
    import lstm_adversarial_attack.compare.command
print(stage.name)
"""


def distributions(extra: str) -> set[str]:
    """Return the distributions of an extra, those of the extras it names included."""
    found: set[str] = set()
    for requirement in PYPROJECT["optional-dependencies"][extra]:
        if requirement.startswith("lstm-adversarial-attack["):
            for name in requirement.partition("[")[2].rstrip("]").split(","):
                found |= distributions(name)
        else:
            found.add(requirement.partition(">")[0])
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_loads_with_its_own_extra(stage: str) -> None:
    refused = {"kfp", *(MODULES[name] for name in distributions("all") - distributions(stage))}
    script = LOAD.format(refused=sorted(refused), stage=stage)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == stage, done.stderr


@pytest.mark.parametrize("stage", ["extract", "preprocess"])
def test_the_data_stages_go_without_torch(stage: str) -> None:
    assert "torch" not in distributions(stage)


def test_the_walkthrough_imports_what_its_extra_holds() -> None:
    cells = json.loads((ROOT / "notebooks" / "walkthrough.ipynb").read_text())["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    imported = set()
    for code in (*codes, (ROOT / "notebooks" / "execute.py").read_text()):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    base = {requirement.partition(">")[0] for requirement in PYPROJECT["dependencies"]}
    held = base | {MODULES[name] for name in distributions("notebook")}
    assert imported - set(sys.stdlib_module_names) - {"lstm_adversarial_attack"} <= held


def test_kfp_is_in_no_requirement() -> None:
    everything = [*PYPROJECT["dependencies"], *distributions("all")]
    assert not [requirement for requirement in everything if "kfp" in requirement]
