"""Execute the walkthrough without a browser and write it, with its figures, to a notebook of its own.

It runs in the Python that runs this, whatever kernels are registered on the machine, and from the root of the clone.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

ROOT = Path(__file__).parents[1]
#: Longest that one cell may take: the attack on a large database.
CELL_SECONDS = 24 * 3600


class OwnPython(AsyncKernelManager):
    """Starts the Python that runs this; what is registered as python3 on the machine may lack the package."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel of this Python."""
        return KernelSpec(resource_dir="", **get_kernel_dict())


def execute(notebook: nbformat.NotebookNode) -> str | None:
    """Execute all cells in place; return what went wrong in the cell that failed, if one did."""
    client = NotebookClient(
        notebook,
        kernel_manager_class=OwnPython,
        config=Config({"OwnPython": {"transport": "ipc"}}),  # no open port
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(ROOT)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # without colours, which a log would show as signs
    return None


def main() -> int:
    """Execute, write, and print where it is; 1 where a cell failed."""
    parser = argparse.ArgumentParser(description="Execute notebooks/walkthrough.ipynb.")
    parser.add_argument("--source", help="where events come from (default: a synthetic cohort)")
    parser.add_argument("--out", help="folder of the artifacts (default: runs/walkthrough)")
    parser.add_argument("--audit-source", help="on whom the published score is made anew (default: a synthetic cohort)")
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "walkthrough.ipynb", help="the executed notebook")
    given = parser.parse_args()
    for option in ("source", "out", "audit_source"):
        if getattr(given, option) is not None:
            os.environ[f"WALKTHROUGH_{option.upper()}"] = getattr(given, option)
    notebook = nbformat.read(ROOT / "notebooks" / "walkthrough.ipynb", as_version=4)
    begun = time.monotonic()
    problem = execute(notebook)
    given.to.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, given.to)
    if problem:
        print(problem, file=sys.stderr)
    print(f"{'stopped' if problem else 'executed'} after {time.monotonic() - begun:.0f} s: {given.to}")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
