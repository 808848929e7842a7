"""The report as a browser shows it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from end_to_end.conftest import Run

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
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


def open_report(browser: Browser, run: Run, **options: Any) -> tuple[Page, list[str], list[str]]:
    """Open the report and return the page, the errors of its console and the requests it made."""
    page = browser.new_page(**options)
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto((run.out / "report" / "report.html").as_uri())
    page.wait_for_load_state("networkidle")
    return page, errors, requests


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_errors_and_without_the_network(
    browser: Browser, synthetic_run: Run, width: int, scheme: str
) -> None:
    page, errors, requests = open_report(
        browser, synthetic_run, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.demo
def test_it_shows_the_headline_and_every_figure(browser: Browser, demo_run: Run) -> None:
    page, _, _ = open_report(browser, demo_run)
    text = page.inner_text("body")
    for line in demo_run.stdout.splitlines()[:5]:
        assert line.partition(": ")[2].lower() in text.lower()
    plots = page.locator(".js-plotly-plot")
    assert plots.count() >= 8
    for index in range(plots.count()):
        assert plots.nth(index).locator("svg.main-svg").count() > 0
    for words in ("Cohort", "calibration", "precision", "Susceptib", "mmHg", "physiological"):
        assert words.lower() in text.lower()
    page.close()
