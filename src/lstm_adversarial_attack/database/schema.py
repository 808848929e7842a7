"""The definitions under ``sql/schema``, table by table."""

from __future__ import annotations

import re
from functools import cache

from lstm_adversarial_attack.sources.sql import sql_text, with_parameters

_TABLE = re.compile(r"create table (\w+) \(\n(.*?)\n\)", re.DOTALL)
_ON_TABLE = re.compile(r"\b(?:table|on) (\w+)")


@cache
def definitions() -> dict[str, str]:
    """Return the statement that makes each table."""
    return {match.group(1): match.group(0) for match in _TABLE.finditer(_code("tables"))}


def columns(table: str) -> tuple[str, ...]:
    """Return the columns of ``table`` in their order."""
    match = _TABLE.fullmatch(definitions()[table])
    assert match is not None
    return tuple(line.split()[0] for line in match.group(2).splitlines())


def indexes(table: str) -> tuple[str, ...]:
    """Return the statements that make the keys and indexes of ``table``."""
    statements = (statement.strip() for statement in _code("indexes").split(";"))
    return tuple(s for s in statements if s and _ON_TABLE.findall(s)[0] == table)


def _code(name: str) -> str:
    return with_parameters(sql_text(f"schema/{name}"), str)
