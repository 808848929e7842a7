"""The fixed figures of the report.

The heat map and the two bar charts under it depend on the reader's choice and are drawn by ``report.js`` from
`susceptibility_data`.
"""

from __future__ import annotations

from typing import Any, cast

import polars as pl

from lstm_adversarial_attack.evaluate.drawing import Figure, layout_of, line_of, shares_of, short, shorts
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.prediction_figures import prediction_figures
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.frames import EXAMPLE_KINDS

QUANTITIES = {
    "gpp": ("Share of examples that change the cell (GPP)", ".1%"),
    "ganzp": ("Mean |change| where changed (GANZP), standard deviations", ".3g"),
    "sensitivity": ("Sensitivity: GPP / GANZP", ".3g"),
    "gmp": ("Largest |change| (GMP), standard deviations", ".3g"),
    "gap": ("Mean |change| over all examples (GAP), standard deviations", ".3g"),
    "s": ("S = GMP \N{MULTIPLICATION SIGN} GPP", ".3g"),
}

KIND_DASHES = {"first": "dot", "sparsest": "solid", "smallest": "dash"}

#: A budget axis is logarithmic where the largest is so many times the smallest.
_LOG_SPAN = 20


def figures(inputs: EvaluationInputs, metrics: Metrics, tables: dict[str, pl.DataFrame]) -> dict[str, Figure]:
    """Return the fixed figures by id, those left out for which there are no numbers."""
    curves = tables["attack_curves"]
    made = (
        _cohort(metrics),
        *prediction_figures(inputs, metrics, tables),
        _success(curves, "l0", "Changed cells (L0)", "at most so many cells changed"),
        _success(curves, "l1", "Sum of changes (L1), SD", "a total change of at most so many SD"),
        _success(curves, "linf", "Largest change (L∞), SD", "no cell changed by more than so many SD"),
        _discovery(curves),
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


def _success(curves: pl.DataFrame, against: str, axis: str, words: str) -> Figure:
    part = curves.filter(pl.col("against") == against)
    budgets = part.filter(pl.col("budget") > 0)["budget"]
    log = budgets.len() > 0 and cast(float, budgets.max()) > _LOG_SPAN * cast(float, budgets.min())
    return Figure(
        id=f"success-{against}",
        title=f"Success against {axis[0].lower()}{axis[1:].removesuffix(', SD')}",
        alt=f"Share of attacked samples whose prediction is turned with {words}, by direction and kind of "
        "example; failures never succeed. The table of outcomes holds quartiles.",
        data=_condition_lines(part, EXAMPLE_KINDS, log) if budgets.len() else [],
        layout=layout_of(
            axis,
            "Share of attacked samples turned",
            xaxis_type="log" if log else "linear",
            yaxis_range=[0, 1.02],
            yaxis_tickformat=".0%",
            xaxis_dtick="D2" if log else None,
        ),
    )


def _discovery(curves: pl.DataFrame) -> Figure:
    part = curves.filter(pl.col("against") == "iteration")
    return Figure(
        id="discovery",
        title="When the first example was found",
        alt="Share of attacked samples whose prediction has been turned, by iteration of the attack; the end "
        "of each line is the success rate.",
        data=_condition_lines(part, ("first",), log=False),
        layout=layout_of(
            "Iteration", "Share of attacked samples turned", yaxis_range=[0, 1.02], yaxis_tickformat=".0%"
        ),
    )


def _condition_lines(curves: pl.DataFrame, kinds: tuple[str, ...], log: bool) -> list[dict[str, Any]]:
    """Return a line for each direction and kind that was attacked, all drawn to the largest budget."""
    lines = []
    last = curves["budget"].max()
    for direction in DIRECTIONS:
        for kind in kinds:
            line = curves.filter(pl.col("direction") == direction.key, pl.col("kind") == kind)
            if line.height:
                x, y = shorts(line["budget"]), shorts(line["share"])
                x, y = [*x, short(cast(float, last))], [*y, y[-1]]
                name = f"{direction.arrow}, {kind}"
                drawn = slice(1, None) if log else slice(None)  # a logarithm has no zero
                styled = line_of(x[drawn], y[drawn], name, f"${direction.key}", KIND_DASHES[kind])
                # Between two budgets nothing more is turned: a step, not a slope.
                styled["line"]["shape"] = "hv"
                lines.append({**styled, "hovertemplate": "%{y:.1%} within %{x:.4~g}"})
    return lines
