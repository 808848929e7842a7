"""The pages of the documentation as text: their code blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

#: Pages whose commands need the images: they are carried out with them, by tests/containers.
IN_CONTAINERS = (ROOT / "docs" / "containers.md",)

#: Languages of code blocks. What stands in sh, python, yaml and sql is carried out; text is a drawing or an output.
LANGUAGES = ("sh", "python", "yaml", "sql", "text")


@dataclass(frozen=True)
class Block:
    """A code block: where it stands, its language, and its text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def name_of(page: Path) -> str:
    """Return a page's path within the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, directives of the site left out; an indented one has no language."""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            yield Block(page, (token.map or [0])[0] + 1, token.info.strip(), token.content)


def inline_code_of(page: Path) -> list[str]:
    """Return what stands between backquotes within the text of a page."""
    parsed = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    return [child.content for token in parsed for child in token.children or [] if child.type == "code_inline"]


def links_of(page: Path) -> list[str]:
    """Return the addresses that a page links to."""
    parsed = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    links = [child for token in parsed for child in token.children or [] if child.type == "link_open"]
    return [str(link.attrGet("href")) for link in links]


def options_in(code: str) -> list[str]:
    """Return the long options that a piece of code names."""
    return re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*", code)
