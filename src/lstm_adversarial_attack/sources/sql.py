"""The project's SQL files, and their named parameters in each database's style."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from lstm_adversarial_attack.catalogue import Item, Table
from lstm_adversarial_attack.sources import Reach

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


def sql_text(name: str) -> str:
    """Return the text of ``sql/NAME.sql``: from the installed package, or from the source tree it lies in."""
    packaged = resources.files("lstm_adversarial_attack").joinpath("sql", f"{name}.sql")
    if packaged.is_file():
        return packaged.read_text()
    return (Path(__file__).parents[3] / "sql" / f"{name}.sql").read_text()


def values_query(
    table: Table, *, stay_ids: list[int], items: list[Item], window_hours: int, reach: Reach
) -> tuple[str, dict[str, object]]:
    """Return the text of the query that reads a table's values, and its parameters.

    Items stand in the text, so that PostgreSQL filters by them first and leaves partitions without them alone.
    """
    text = sql_text(f"extract/admission/{table}" if reach == "admission" else f"extract/{table}")
    text = text.replace(":item_ids", ", ".join(str(int(item)) for item in items))
    parameters: dict[str, object] = {"stay_ids": stay_ids, "window_hours": window_hours}
    return text, {name: value for name, value in parameters.items() if f":{name}" in text}


def with_parameters(text: str, style: Callable[[str], str]) -> str:
    """Drop comments and write each ``:name`` as ``style(name)``."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return _PARAMETER.sub(lambda match: style(match.group(1)), code)
