"""What the source says of columns, fields and options: comments, types and ranges, read from the code itself."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
import types
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import polars as pl
from msgspec import Meta

PACKAGE = "lstm_adversarial_attack"
#: An upper end of a range from here on says no more than that numbers have so many bits.
_NO_LIMIT = 2**31 - 1


def named(path: str) -> Any:
    """Return what `path` names within the package, as in ``artifacts.contents.Scaling``.

    Raises:
        AttributeError: there is no such name.
    """
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"{PACKAGE}.{module}"), name)


def comments_of(module: str, name: str) -> dict[str, str]:
    """Return the comment beside each entry of a dict, or each field of a class, that a module defines as `name`."""
    source = Path(str(import_module(f"{PACKAGE}.{module}").__file__)).read_text(encoding="utf-8")
    by_line = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    tree = ast.parse(source)
    return {entry: by_line.get(line, "") for entry, line in _entries(tree, name)}


def introduction_of(module: str, name: str) -> str:
    """Return the comment of ``#:`` lines above the definition of `name`."""
    lines = Path(str(import_module(f"{PACKAGE}.{module}").__file__)).read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith((f"{name}:", f"{name} =")))
    above: list[str] = []
    while lines[at - 1].startswith("#: "):
        at -= 1
        above.insert(0, lines[at].removeprefix("#: "))
    return " ".join(above)


def _entries(tree: ast.Module, name: str) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield field.target.id, field.end_lineno or field.lineno
        target: ast.expr | None = None
        made: ast.expr | None = None
        if isinstance(node, ast.AnnAssign):
            target, made = node.target, node.value
        elif isinstance(node, ast.Assign):
            target, made = node.targets[0], node.value
        if isinstance(target, ast.Name) and target.id == name and isinstance(made, ast.Dict):
            for key, value in zip(made.keys, made.values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value), value.end_lineno or value.lineno
                elif isinstance(value, ast.Name):  # **OTHER
                    yield from _entries(tree, value.id)


def columns_of(schema: Mapping[str, Any], notes: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return name, type and meaning of each column."""
    return [(name, dtype(kind), notes.get(name, "")) for name, kind in schema.items()]


def dtype(kind: Any) -> str:
    """Return a Polars type in words."""
    if isinstance(kind, pl.Enum):
        return ", ".join(kind.categories) or "a name of the feature set"
    return str(kind)


def fields_of(struct: type) -> list[tuple[str, str, str]]:
    """Return name, type and comment of each field of a msgspec struct."""
    module = struct.__module__.removeprefix(f"{PACKAGE}.")
    notes = comments_of(module, struct.__name__)
    written = {
        node.target.id: ast.unparse(node.annotation)
        for node in ast.walk(ast.parse(inspect.getsource(struct)))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return [(name, written[name], notes.get(name, "")) for name in struct.__struct_fields__]  # type: ignore[attr-defined]


def values_of(annotation: Any, given: tuple[Meta, ...] = ()) -> str:
    """Return which values an option takes, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values_of(parts[0], tuple(part for part in parts[1:] if isinstance(part, Meta)) + given)
    if origin in (Union, types.UnionType):
        return values_of(next(part for part in parts if part is not type(None)), given)
    if origin is Literal:
        return ", ".join(map(str, parts))
    if origin is list:
        return "one or more paths"
    if origin is tuple:
        return f"one or more of {values_of(parts[0])}"
    if annotation in (int, float):
        return _range("whole number" if annotation is int else "number", given)
    return {bool: "yes or no", str: "text", Path: "path"}[annotation]


def _range(kind: str, given: tuple[Meta, ...]) -> str:
    ends: dict[str, Any] = {}
    for meta in given:
        ends |= {name: value for name in ("gt", "ge", "lt", "le") if (value := getattr(meta, name)) is not None}
    low = f"above {ends['gt']:,.12g}" if "gt" in ends else f"{ends['ge']:,.12g} or more" if "ge" in ends else ""
    high = f"below {ends['lt']:,.12g}" if "lt" in ends else f"{ends['le']:,.12g} at most" if "le" in ends else ""
    if ends.get("le", 0) >= _NO_LIMIT:
        high = ""
    return ", ".join(part for part in (kind, low, high) if part)
