"""The modules of this package that a script imports, and those that they import: a model takes them along."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def copy_needed_code(script: Path, folder: Path) -> Path:
    """Copy the modules that ``script`` needs of this package into ``folder``; return the copied package."""
    for file in needed_modules(script):
        target = folder / file.relative_to(_PACKAGE.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        for data in file.parent.glob("*.yaml"):  # read by the module beside it
            shutil.copyfile(data, target.parent / data.name)
    return folder / _PACKAGE.name


def needed_modules(script: Path) -> set[Path]:
    """Return the files of this package that are run when ``script`` is, the script itself left out.

    Imports inside functions count too.
    """
    found: set[Path] = set()
    waiting = list(_imported(script))
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(_imported(file))
    return found


def _imported(file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            yield from _files(name.split("."))


def _files(parts: list[str]) -> Iterator[Path]:
    """Return the files that are run when a module is imported: those of the packages above it, and its own."""
    if parts[0] != _PACKAGE.name:
        return
    for depth in range(len(parts)):
        path = _PACKAGE.joinpath(*parts[1 : depth + 1])
        if (path / "__init__.py").is_file():
            yield path / "__init__.py"
        elif path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")
