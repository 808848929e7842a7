"""The comparison as one HTML page that loads nothing."""

from __future__ import annotations

from itertools import groupby

import polars as pl

from lstm_adversarial_attack.compare.figures import colour_of, dash_of, figures, measurements_by_share, words_of
from lstm_adversarial_attack.compare.results import KIND, Comparison
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS
from lstm_adversarial_attack.evaluate.page import environment, page_parts
from lstm_adversarial_attack.evaluate.report import FIGURE_WORDS
from lstm_adversarial_attack.frames import EXAMPLE_KINDS
from lstm_adversarial_attack.metrics import PAIRED_FIGURES

#: Element of the page that holds its data, by which an older page is known.
MARK = '<script id="comparison-data"'

_GROUPS = {"digest": "Digests of the artifacts", "setting": "Settings", "code": "Code and libraries"}


def render(comparison: Comparison, tables: dict[str, pl.DataFrame]) -> str:
    """Return the page. The same arguments give the same text."""
    charts = figures(comparison, tables)
    data = {"figures": {name: {"data": chart.data, "layout": chart.layout} for name, chart in charts.items()}}
    return (
        environment(__package__)
        .get_template("comparison.html.j2")
        .render(
            comparison=comparison,
            labels=[run.label for run in comparison.runs],
            looks=[(colour_of(place)[1:], dash_of(place)) for place in range(len(comparison.runs))],
            differences=[
                (_GROUPS[group], list(rows)) for group, rows in groupby(comparison.differences, lambda row: row.group)
            ],
            charts=charts,
            directions=DIRECTIONS,
            kinds=EXAMPLE_KINDS,
            kind=KIND,
            figure_words=FIGURE_WORDS,
            paired_figures=PAIRED_FIGURES,
            measurements={direction.key: measurements_by_share(comparison, direction.key) for direction in DIRECTIONS},
            words_of=words_of,
            **page_parts("comparison", data, scripts=()),
        )
    )
