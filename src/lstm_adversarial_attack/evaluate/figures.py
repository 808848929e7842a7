"""The fixed figures of the report.

The heat map and the two bar charts under it depend on the reader's choice and are drawn by ``report.js`` from
`susceptibility_data`.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from lstm_adversarial_attack.evaluate.attack_figures import attack_figures
from lstm_adversarial_attack.evaluate.drawing import Figure, layout_of, shares_of, short
from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.prediction_figures import prediction_figures
from lstm_adversarial_attack.evaluate.results import Metrics

QUANTITIES = {
    "gpp": ("Share of examples that change the cell (GPP)", ".1%"),
    "ganzp": ("Mean |change| where changed (GANZP), standard deviations", ".3g"),
    "sensitivity": ("Sensitivity: GPP / GANZP", ".3g"),
    "gmp": ("Largest |change| (GMP), standard deviations", ".3g"),
    "gap": ("Mean |change| over all examples (GAP), standard deviations", ".3g"),
    "s": ("S = GMP \N{MULTIPLICATION SIGN} GPP", ".3g"),
}


def figures(inputs: EvaluationInputs, metrics: Metrics, tables: dict[str, pl.DataFrame]) -> dict[str, Figure]:
    """Return the fixed figures by id, those left out for which there are no numbers."""
    made = (
        _cohort(metrics),
        *prediction_figures(inputs, metrics, tables),
        *attack_figures(inputs, tables),
    )
    return {figure.id: figure for figure in made if figure.data}


def susceptibility_data(inputs: EvaluationInputs, metrics: Metrics, tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Return what the heat map and its bar charts choose from; conditions are ``direction/kind``."""
    cells = tables["susceptibility_cells"]
    found = [
        (f"{direction}/{kind}", result)
        for direction, kinds in metrics.susceptibility.items()
        for kind, result in kinds.items()
    ]
    return {
        "labels": [feature.measurement.label for feature in inputs.features],
        "hours": inputs.hours,
        "quantities": {key: {"label": label, "format": form} for key, (label, form) in QUANTITIES.items()},
        "measured": [[short(value) for value in row] for row in inputs.observed_rate.T.tolist()],
        "values": {key: _condition_values(inputs, cells, key) for key, result in found if result.examples},
        "measurements": {key: [shares_of(m.share) for m in result.measurements.values()] for key, result in found},
        "hour_shares": {key: [shares_of(share) for share in result.hours] for key, result in found},
        "examples": {key: result.examples for key, result in found},
    }


def _condition_values(inputs: EvaluationInputs, cells: pl.DataFrame, key: str) -> dict[str, Any]:
    """Return each quantity as rows of measurements, columns of hours."""
    direction, kind = key.split("/")
    part = cells.filter(pl.col("direction") == direction, pl.col("kind") == kind)
    shape = (inputs.hours, len(inputs.features))
    return {
        quantity: [
            [None if value != value else short(value) for value in row]
            for row in part[quantity].cast(pl.Float64).fill_null(float("nan")).to_numpy().reshape(shape).T
        ]
        for quantity in QUANTITIES
    }


def _cohort(metrics: Metrics) -> Figure:
    steps = metrics.cohort_flow[::-1]
    names = [step.rule for step in steps]
    alive = [step.stays - step.deaths for step in steps]
    hover = "%{y}: %{x:,} %{fullData.name}<extra></extra>"
    common = {"type": "bar", "orientation": "h", "y": names, "hovertemplate": hover}
    return Figure(
        id="cohort",
        title="Stays left after each rule",
        alt="Bars: stays left after each rule of the cohort, deaths set apart. The table holds the numbers.",
        data=[
            {**common, "name": "survived", "x": alive, "marker": {"color": "$0_to_1"}},
            {
                **common,
                "name": "died in hospital",
                "x": [step.deaths for step in steps],
                "marker": {"color": "$1_to_0"},
            },
        ]
        if steps
        else [],
        layout=layout_of(
            "ICU stays",
            "",
            barmode="stack",
            bargap=0.35,
            height=70 + 34 * len(steps),
            yaxis_showgrid=False,
            xaxis_tickformat=",",
        ),
    )
