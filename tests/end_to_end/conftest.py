"""What the tests share that look at finished work: one run on the real demo, one on a synthetic cohort, a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from workers import made_once

KINDS = ("events", "dataset", "hyperparameters", "model", "attack-settings", "examples", "report")

#: Calls `lstm-aa`, in this process or in one of its own.
Call = Callable[..., subprocess.CompletedProcess[str]]

#: Small searches, so that a run takes seconds; what is tested does not depend on their size.
QUICK = (
    *("--tune.trials", "3", "--tune.max-epochs", "4", "--train.max-epochs", "6", "--train.resamples", "200"),
    *("--attack-tune.trials", "3", "--attack-tune.steps", "30", "--attack.steps", "60", "--attack.chunk-size", "16"),
    *("--evaluate.resamples", "200", "--device", "cpu"),
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and what it printed."""

    out: Path
    stdout: str
    stderr: str


def command(*arguments: object) -> list[str]:
    """Return the command line of `lstm-aa` in a process of its own."""
    return [sys.executable, "-m", "lstm_adversarial_attack", *map(str, arguments)]


def digests(out: Path) -> dict[str, str]:
    """Return the manifest digest of every artifact of a run."""
    return {kind: json.loads((out / kind / "manifest.json").read_text())["digest"] for kind in KINDS}


@pytest.fixture(scope="session")
def finish() -> Callable[..., Run]:
    """Run `lstm-aa run` to its end."""

    def call(out: Path, source: str, *options: object) -> Run:
        done = subprocess.run(
            command("run", "--source", source, "--out", out, *QUICK, *options),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Run(out, done.stdout, done.stderr)

    return call


@pytest.fixture
def finish_inside(lstm_aa_inside: Call) -> Callable[..., Run]:
    """Do the same in this process, which saves the start, for tests of what a run makes and not of how it ends."""

    def call(out: Path, source: str, *options: object) -> Run:
        done = lstm_aa_inside("run", "--source", source, "--out", out, *QUICK, *options)
        assert done.returncode == 0, done.stderr
        return Run(out, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def finished_once(finish: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Run]:
    """Run `lstm-aa run` to its end, once for all processes that run tests."""

    def call(name: str, source: str) -> Run:
        def make(folder: Path) -> None:
            run = finish(folder / "run", source)
            (folder / "stdout").write_text(run.stdout)
            (folder / "stderr").write_text(run.stderr)

        made = made_once(tmp_path_factory, name, make)
        return Run(made / "run", (made / "stdout").read_text(), (made / "stderr").read_text())

    return call


@pytest.fixture(scope="session")
def demo_run(finished_once: Callable[[str, str], Run], demo: Path) -> Run:
    return finished_once("demo-run", f"csv:{demo}")


@pytest.fixture(scope="session")
def synthetic_run(finished_once: Callable[[str, str], Run]) -> Run:
    return finished_once("synthetic-run", "synthetic:600")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{path}: {word} is not strict JSON"))


@pytest.fixture(scope="module")  # not longer: two of them cannot be alive at once
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing = "no chromium on PATH: install Debian's package chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


def open_page(browser: Browser, file: Path, **options: Any) -> tuple[Page, list[str], list[str]]:
    """Open a page and return it, the errors of its console and the requests it made."""
    page = browser.new_page(**options)
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")
    return page, errors, requests


#: The screens and schemes in which a page is looked at.
VIEWS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


def barriers(browser: Browser, file: Path, width: int, scheme: str) -> list[str]:
    """Return what axe finds serious or critical on a page of which everything is unfolded."""
    page, _, _ = open_page(browser, file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    found = Axe().run(page).response
    assert len(found["passes"]) > 10, "axe has looked at nothing"
    page.close()
    return [
        f"{violation['id']}: {node['target']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
