"""What all figures of the report are made of: Plotly data and layout as plain values, colours as names.

Colours are names that begin with ``$``; the page looks them up in `PALETTES` when it draws, so that one figure serves
light and dark.
"""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

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
        "$run_1": "#1c68a6",
        "$run_2": "#b9501a",
        "$run_3": "#1d7044",
        "$run_4": "#8a3fa0",
        "$run_5": "#7a6210",
        "$run_6": "#b3246b",
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
        "$run_1": "#6db3ec",
        "$run_2": "#f09a63",
        "$run_3": "#6fcf97",
        "$run_4": "#cf9be6",
        "$run_5": "#d9bf5a",
        "$run_6": "#f58fbf",
        "$scale": [[0, "#1c2732"], [0.25, "#1d4e78"], [0.5, "#3d86bd"], [0.75, "#8cc3ea"], [1, "#f2f8fd"]],
    },
}


class Figure(msgspec.Struct, frozen=True):
    """One chart: what it shows in words, and what Plotly draws."""

    id: str
    title: str
    alt: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def line_of(x: list[Any], y: list[Any], name: str, colour: str, dash: str) -> dict[str, Any]:
    """Return a line; ``dash`` is one of Plotly's, such as solid, dash or dot."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "dash": dash, "width": 2.2 if dash == "solid" else 1.8},
    }


def guide_of(x: list[float], y: list[Any], name: str) -> dict[str, Any]:
    """Return a line to compare with, which stands in no table of numbers."""
    return {**line_of(x, y, name, "$grid", "solid"), "hoverinfo": "skip"}


def band_of(x: list[Any], low: list[float], high: list[float], colour: str) -> dict[str, Any]:
    """Return an interval around a line of steps, which stands in no table of numbers."""
    stepped = [
        step for at, end in zip(x, [*x[1:], None], strict=True) for step in ((at, end) if end is not None else (at,))
    ]
    lows, highs = ([value for value in ends for _ in range(2)][: len(stepped)] for ends in (low, high))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*stepped, *stepped[::-1]],
        "y": [*lows, *highs[::-1]],
        "fill": "toself",
        "fillcolor": colour,
        "opacity": 0.16,
        "line": {"width": 0, "color": colour},
        "hoverinfo": "skip",
    }


def layout_of(x_title: str, y_title: str, **special: Any) -> dict[str, Any]:
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


def shares_of(estimate: Estimate) -> list[float | None]:
    """Return a figure and the ends of its interval, shortened."""
    return [None if v is None else short(v) for v in (estimate.value, estimate.low, estimate.high)]


def distance(low: float | None, high: float | None) -> float:
    """Return how long the part of an interval is, 0 where an end is undefined."""
    return 0.0 if low is None or high is None else short(high - low)


def shorts(values: pl.Series) -> list[float]:
    """Return the values, shortened."""
    return [short(value) for value in values.to_list()]


def short(value: float) -> float:
    """Return ``value`` to four significant digits: as much as a screen shows, and a page of half the size."""
    return float(f"{value:.4g}")
