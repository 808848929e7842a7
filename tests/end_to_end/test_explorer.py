"""The examples that the report shows one by one, as a browser shows them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from end_to_end.conftest import Call, Run, open_page

SERIOUS = ("serious", "critical")
#: Of the window: a whole number up to this may be a time.
MINUTES = 48 * 60


def report_of(run: Run) -> Path:
    return run.out / "report" / "report.html"


def examples_of(run: Run, kind: str) -> pl.DataFrame:
    """Return the turned samples of a kind, with what their edits are."""
    edits = pl.read_parquet(run.out / "examples" / "edits.parquet").filter(pl.col("kind").cast(pl.String) == kind)
    listed = edits.group_by("sample").agg(edits=pl.len())
    found = pl.read_parquet(run.out / "examples" / "examples.parquet")
    return found.filter("success", pl.col("kind").cast(pl.String) == kind).join(listed, on="sample", how="left")


def said(page: Page) -> str:
    return page.locator("#explore-said").inner_text()


def open_numbers(page: Page) -> None:
    page.locator("#explore-numbers summary").click()
    page.locator("#explore-numbers tbody tr").first.wait_for()  # the browser tells of the opening a little later


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_read_by_everybody(browser: Browser, synthetic_run: Run, width: int, scheme: str) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    page, errors, requests = open_page(browser, report_of(synthetic_run), bypass_csp=True, **look)
    assert page.locator("#chart-explorer svg.main-svg").count() > 0
    page.locator("#explore-also summary").click()
    open_numbers(page)
    assert page.locator("#explore-numbers tbody tr").count() >= 48
    found = [v for v in Axe().run(page).response["violations"] if v["impact"] in SERIOUS]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_page_stays_small_and_names_nobody(synthetic_run: Run) -> None:
    text = report_of(synthetic_run).read_text()
    assert len(text.encode()) < 6_000_000
    section = text.split('id="explorer"')[1].split("</section>")[0]
    data = re.search(r'<script id="report-data"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert data is not None
    samples = pl.read_parquet(synthetic_run.out / "dataset" / "samples.parquet")
    ids = {number for name in ("stay_id", "subject_id", "hadm_id") for number in samples[name] if number > MINUTES}
    assert len(ids) > len(samples)
    shown = json.dumps(json.loads(data[1])["explorer"])
    assert ids.isdisjoint(map(int, re.findall(r"(?<![\d.])\d+(?![\d.])", section + shown)))


def test_every_choice_shows_what_the_artifact_holds(browser: Browser, synthetic_run: Run) -> None:
    page, errors, _ = open_page(browser, report_of(synthetic_run))
    seen = set()
    for direction, label in (("0_to_1", 0), ("1_to_0", 1)):
        page.select_option("#explore-direction", direction)
        for kind in ("sparsest", "smallest"):
            page.select_option("#explore-kind", kind)
            found = examples_of(synthetic_run, kind).filter(pl.col("label") == label)
            rows = {
                (percent(row["clean_probability"]), percent(row["probability"]), row["l0"], row["edits"])
                for row in found.iter_rows(named=True)
            }
            for option in page.locator("#explore-sample option").all():
                page.select_option("#explore-sample", option.get_attribute("value"))
                words = re.search(
                    r"Probability of death ([\d.]+ %) before, ([\d.]+ %) after; .* ([\d,]+) cell", said(page)
                )
                assert words is not None
                edits = page.locator("#explore-edits tbody tr").count()
                assert (words[1], words[2], int(words[3].replace(",", "")), edits) in rows
                diamonds = page.evaluate(
                    """document.getElementById("chart-explorer").data.filter((t) => t.name === "after")
                     .flatMap((t) => t.marker.symbol.filter((s, i) => s === "diamond" && t.y[i] !== null)).length"""
                )
                assert diamonds == int(words[3])
                seen.add(said(page))
    assert errors == []
    assert len(seen) > 20
    page.close()


def test_it_goes_by_the_keyboard(browser: Browser, synthetic_run: Run) -> None:
    page, _, _ = open_page(browser, report_of(synthetic_run))
    first = said(page)
    assert first.startswith("Example 1, sparsest: ")
    page.focus("#explore-next")
    page.keyboard.press("Enter")
    assert said(page).startswith("Example 2, sparsest: ")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert said(page) == first
    page.keyboard.press("Space")  # before the first comes the last
    last = page.locator("#explore-sample option").count()
    assert said(page).startswith(f"Example {last}, sparsest: ")
    page.focus("#explore-kind")
    page.keyboard.press("ArrowDown")
    assert said(page).startswith(f"Example {last}, smallest: ")
    page.close()


def test_any_measurement_can_be_shown_beside(browser: Browser, synthetic_run: Run) -> None:
    page, _, _ = open_page(browser, report_of(synthetic_run))
    drawn = "document.getElementById('chart-explorer').data.filter((t) => t.name === 'before').length"
    before = page.evaluate(drawn)
    page.locator("#explore-also summary").click()
    boxes = page.locator("#explore-also input")
    for index in range(boxes.count()):
        boxes.nth(index).check()
    assert before < page.evaluate(drawn) == boxes.count() == 19
    page.close()


def test_measured_and_filled_in_cells_look_different(browser: Browser, synthetic_run: Run) -> None:
    page, _, _ = open_page(browser, report_of(synthetic_run))
    open_numbers(page)
    trace = "document.getElementById('chart-explorer').data[0]"
    symbols = page.evaluate(f"{trace}.marker.symbol")
    cells = page.locator("#explore-numbers table").first.locator("tbody tr td:nth-child(4)").all_inner_texts()
    assert [{"circle": "measured", "circle-open": "filled in"}[symbol] for symbol in symbols] == cells
    assert {"measured", "filled in"} == set(cells)
    page.close()


def test_without_javascript_it_lists_the_examples(browser: Browser, synthetic_run: Run) -> None:
    page, _, _ = open_page(browser, report_of(synthetic_run), java_script_enabled=False)
    assert "need JavaScript" in page.locator("section", has=page.locator("#explorer")).inner_text()
    page.locator("summary", has_text="of this section").click()
    table = page.locator("table", has=page.locator("caption", has_text="Examples of this section"))
    assert table.locator("tbody tr").count() == 24
    page.close()


def test_it_can_be_left_out(synthetic_run: Run, tmp_path: Path, lstm_aa_inside: Call) -> None:
    inputs = [word for kind in ("dataset", "model", "examples") for word in (f"--{kind}", synthetic_run.out / kind)]
    done = lstm_aa_inside("evaluate", *inputs, "--out", tmp_path / "report", "--explorer", "off", "--resamples", "20")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report" / "report.html").read_text()
    assert 'id="explorer"' not in text
    assert "no rows of single patients" in text
