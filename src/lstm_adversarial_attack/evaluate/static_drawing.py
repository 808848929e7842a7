"""What all static figures are made of: sizes of journals, the colours of the report, and marks with intervals.

Text is 7 or 8 pt at the printed size; colours are those of `drawing.PALETTES`, light, whose two directions differ in
lightness as well as hue, and lines of one colour differ in their dashes, so that neither needs colour vision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullFormatter

from lstm_adversarial_attack.evaluate.drawing import PALETTES
from lstm_adversarial_attack.evaluate.results import Metrics

#: Widths of one and of two columns of a journal.
ONE_COLUMN_MM = 85.0
TWO_COLUMNS_MM = 180.0
_MM_PER_INCH = 25.4
_PAD_INCHES = 0.05

SMALL_PT = 7.0
_BASE_PT = 8.0

_PALETTE: dict[str, Any] = PALETTES["light"]
INK, MUTED, FAINT, GRID = (_PALETTE[f"${name}"] for name in ("ink", "muted", "faint", "grid"))
DIRECTION_COLOURS = {key: _PALETTE[f"${key}"] for key in ("0_to_1", "1_to_0")}
SCALE = LinearSegmentedColormap.from_list("shares", [(place, colour) for place, colour in _PALETTE["$scale"]])
DASHES: dict[str, Any] = {"solid": "-", "dash": (0, (4, 1.6)), "dot": (0, (1, 1.4)), "dashdot": "-."}

_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that it is the same everywhere
    "font.size": _BASE_PT,
    "axes.labelsize": _BASE_PT,
    "axes.titlesize": _BASE_PT,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "legend.fontsize": SMALL_PT,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.linewidth": 0.6,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.4,
    "patch.linewidth": 0.0,
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Numbers:
    """What the figures are drawn from: the numbers of the report and its tables, and words for measurements."""

    metrics: Metrics
    tables: dict[str, pl.DataFrame]
    labels: dict[str, str]  # by feature, in column order


@dataclass(frozen=True)
class Drawing:
    """One figure with its name, and what it shows in words."""

    name: str
    title: str
    figure: Figure


@contextmanager
def style(salt: str) -> Iterator[None]:
    """Draw in the style of the report whatever the user's own settings are; ``salt`` makes names within an SVG."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        mpl.rcParams["svg.hashsalt"] = salt
        yield


def new_figure(height_mm: float, width_mm: float = ONE_COLUMN_MM) -> Figure:
    """Return an empty figure of a printed size."""
    layout = ConstrainedLayoutEngine(w_pad=_PAD_INCHES, h_pad=_PAD_INCHES)
    return Figure(figsize=(width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH), layout=layout)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """Put the legend under the axes, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.4, borderpad=0.5)


def unit_square(axes: Axes) -> None:
    """Set both axes to shares from 0 to 1, as wide as high."""
    ticks = np.linspace(0, 1, 6)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=ticks, yticks=ticks, aspect="equal")


def percent_axis(axis: Any) -> None:
    """Write the ticks of an axis of shares as percentages."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.6g} %")


#: So many times the least is the largest where 1, 2 and 5 of each decade would lie too close.
_MANY_DECADES = 500


def logarithmic(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with plain numbers at 1, 2 and 5 of each decade; of many decades, at 1."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _MANY_DECADES * low else (1,)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def guide(axes: Axes, x: Sequence[float], y: Sequence[float], label: str) -> None:
    """Draw a line to compare with."""
    axes.plot(x, y, color=FAINT, linewidth=0.8, linestyle=DASHES["dash"], label=label, zorder=1)


def rows_with_intervals(
    axes: Axes, places: Sequence[float], estimates: pl.DataFrame, colour: str, *, marker: str = "o", label: str = ""
) -> None:
    """Mark an estimate on each row, with its interval where it has one.

    Args:
        axes: where to.
        places: on the vertical axis, one for each row of ``estimates``.
        estimates: columns ``value``, ``low`` and ``high``; a row without a value stays empty.
        colour: of marks and intervals.
        marker: one of matplotlib's.
        label: for the legend.
    """
    value, low, high = (estimates[name].cast(pl.Float64).to_numpy() for name in ("value", "low", "high"))
    axes.hlines(places, low, high, color=colour, linewidth=1.1)
    axes.plot(value, places, linestyle="none", marker=marker, markersize=3.6, color=colour, label=label or None)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows from the top down; the first stands at 0."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
