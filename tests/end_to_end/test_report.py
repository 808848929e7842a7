"""The report as a browser shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from end_to_end.conftest import Run, open_page, read_json
from lstm_adversarial_attack.evaluate.analysis import evaluate
from unit.test_evaluate import plausible_inputs


def open_report(browser: Browser, run: Run, **options: Any) -> tuple[Page, list[str], list[str]]:
    """Open the report and return the page, the errors of its console and the requests it made."""
    return open_page(browser, run.out / "report" / "report.html", **options)


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


def test_it_shows_calibration_baselines_and_subgroups(browser: Browser, synthetic_run: Run) -> None:
    metrics = read_json(synthetic_run.out / "report" / "metrics.json")
    page, _, _ = open_report(browser, synthetic_run)

    def rows(caption: str) -> dict[str, list[str]]:
        table = page.locator("table", has=page.locator("caption", has_text=caption))
        found = [row.locator("th, td").all_inner_texts() for row in table.locator("tbody tr").all()]
        return {first: rest for first, *rest in found}

    calibration = rows("Calibration on the test split")
    for name, key in (("Of the model", "raw"), ("After calibration", "calibrated")):
        figures = metrics["calibration"][key]
        assert calibration[name][0].startswith(f"{figures['brier']['value']:.3f} (")
        assert calibration[name][1] == f"{figures['ece']['value']:.3f}"
    models = rows("Beside the baselines")
    assert set(metrics["models"]) == {"lstm", "logistic-regression", "gradient-boosting"}
    assert list(models) == [
        "LSTM",
        "Logistic regression",
        "LSTM less logistic regression",
        "Gradient boosting",
        "LSTM less gradient boosting",
    ]
    less = metrics["models"]["gradient-boosting"]["lstm_less_this"]["auroc"]["value"]
    assert models["LSTM less gradient boosting"][0].replace("\N{MINUS SIGN}", "-").startswith(f"{less:+.3f} (")
    groups = rows("By age, sex, unit and charting system")
    assert len(groups) == len(metrics["subgroups"])
    for group in metrics["subgroups"]:
        words = {"age": "Age", "sex": "Sex", "unit": "Unit", "charting_system": "Charting"}[group["attribute"]]
        shown = groups[f"{words} {group['group']}"]
        assert shown[:2] == [f"{group['samples']:,}", f"{group['patients']:,}"]
        assert (shown[2] == "\N{EN DASH}") == (group["figures"] is None)
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_draws_an_interval_for_every_subgroup(browser: Browser, tmp_path: Path, width: int) -> None:
    evaluation = evaluate(plausible_inputs(), resamples=50)
    with_figures = [group for group in evaluation.metrics["subgroups"] if group["figures"]]
    assert with_figures
    (tmp_path / "report.html").write_text(evaluation.report_html)
    page, errors, _ = open_page(browser, tmp_path / "report.html", viewport={"width": width, "height": 900})
    assert errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    forest = page.locator("#chart-forest")
    assert forest.locator(".ytick text").count() == 1 + len(with_figures)
    assert forest.locator(".errorbar path").count() == 1 + len(with_figures)
    assert page.locator("#chart-history-loss .scatter.trace").count() == 2 * 3
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
    for words in ("Cohort", "calibration", "precision", "Susceptib", "physiological"):
        assert words.lower() in text.lower()
    assert any(unit in text for unit in ("mmHg", "bpm", "mg/dL", "mEq/L", "1/min", "°C", "%"))
    page.close()
