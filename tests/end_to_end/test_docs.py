"""What the documentation tells a reader to type works as written, and what it names is there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from documents import IN_CONTAINERS, LANGUAGES, PAGES, ROOT, blocks_of, inline_code_of, links_of, name_of, options_in
from images.build import parser as images_parser
from lstm_adversarial_attack.cli import app
from lstm_adversarial_attack.evaluate.tables import SCHEMAS
from lstm_adversarial_attack.stage import STAGES, load_stage
from pipelines.submit import parser as submit_parser
from workshop import Workshop

#: Where the seven commands stand that make runs/1, which other pages go on from.
_MAKES_RUN_1 = ROOT / "docs" / "getting-started.md"
#: The page on tracking tracks; elsewhere it would only take time.
_TRACKS = ROOT / "docs" / "tracking.md"
_NEEDS = {_MAKES_RUN_1: (pytest.mark.demo, pytest.mark.challenge2012, pytest.mark.postgres)}
_CARRIED_OUT = [
    pytest.param(page, id=name_of(page), marks=_NEEDS.get(page, ()))
    for page in PAGES
    if page not in IN_CONTAINERS and any(block.language != "text" for block in blocks_of(page))
]
#: Options of other programs that pages name.
_OF_OTHERS = {
    "--port",  # optuna-dashboard
    *("--option", "--user"),  # of images.build, and of docker
    *("--stays", "--rounds", "--gradients", "--steps", "--device", "--all"),  # benchmarks
    "--executor-input",  # of every command, but typed by nobody
}


@pytest.fixture(scope="module")
def run_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/1, made stage by stage as the page on first steps says."""
    folder = tmp_path_factory.mktemp("made")
    (block,) = [block for block in blocks_of(_MAKES_RUN_1) if "--out runs/1/events" in block.text]
    with ExitStack() as stack:
        Workshop(folder, lambda name: pytest.fail(f"stage by stage needs no {name}"), stack).do(block)
    return folder


@pytest.fixture
def workshop(run_1: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workshop]:
    shutil.copytree(run_1 / "runs", tmp_path / "runs")

    def need(name: str) -> Path:
        folder: Path = request.getfixturevalue(name)
        return folder

    with ExitStack() as stack:
        yield Workshop(tmp_path, need, stack)


@pytest.mark.parametrize("page", _CARRIED_OUT)
def test_what_a_page_says_to_type_works(page: Path, workshop: Workshop) -> None:
    if page == _TRACKS:
        workshop.track()
    for block in blocks_of(page):
        workshop.do(block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    """Else a command could hide from the test that runs it."""
    for block in blocks_of(page):
        assert block.language in LANGUAGES, f"{block}: give the block a language: {', '.join(LANGUAGES)}"
        if block.language == "text":
            assert not re.search(r"^(\$ |lstm-aa |make |\.venv/)", block.text, flags=re.M), f"{block}: commands are sh"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_that_a_page_names_is_one(page: Path, options: set[str]) -> None:
    named = {option for code in inline_code_of(page) for option in options_in(code)}
    strange = {option for option in named - _OF_OTHERS if option not in options and not option.endswith(".")}
    assert not strange, f"{name_of(page)} names options that there are not: {', '.join(sorted(strange))}"


@pytest.fixture(scope="module")
def options() -> set[str]:
    """Every option of every command, and those that switch off; of the programs around them too."""
    found = {"--help", "--version"}
    for parser in (images_parser(), submit_parser()):
        inner = [one for action in parser._actions for one in getattr(action, "_name_parser_map", {}).values()]
        found |= {option for one in (parser, *inner) for action in one._actions for option in action.option_strings}
    for command in app:
        for argument in app[command].assemble_argument_collection() if not command.startswith("-") else ():
            found |= set(argument.names) | set(argument.negatives)
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_s_page_names_every_file_that_it_writes(stage: str, run_1: Path) -> None:
    makes = load_stage(stage).makes
    files = json.loads((run_1 / "runs" / "1" / makes / "manifest.json").read_text())["files"]
    page = ROOT / "docs" / "stages" / f"{stage}.md"
    headings = re.findall(r"^#+ (\S+(?:\.\w+|/))$", page.read_text(), flags=re.M)
    folders = {f"{name.partition('/')[0]}/" if "/" in name else name for name in files}
    tables = {name for name in files if makes == "report" and name.endswith((".csv", ".parquet"))}
    assert folders - tables <= set(headings)
    listed = {*SCHEMAS, *inline_code_of(page)}  # the page lists the former from the code
    assert {Path(name).stem for name in tables} <= listed


def test_links_lead_somewhere() -> None:
    """As they stand in a clone; those within the built site are looked at there."""
    for page in PAGES:
        for link in links_of(page):
            if not re.match(r"[a-z]+:|#", link):
                file = (page.parent / link.partition("#")[0]).resolve()
                assert file.exists(), f"{name_of(page)} links to {link}, which is not there"


@pytest.fixture(scope="module")
def hosts() -> Callable[[str], list[str]]:
    """Tell which hosts of package registries a text names."""
    names = (
        r"pypi\.org|pythonhosted\.org|anaconda\.(org|com)|npmjs\.\w+|unpkg\.com|jsdelivr\.net|cdnjs\.|docker\.io|quay\.io"
        r"|ghcr\.io|gcr\.io|pkg\.dev|download\.pytorch\.org|artifactory|nexus|simple/"
    )
    return lambda text: [match[0] for match in re.finditer(names, text)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_a_package_registry(page: Path, hosts: Callable[[str], list[str]]) -> None:
    assert hosts("see https://pypi.org/project") == ["pypi.org"]
    assert hosts(page.read_text()) == []
