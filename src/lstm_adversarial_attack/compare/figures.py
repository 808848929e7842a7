"""The figures of a comparison: success curves over one another, and the measurements side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import polars as pl

from lstm_adversarial_attack.catalogue import Measurement, load_catalogue
from lstm_adversarial_attack.compare.results import KIND, Comparison
from lstm_adversarial_attack.evaluate.drawing import (
    Figure,
    distance,
    layout_of,
    line_of,
    shares_of,
    short,
    shorts,
)
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction

_COLOURS = 6
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
#: Budget, kind of example, title of the axis.
_BUDGETS = (("l0", "sparsest", "Changed cells (L0)"), ("l1", "smallest", "Sum of changes (L1), SD"))
#: A budget axis is logarithmic where the largest is so many times the smallest.
_LOG_SPAN = 20
#: Of a bar, and of the space between two measurements.
_BAR_PIXELS, _GAP_PIXELS = 9, 10


def colour_of(run: int) -> str:
    """Return the name of the colour of a run, by its place from 0."""
    return f"$run_{run % _COLOURS + 1}"


def dash_of(run: int) -> str:
    """Return the dash of a run's lines; colour and dash together tell 36 runs apart."""
    return _DASHES[(run + run // _COLOURS) % len(_DASHES)]


def figures(comparison: Comparison, tables: dict[str, pl.DataFrame]) -> dict[str, Figure]:
    """Return the figures by id, those left out for which there are no numbers."""
    labels = [run.label for run in comparison.runs]
    made = [
        *(_success(labels, tables["attack_curves"], d, *budget) for d in DIRECTIONS for budget in _BUDGETS),
        *(_measurements(comparison, direction) for direction in DIRECTIONS),
    ]
    return {figure.id: figure for figure in made if figure.data}


def _success(
    labels: Sequence[str], curves: pl.DataFrame, direction: Direction, against: str, kind: str, axis: str
) -> Figure:
    part = curves.filter(direction=direction.key, kind=kind, against=against)
    positive = part.filter(pl.col("budget") > 0)["budget"].to_list()
    log = bool(positive) and max(positive) > _LOG_SPAN * min(positive)
    lines = []
    for place, label in enumerate(labels):
        own = part.filter(run=label).sort("budget")
        if own.height and positive:
            x, y = shorts(own["budget"]), shorts(own["share"])
            drawn = slice(1, None) if log else slice(None)  # a logarithm has no zero
            x, y = [*x, short(max(positive))][drawn], [*y, y[-1]][drawn]
            line = line_of(x, y, label, colour_of(place), dash_of(place))
            line["line"]["shape"] = "hv"  # between two budgets nothing more is turned
            lines.append({**line, "hovertemplate": "%{y:.1%} within %{x:.4~g}"})
    return Figure(
        id=f"success-{direction.key}-{against}",
        title=f"{direction.arrow}: {axis[0].lower()}{axis[1:].removesuffix(', SD')} of the {kind} examples",
        alt=f"Share of attacked samples turned within a budget, {direction.words}, a line for each run. The table of "
        "outcomes holds quartiles.",
        data=lines,
        layout=layout_of(
            axis,
            "Share of attacked samples turned",
            xaxis_type="log" if log else "linear",
            xaxis_dtick="D2" if log else None,
            yaxis_range=[0, 1.02],
            yaxis_tickformat=".0%",
        ),
    )


def _measurements(comparison: Comparison, direction: Direction) -> Figure:
    shares = {label: found.get(direction.key, {}) for label, found in comparison.susceptibility.items()}
    names = measurements_by_share(comparison, direction.key)[::-1]
    bars: list[dict[str, Any]] = []
    for place, (label, found) in enumerate(shares.items()):
        known = [name for name in names if name in found]
        if known:
            estimates = [found[name] for name in known]
            bars.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": label,
                    "x": [shares_of(estimate)[0] for estimate in estimates],
                    "y": [words_of(name) for name in known],
                    "marker": {"color": colour_of(place)},
                    "error_x": {
                        "type": "data",
                        "symmetric": False,
                        "array": [distance(e.value, e.high) for e in estimates],
                        "arrayminus": [distance(e.low, e.value) for e in estimates],
                        "color": "$ink",
                        "thickness": 1,
                        "width": 0,
                    },
                    "hovertemplate": "%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
                }
            )
    return Figure(
        id=f"susceptibility-{direction.key}",
        title=f"{direction.arrow}: share of the {KIND} examples that change each measurement",
        alt=f"Bars: share of the found examples that change each measurement, {direction.words}, a bar for each run, "
        "with intervals; the table holds the numbers.",
        data=bars[::-1],  # from below
        layout=layout_of(
            "Share of found examples",
            "",
            height=80 + len(names) * (_BAR_PIXELS * len(bars) + _GAP_PIXELS),
            barmode="group",
            xaxis_tickformat=".0%",
            xaxis_rangemode="tozero",
            yaxis_showgrid=False,
            yaxis_dtick=1,
            yaxis_categoryorder="array",
            yaxis_categoryarray=[words_of(name) for name in names],
        ),
    )


def measurements_by_share(comparison: Comparison, direction: str) -> list[str]:
    """Return the measurements of any run, those with the largest share in any run first."""
    most: dict[str, float] = {}
    for found in comparison.susceptibility.values():
        for name, estimate in found.get(direction, {}).items():
            most[name] = max(most.get(name, 0.0), estimate.value or 0.0)
    return sorted(most, key=lambda name: -most[name])


def words_of(name: str) -> str:
    """Return what a measurement is called: by the built-in catalogue, or as a catalogue of the user's own names it.

    >>> words_of("bun"), words_of("my_own")
    ('Blood urea nitrogen', 'my_own')
    """
    known = _measurements_known().get(name)
    return known.label if known else name


@cache
def _measurements_known() -> dict[str, Measurement]:
    return load_catalogue().measurements
