"""The data card as a browser shows it, and what it must not tell."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser

from end_to_end.conftest import Run, read_json

SECTIONS = ("Protocol", "Cohort", "Splits", "How often measured", "Values against ranges", "Check of units", "Scaling")


def card_of(run: Run) -> Path:
    return run.out / "dataset" / "card.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_without_a_word_and_without_the_network(
    browser: Browser, synthetic_run: Run, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(card_of(synthetic_run).as_uri())
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in requests if not url.startswith("data:")] == [card_of(synthetic_run).as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing is wider than the page but what scrolls by itself.
    assert (
        page.evaluate(
            """[...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll, svg")
             && e.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        == 0
    )
    page.close()


def test_it_is_read_without_scripts(browser: Browser, synthetic_run: Run) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(card_of(synthetic_run).as_uri())
    text = page.inner_text("body")
    for words in (*SECTIONS, "synthetic cohort", "no real patients", "Nothing of the future", "Heart rate"):
        assert words in text
    flow = read_json(synthetic_run.out / "dataset" / "cohort_flow.json")
    for step in flow:
        assert step["description"] in text
        assert f"{step['stays']:,} stays" in text
    assert page.locator("figure svg").count() == len(
        read_json(synthetic_run.out / "dataset" / "features.json")["features"]
    )
    assert page.locator("table.heat tbody tr").first.locator("td").count() == 50
    context.close()


def test_it_is_small_and_part_of_the_artifact(synthetic_run: Run) -> None:
    assert "card.html" in read_json(synthetic_run.out / "dataset" / "manifest.json")["files"]
    assert card_of(synthetic_run).stat().st_size < 300_000


@pytest.mark.demo
def test_no_identity_and_no_date_is_in_it(demo_run: Run) -> None:
    html = card_of(demo_run).read_text()
    stays = pl.read_parquet(demo_run.out / "events" / "stays.parquet")
    ids = {str(number) for column in ("stay_id", "subject_id", "hadm_id") for number in stays[column]}
    items = {str(item["item"]) for item in read_json(demo_run.out / "events" / "extraction.json")["items"]}
    assert not (ids - items) & set(re.findall(r"(?<![\w.])\d{5,6}(?![\w.])", html))
    assert not re.search(r"\b[12]\d\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", html)
    assert str(demo_run.out.parent) not in html
    assert "/" + demo_run.out.name not in html


@pytest.mark.demo
def test_small_cells_of_the_demo_are_not_shown(demo_run: Run) -> None:
    html = card_of(demo_run).read_text()
    table = html[html.index('id="splits"') : html.index('id="missing"')]
    samples = pl.read_parquet(demo_run.out / "dataset" / "samples.parquet")
    deaths = samples.filter(pl.col("label") == 1).group_by("split").agg(pl.col("subject_id").n_unique())
    assert deaths["subject_id"].min() in range(1, 5), "the demo no longer has a cell to hide"
    (died,) = re.findall(r'<th scope="row">Died in hospital</th>(.*?)</tr>', table)
    assert "&lt;5" in died
