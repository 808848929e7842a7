"""The project's SQL files, and their named parameters in each database's style."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def sql_text(name: str) -> str:
    """Return the text of ``sql/NAME.sql``: from the installed package, or from the source tree it lies in."""
    packaged = resources.files("lstm_adversarial_attack").joinpath("sql", f"{name}.sql")
    if packaged.is_file():
        return packaged.read_text()
    return (Path(__file__).parents[3] / "sql" / f"{name}.sql").read_text()


def with_parameters(text: str, style: Callable[[str], str]) -> str:
    """Drop comments and write each ``:name`` as ``style(name)``."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return _PARAMETER.sub(lambda match: style(match.group(1)), code)
