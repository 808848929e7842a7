"""Directives that write tables from the code, so that a page cannot say something else than the program does.

- ``{options} COMMAND``: every option of a command, with default, values and explanation.
- ``{columns} frames.STAYS``: the columns of a table that stages hand to one another.
- ``{fields} artifacts.contents.Scaling``: the fields of a JSON file.
- ``{tables} evaluate.tables.SCHEMAS``: the columns of several tables.
- ``{stage} NAME``: what a stage takes and makes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, get_args

from cyclopts.argument import Argument
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from annotated import columns_of, comments_of, fields_of, introduction_of, named, values_of
from lstm_adversarial_attack.artifacts.manifest import SCHEMA_VERSIONS
from lstm_adversarial_attack.cli import app as command_line
from lstm_adversarial_attack.settings import Execution
from lstm_adversarial_attack.stage import load_stage

_CODE = re.compile(r"(``?)(.+?)\1", re.S)


def worded(text: str) -> list[nodes.Node]:
    """Return text with what stands between backquotes as code."""
    found: list[nodes.Node] = []
    end = 0
    for match in _CODE.finditer(text):
        found += [nodes.Text(text[end : match.start()]), nodes.literal("", match[2])]
        end = match.end()
    return [*found, nodes.Text(text[end:])]


def paragraph(text: str) -> nodes.paragraph:
    """Return a paragraph of `worded` text."""
    return nodes.paragraph("", "", *worded(" ".join(text.split())))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> nodes.table:
    """Return a table; the first cell of each row is code."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in widths), cols=len(head))
    group += nodes.thead("", nodes.row("", *(nodes.entry("", nodes.paragraph("", word)) for word in head)))
    body = nodes.tbody()
    for first, *rest in rows:
        code = nodes.paragraph("", "", nodes.literal("", first))
        body += nodes.row("", nodes.entry("", code), *(nodes.entry("", paragraph(cell)) for cell in rest))
    group += body
    return nodes.table("", group, classes=["written"])


def explained(what: str, rows: Sequence[tuple[str, str, str]]) -> nodes.table:
    """Return a table of names, types and meanings, without the latter where the code says none."""
    head = (what, "Type", "Meaning") if any(meaning for *_, meaning in rows) else (what, "Type")
    return table(head, (row[: len(head)] for row in rows), (3, 4, 9)[: len(head)])


class Directive(SphinxDirective):
    """A directive with one name as its argument; a change of the code writes its page anew."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Return what stands in its place."""
        self.env.note_reread()
        return self.written(self.arguments[0])

    def written(self, name: str) -> list[nodes.Node]:
        """Return what is written of `name`."""
        raise NotImplementedError


class Options(Directive):
    """Every option of a command; of `run` those that are not a stage's own."""

    def written(self, name: str) -> list[nodes.Node]:
        """See `Directive`."""
        command = command_line[name]
        groups: dict[str, list[Argument]] = {"Inputs and output": [], "Settings": [], "How it is carried out": []}
        how, what = _option_names(command.default_command)
        for argument in command.assemble_argument_collection(parse_docstring=True):
            if argument.parse and not argument.children and "." not in argument.name:
                of = "Settings" if argument.name in what else "Inputs and output"
                groups["How it is carried out" if argument.name in how else of].append(argument)
        written: list[nodes.Node] = []
        for title, arguments in groups.items():
            if arguments:
                written.append(nodes.paragraph("", "", nodes.strong("", title)))
                written.append(
                    table(("Option", "Default", "Values", "What it does"), map(_row, arguments), (3, 2, 3, 8))
                )
        return written


def _option_names(command: Any) -> tuple[set[str], set[str]]:
    """Return the options of a command that are fields of its execution, and those of its settings."""
    how: set[str] = set()
    what: set[str] = set()
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = (get_args(parameter.annotation) or (parameter.annotation,))[0]
        if is_dataclass(kind):
            names = {f"--{field.name.replace('_', '-')}" for field in fields(kind)}
            (how if issubclass(kind, Execution) else what).update(names)  # type: ignore[arg-type]
    return how, what


def _row(argument: Argument) -> tuple[str, str, str, str]:
    default = argument.field_info.default
    shown = "required" if argument.required else _default(default)
    return argument.name, shown, values_of(argument.field_info.annotation), argument.parameter.help or ""


def _default(value: Any) -> str:
    if value is None or value == "" or value is inspect.Parameter.empty:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


class Columns(Directive):
    """The columns of a table, with the comments beside them."""

    def written(self, name: str) -> list[nodes.Node]:
        """See `Directive`."""
        module, _, schema = name.rpartition(".")
        said = introduction_of(module, schema)
        return [
            *([paragraph(said)] if said else []),
            explained("Column", columns_of(named(name), comments_of(module, schema))),
        ]


class Fields(Directive):
    """The fields of a JSON file, with what its class says of them."""

    def written(self, name: str) -> list[nodes.Node]:
        """See `Directive`."""
        struct = named(name)
        texts = [paragraph(text) for text in inspect.cleandoc(struct.__doc__).split("\n\n")]
        return [*texts, explained("Field", fields_of(struct))]


class Tables(Directive):
    """The columns of several tables, a row for each table."""

    def written(self, name: str) -> list[nodes.Node]:
        """See `Directive`."""
        rows = [(table, ", ".join(f"`{column}`" for column in schema)) for table, schema in named(name).items()]
        return [table(("Table", "Columns"), rows, (4, 12))]


class StageDirective(Directive):
    """What a stage takes and makes."""

    def written(self, name: str) -> list[nodes.Node]:
        """See `Directive`."""
        stage = load_stage(name)
        several = [f"{kind} (any number)" for kind in stage.may_take_many]
        optional = ", ".join(f"`{kind}`" for kind in (*stage.may_take, *several))
        takes = ", ".join(f"`{kind}`" for kind in stage.takes) or "a source of events"
        makes = f"`{stage.makes}`, schema version {SCHEMA_VERSIONS[stage.makes]}"
        rows = [("command", f"`lstm-aa {stage.name}`"), ("takes", takes), ("makes", makes)]
        if optional:
            rows.insert(2, ("may take", optional))
        return [table(("Stage", stage.name), rows, (3, 13))]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives."""
    for name, directive in (
        ("options", Options),
        ("columns", Columns),
        ("fields", Fields),
        ("tables", Tables),
        ("stage", StageDirective),
    ):
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
