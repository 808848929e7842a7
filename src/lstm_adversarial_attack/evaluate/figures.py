"""The figures of the report, as plain Plotly data and layout.

Colours are names that begin with ``$``; the page looks them up in `PALETTES` when it draws, so that one
figure serves light and dark. The heat map and the two bar charts under it depend on the reader's choice and
are drawn by ``report.js`` from `susceptibility_data`.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
import polars as pl

from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, EvaluationInputs
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.frames import EXAMPLE_KINDS
from lstm_adversarial_attack.metrics import Estimate

PALETTES: dict[str, dict[str, Any]] = {
    "light": {
        "$ink": "#1b2430",
        "$muted": "#566172",
        "$faint": "#8b95a3",
        "$grid": "#e4e8ed",
        "$paper": "#ffffff",
        "$raised": "#f5f7f9",
        "$0_to_1": "#1c68a6",
        "$1_to_0": "#b9501a",
        "$good": "#1d7044",
        "$bad": "#b3261e",
        "$scale": [[0, "#eef3f8"], [0.25, "#a9cbe4"], [0.5, "#5a9bc9"], [0.75, "#1f639e"], [1, "#0b2f57"]],
    },
    "dark": {
        "$ink": "#e7ebf0",
        "$muted": "#a5afbc",
        "$faint": "#7d8896",
        "$grid": "#2d3641",
        "$paper": "#12171d",
        "$raised": "#1a2129",
        "$0_to_1": "#6db3ec",
        "$1_to_0": "#f09a63",
        "$good": "#6fcf97",
        "$bad": "#ff8a80",
        "$scale": [[0, "#1c2732"], [0.25, "#1d4e78"], [0.5, "#3d86bd"], [0.75, "#8cc3ea"], [1, "#f2f8fd"]],
    },
}

QUANTITIES = {
    "gpp": ("Share of examples that change the cell (GPP)", ".1%"),
    "ganzp": ("Mean |change| where changed (GANZP), standard deviations", ".3g"),
    "sensitivity": ("Sensitivity: GPP / GANZP", ".3g"),
    "gmp": ("Largest |change| (GMP), standard deviations", ".3g"),
    "gap": ("Mean |change| over all examples (GAP), standard deviations", ".3g"),
    "s": ("S = GMP \N{MULTIPLICATION SIGN} GPP", ".3g"),
}

KIND_DASHES = {"first": "dot", "sparsest": "solid", "smallest": "dash"}
_SPLIT_LINES = {"test": ("$0_to_1", "solid"), "validation": ("$faint", "dash"), "train": ("$faint", "dot")}

#: A budget axis is logarithmic where the largest is so many times the smallest.
_LOG_SPAN = 20

#: So few epochs are marked one by one: a line needs two neighbours.
_FEW_EPOCHS = 10


class Figure(msgspec.Struct, frozen=True):
    """One chart: what it shows in words, and what Plotly draws."""

    id: str
    title: str
    alt: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def figures(inputs: EvaluationInputs, metrics: Metrics, tables: dict[str, pl.DataFrame]) -> dict[str, Figure]:
    """Return the fixed figures by id, those left out for which there are no numbers."""
    curves = tables["attack_curves"]
    made = (
        _cohort(metrics),
        _roc(metrics, tables["roc"]),
        _precision_recall(metrics, tables["precision_recall"]),
        _calibration(tables["calibration"]),
        _history(inputs, ("train_loss", "validation_loss"), "loss", "Loss"),
        _history(inputs, ("validation_auroc", "validation_auprc"), "ranking", "Validation AUROC and AUPRC"),
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
        "measured": [[_short(value) for value in row] for row in inputs.observed_rate.T.tolist()],
        "values": {key: _condition_values(inputs, cells, key) for key, result in found if result.examples},
        "measurements": {key: [_shares(m.share) for m in result.measurements.values()] for key, result in found},
        "hour_shares": {key: [_shares(share) for share in result.hours] for key, result in found},
        "examples": {key: result.examples for key, result in found},
    }


def _condition_values(inputs: EvaluationInputs, cells: pl.DataFrame, key: str) -> dict[str, Any]:
    """Return each quantity as rows of measurements, columns of hours."""
    direction, kind = key.split("/")
    part = cells.filter(pl.col("direction") == direction, pl.col("kind") == kind)
    shape = (inputs.hours, len(inputs.features))
    return {
        quantity: [
            [None if value != value else _short(value) for value in row]
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
        layout=_layout(
            "ICU stays",
            "",
            barmode="stack",
            bargap=0.35,
            height=70 + 34 * len(steps),
            yaxis_showgrid=False,
            xaxis_tickformat=",",
        ),
    )


def _roc(metrics: Metrics, points: pl.DataFrame) -> Figure:
    test = metrics.prediction["test"]
    lines = _split_curves(points, "false_positive_rate", "true_positive_rate")
    specificity = test["specificity"].value
    at_threshold = (None if specificity is None else 1 - specificity, test["recall"].value)
    return Figure(
        id="roc",
        title="ROC",
        alt=f"ROC curves of the three splits. {_in_words('AUROC', metrics, 'auroc')}",
        data=[_guide([0, 1], [0, 1], "chance"), *lines, *_operating_point(*at_threshold)] if lines else [],
        layout=_layout("False positive rate", "True positive rate", **_UNIT_SQUARE),
    )


def _precision_recall(metrics: Metrics, points: pl.DataFrame) -> Figure:
    test = metrics.prediction["test"]
    lines = _split_curves(points, "recall", "precision")
    prevalence = test["prevalence"].value
    guide = [] if prevalence is None else [_guide([0, 1], [prevalence, prevalence], "share of deaths, test")]
    return Figure(
        id="precision-recall",
        title="Precision and recall",
        alt=f"Precision-recall curves of the three splits. {_in_words('AUPRC', metrics, 'auprc')}",
        data=[*guide, *lines, *_operating_point(test["recall"].value, test["precision"].value)] if lines else [],
        layout=_layout("Recall", "Precision", **_UNIT_SQUARE),
    )


def _calibration(bins: pl.DataFrame) -> Figure:
    lines = _split_curves(bins, "mean_predicted", "observed", mode="lines+markers")
    return Figure(
        id="calibration",
        title="Calibration",
        alt="Observed share of deaths against mean predicted probability, in bins of equal count, by split.",
        data=[_guide([0, 1], [0, 1], "perfect"), *lines] if lines else [],
        layout=_layout("Mean predicted probability", "Observed share of deaths", **_UNIT_SQUARE),
    )


def _history(inputs: EvaluationInputs, columns: tuple[str, str], name: str, title: str) -> Figure:
    history = inputs.history
    styles = (("$faint", "dash"), ("$0_to_1", "solid")) if name == "loss" else _PAIR
    mode = "lines" if history.height > _FEW_EPOCHS else "lines+markers"
    data = [
        {
            **_line(history["epoch"].to_list(), history[column].to_list(), column.replace("_", " "), *style),
            "mode": mode,
        }
        for column, style in zip(columns, styles, strict=True)
        if history[column].is_finite().any()
    ]
    return Figure(
        id=f"history-{name}",
        title=title,
        alt=f"{title} by epoch of training, over {history.height} epochs.",
        data=data,
        layout=_layout(
            "Epoch",
            "Loss" if name == "loss" else "",
            yaxis_rangemode="tozero" if name == "loss" else "normal",
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
        layout=_layout(
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
        layout=_layout("Iteration", "Share of attacked samples turned", yaxis_range=[0, 1.02], yaxis_tickformat=".0%"),
    )


def _condition_lines(curves: pl.DataFrame, kinds: tuple[str, ...], log: bool) -> list[dict[str, Any]]:
    """Return a line for each direction and kind that was attacked, all drawn to the largest budget."""
    lines = []
    last = curves["budget"].max()
    for direction in DIRECTIONS:
        for kind in kinds:
            line = curves.filter(pl.col("direction") == direction.key, pl.col("kind") == kind)
            if line.height:
                x, y = _shorts(line["budget"]), _shorts(line["share"])
                x, y = [*x, _short(cast(float, last))], [*y, y[-1]]
                name = f"{direction.arrow}, {kind}"
                drawn = slice(1, None) if log else slice(None)  # a logarithm has no zero
                styled = _line(x[drawn], y[drawn], name, f"${direction.key}", KIND_DASHES[kind])
                # Between two budgets nothing more is turned: a step, not a slope.
                styled["line"]["shape"] = "hv"
                lines.append({**styled, "hovertemplate": "%{y:.1%} within %{x:.4~g}"})
    return lines


def _split_curves(points: pl.DataFrame, x: str, y: str, mode: str = "lines") -> list[dict[str, Any]]:
    lines = []
    for split, (colour, dash) in reversed(_SPLIT_LINES.items()):
        part = points.filter(pl.col("split") == split)
        if part.height:
            line = _line(_shorts(part[x]), _shorts(part[y]), split, colour, dash)
            lines.append({**line, "mode": mode})
    return lines


def _line(x: list[Any], y: list[Any], name: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "dash": dash, "width": 2.2 if dash == "solid" else 1.8},
    }


def _guide(x: list[float], y: list[float], name: str) -> dict[str, Any]:
    return {**_line(x, y, name, "$grid", "solid"), "hoverinfo": "skip"}


def _operating_point(x: float | None, y: float | None) -> list[dict[str, Any]]:
    if x is None or y is None:
        return []
    marker = {"color": "$1_to_0", "size": 9, "symbol": "diamond"}
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "test, at the threshold",
            "x": [_short(x)],
            "y": [_short(y)],
            "marker": marker,
        }
    ]


def _layout(x_title: str, y_title: str, **special: Any) -> dict[str, Any]:
    """Return a layout; ``special`` is flat, as in ``yaxis_range``, and None is left out."""
    axis = {
        "gridcolor": "$grid",
        "linecolor": "$faint",
        "zeroline": False,
        "automargin": True,
        "tickfont": {"size": 12},
    }
    layout: dict[str, Any] = {
        "height": 320,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "showlegend": False,
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "$faint", "activecolor": "$ink"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "$muted"},
        "hoverlabel": {"bgcolor": "$raised", "bordercolor": "$faint", "font": {"color": "$ink"}},
        "xaxis": {**axis, "title": _title(x_title)},
        "yaxis": {**axis, "title": _title(y_title)},
    }
    for name, value in special.items():
        part, _, key = name.partition("_")
        if value is None:
            continue
        if key:
            layout[part][key] = value
        else:
            layout[name] = value
    return layout


def _title(text: str) -> dict[str, Any]:
    return {"text": text, "standoff": 8, "font": {"size": 13}}


_UNIT_SQUARE = {"xaxis_range": [0, 1], "yaxis_range": [0, 1.02]}
_PAIR = (("$0_to_1", "solid"), ("$1_to_0", "solid"))


def _in_words(name: str, metrics: Metrics, figure: str) -> str:
    parts = []
    for split in _SPLIT_LINES:
        value = metrics.prediction[split][figure].value
        parts.append(f"{split} {'undefined' if value is None else f'{value:.3f}'}")
    return f"{name}: {', '.join(parts)}."


def _shares(estimate: Estimate) -> list[float | None]:
    return [None if v is None else _short(v) for v in (estimate.value, estimate.low, estimate.high)]


def _shorts(values: pl.Series) -> list[float]:
    return [_short(value) for value in values.to_list()]


def _short(value: float) -> float:
    """Return ``value`` to four significant digits: as much as a screen shows, and a page of half the size."""
    return float(f"{value:.4g}")
