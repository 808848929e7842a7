"""Two finished runs side by side, as a browser shows them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page
from sklearn.metrics import roc_auc_score

from end_to_end.conftest import Call, Run, open_page, read_json
from end_to_end.test_explorer import SERIOUS

LABELS = ("charted", "grid & <wider>")


@pytest.fixture(scope="module")
def other_run(finish: Callable[..., Run], synthetic_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run on the same data, of another network and another threat model."""
    out = tmp_path_factory.mktemp("runs") / "other"
    for kind in ("events", "dataset", "hyperparameters"):
        shutil.copytree(synthetic_run.out / kind, out / kind)
    return finish(out, "synthetic:600", "--train.hidden-units", "12", "--attack.threat", "grid")


@pytest.fixture(scope="module")
def comparison(synthetic_run: Run, other_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lstm_adversarial_attack import cli

    out = tmp_path_factory.mktemp("comparison") / "out"
    cli.main(["compare", str(synthetic_run.out), str(other_run.out), "--out", str(out), "--labels", *LABELS])
    return out


def table(page: Page, caption: str) -> Locator:
    return page.locator("table", has=page.locator("caption", has_text=caption)).first


def rows(page: Page, caption: str) -> list[list[str]]:
    found = table(page, caption).locator("tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_read_by_everybody(browser: Browser, comparison: Path, width: int, scheme: str) -> None:
    look: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    page, errors, requests = open_page(browser, comparison / "comparison.html", bypass_csp=True, **look)
    charts = page.locator(".chart")
    assert charts.count() == 6
    for index in range(charts.count()):
        assert charts.nth(index).locator("svg.main-svg").count() > 0
    found = [v for v in Axe().run(page).response["violations"] if v["impact"] in SERIOUS]
    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_it_shows_the_numbers_of_both_runs(
    browser: Browser, comparison: Path, synthetic_run: Run, other_run: Run
) -> None:
    page, _, _ = open_page(browser, comparison / "comparison.html")
    reports = [read_json(run.out / "report" / "metrics.json") for run in (synthetic_run, other_run)]
    figures = {name: values for name, *values in rows(page, "On the test split")}
    for shown, metrics in zip(figures["AUROC"], reports, strict=True):
        assert shown.startswith(f"{metrics['prediction']['test']['auroc']['value']:.3f} (")
    assert [row[:2] for row in rows(page, "In brief")] == [
        [label, "passed" if metrics["gate"]["passed"] else "not passed"]
        for label, metrics in zip(LABELS, reports, strict=True)
    ]
    outcomes = {(direction, run): rest for direction, run, *rest in rows(page, "Outcomes")}
    for label, metrics in zip(LABELS, reports, strict=True):
        attack = metrics["attack"]["0_to_1"]
        assert outcomes["0 → 1, sparsest", label][0] == f"{attack['attacked']:,}"
        assert outcomes["0 → 1, sparsest", label][2].startswith(f"{attack['kinds']['sparsest']['l0']['median']:g} (")
    text = page.inner_text("main")
    for run in (synthetic_run, other_run):
        for line in run.stdout.splitlines()[:5]:
            assert line.partition(": ")[2].lower() in text.lower()
    page.close()


def test_it_shows_what_differs_and_nothing_else(browser: Browser, comparison: Path) -> None:
    page, _, _ = open_page(browser, comparison / "comparison.html")
    settings = {name: values for name, *values in rows(page, "Settings")}
    assert settings["train.hidden_units"][1] == "12"
    assert settings["attack.threat"] == ["charted", "grid"]
    assert not [name for name in settings if name.partition(".")[0] in ("extract", "preprocess", "tune", "evaluate")]
    assert not {"events", "dataset"} & {name for name, *_ in rows(page, "Digests of the artifacts")}
    assert table(page, "Code and libraries").count() == 0
    page.close()


def test_paired_differences_are_of_the_same_patients(comparison: Path, synthetic_run: Run, other_run: Run) -> None:
    values = []
    for run in (synthetic_run, other_run):
        test = pl.read_parquet(run.out / "model" / "predictions.parquet").filter(
            pl.col("split").cast(pl.String) == "test"
        )
        values.append(roc_auc_score(test["label"], test["probability"]))
    (pair,) = read_json(comparison / "comparison.json")["paired"]
    assert pair["figures"]["auroc"]["value"] == pytest.approx(values[1] - values[0])
    assert 0 < pair["figures"]["auroc"]["p_value"] <= 1


def test_a_column_can_be_sorted(browser: Browser, comparison: Path) -> None:
    page, _, _ = open_page(browser, comparison / "comparison.html")
    by = "By measurement: 0 → 1"
    table(page, by).locator("thead button").nth(2).click()
    shares = [float(row[2].partition(" ")[0]) for row in rows(page, by)]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 19
    page.close()


def test_errors_name_the_way_out(lstm_aa_inside: Call, synthetic_run: Run, tmp_path: Path) -> None:
    for given, said in (
        ([synthetic_run.out], "1 given; give the folders of 2 to 12"),
        ([synthetic_run.out, synthetic_run.out / "report"], "given twice"),
        ([synthetic_run.out, tmp_path], "neither a run nor a report"),
    ):
        done = lstm_aa_inside("compare", *given, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert said in done.stderr
        assert not (tmp_path / "out").exists()
