"""The documentation site: it builds without a warning, its links lead somewhere, and everybody can read it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import pytest
from msgspec import Meta
from playwright.sync_api import Browser

from annotated import comments_of, values_of
from documents import ROOT
from end_to_end.conftest import barriers, open_page
from lstm_adversarial_attack import frames
from lstm_adversarial_attack.settings import SETTINGS
from lstm_adversarial_attack.stage import load_stage

#: What `make docs` hands to Sphinx.
BUILD = ("--fail-on-warning", "--keep-going", "--nitpicky", "--builder", "html")
#: Pages that have one of everything: menus, code, wide tables, formulas, signatures, search.
VARIED = ("index.html", "getting-started.html", "methods.html", "reference.html", "search.html", "stages/attack.html")
TABLES = {
    "extract": (frames.STAYS, frames.MEASUREMENTS),
    "preprocess": (frames.SAMPLES,),
    "train": (frames.PREDICTIONS, frames.BASELINE_PREDICTIONS, frames.HISTORY),
    "attack": (frames.EXAMPLES, frames.FRONTIER, frames.EDITS, frames.PERTURBATIONS),
}


class Read(HTMLParser):
    """What a page of HTML holds: ids, links, addresses of what it loads, text, and cells of tables."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.rows: list[list[str]] = []
        self.text: list[str] = []
        self._silent = 0
        self._cell = False
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if tag == "link" and given.get("rel") not in ("index", "search", "next", "prev"):
            self.loaded.append(given.get("href") or "")
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loaded.append(given["src"] or "")
        self._silent += tag in ("script", "style")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", *BUILD, "--doctree-dir", str(folder / "trees"), str(ROOT / "docs")]
    done = subprocess.run([*command, str(folder / "html")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Read]:
    return {file.relative_to(site).as_posix(): Read(file) for file in sorted(site.rglob("*.html"))}


def test_make_docs_builds_it_as_the_test_does() -> None:
    shown = subprocess.run(["make", "--dry-run", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"-m sphinx {' '.join(BUILD)} docs build/docs" in shown


def test_every_page_is_in_the_site(pages: dict[str, Read]) -> None:
    written = {file.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for file in ROOT.glob("docs/**/*.md")}
    assert written <= set(pages)
    menu = {link.partition("#")[0] for link in pages["index.html"].links}
    assert written - menu <= {"index.html"}


def test_links_within_the_site_lead_somewhere(site: Path, pages: dict[str, Read]) -> None:
    seen = 0
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("https", "http", "mailto"), f"{name} links to {link}"
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            assert target.is_file(), f"{name} links to {link}"
            if parts.fragment:
                there = pages[target.resolve().relative_to(site.resolve()).as_posix()]
                assert unquote(parts.fragment) in there.ids, f"{name} links to {link}"
                seen += 1
    assert seen > 100


def test_a_page_loads_nothing_from_elsewhere(pages: dict[str, Read]) -> None:
    for name, page in pages.items():
        assert page.loaded, f"{name} loads no style"
        assert [address for address in page.loaded if urlsplit(address).netloc] == [], name


def test_formulas_are_drawn(site: Path, pages: dict[str, Read]) -> None:
    html = (site / "methods.html").read_text()
    assert html.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') > 10
    assert "<mfrac>" in html
    text = "".join(pages["methods.html"].text)
    assert re.findall(r"\\[a-z]+|\$\$", text) == []


@pytest.mark.parametrize("stage", SETTINGS)
def test_a_stage_s_page_tells_of_every_option(stage: str, pages: dict[str, Read]) -> None:
    rows = {row[0]: row[1:] for row in pages[f"stages/{stage}.html"].rows if row and row[0].startswith("--")}
    for field in fields(SETTINGS[stage]):
        default, values, meaning = rows[f"--{field.name.replace('_', '-')}"]
        assert meaning
        assert values
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert float(default) == field.default
    assert {f"--{kind}" for kind in load_stage(stage).takes} <= {name for name, (given, *_) in rows.items() if given}
    assert rows["--out"][0] == "required"


@pytest.mark.parametrize("stage", TABLES)
def test_a_stage_s_page_tells_of_every_column(stage: str, pages: dict[str, Read]) -> None:
    rows = pages[f"stages/{stage}.html"].rows
    for schema in TABLES[stage]:
        for column in schema:
            assert any(row[0] == column and row[-1] for row in rows if row), f"{column} is not explained"


def test_what_tables_say_comes_from_the_code() -> None:
    assert comments_of("frames", "SAMPLES")["sex"] == "F or M"
    assert comments_of("artifacts.contents", "Trial")["state"] == "COMPLETE or PRUNED"
    known: dict[Any, str] = {
        Annotated[int, Meta(ge=0, le=64)]: "whole number, 0 or more, 64 at most",
        Annotated[int, Meta(ge=1, le=2**31 - 1)]: "whole number, 1 or more",
        Annotated[float, Meta(gt=0, lt=1)] | None: "number, above 0, below 1",
        bool: "yes or no",
        str: "text",
    }
    assert {kind: values_of(kind) for kind in known} == known


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_opens_without_errors_and_without_the_network(
    browser: Browser, site: Path, pages: dict[str, Read], width: int
) -> None:
    page, errors, requests = open_page(browser, site / "index.html", viewport={"width": width, "height": 900})
    for name in pages:
        page.goto((site / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert errors == [], name
    assert len(requests) > len(pages)
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
@pytest.mark.parametrize("name", VARIED)
def test_a_page_has_no_barriers(browser: Browser, site: Path, name: str, width: int, scheme: str) -> None:
    assert barriers(browser, site / name, width, scheme) == []
