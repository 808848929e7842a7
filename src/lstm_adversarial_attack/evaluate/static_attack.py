"""Static figures of the attack: success within a budget, discovery, and which measurements and hours are changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lstm_adversarial_attack.evaluate.attack_figures import KIND_DASHES
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction
from lstm_adversarial_attack.evaluate.smallest_edits import ANY
from lstm_adversarial_attack.evaluate.static_drawing import (
    DASHES,
    DIRECTION_COLOURS,
    INK,
    SCALE,
    TWO_COLUMNS_MM,
    Drawing,
    Numbers,
    legend_below,
    logarithmic,
    name_rows,
    new_figure,
    percent_axis,
    rows_with_intervals,
)

#: The kind of example that the figures of susceptibility show.
_KIND = "sparsest"
_BUDGETS = {
    "l0": "Changed cells (L0)",
    "l1": "Sum of changes (L1), SD",
    "linf": "Largest change (L\N{INFINITY}), SD",
    "cost": "Clinical cost",
}
_ITERATION = "iteration"
#: A budget axis is logarithmic where the largest is so many times the smallest.
_LOG_SPAN = 20
_CURVE_MM = 78.0
_ROW_MM = 4.4
#: So that the title of the colour bar has room.
_LEAST_MAP_MM = 60.0
_HOURS_BETWEEN_TICKS = 6
_SHARE = "Share of found examples"
_HOUR = "Hour since ICU admission"
_MARKERS = {"0_to_1": "o", "1_to_0": "s"}


def success(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the share of attacked samples turned within each kind of budget that the curves are of."""
    curves = numbers.tables["attack_curves"].filter(pl.col("against") != _ITERATION)
    for against in curves["against"].unique(maintain_order=True):
        words = _BUDGETS.get(against, against)
        yield from _curve(
            curves.filter(pl.col("against") == against, pl.col("kind").is_in(list(KIND_DASHES))),
            Drawing(f"success-{against}", f"Success against {words}", new_figure(_CURVE_MM)),
            words,
        )


def discovery(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the share of attacked samples whose first example was found by each iteration."""
    curves = numbers.tables["attack_curves"].filter(pl.col("against") == _ITERATION, pl.col("kind") == "first")
    drawing = Drawing("discovery", "When the first example was found", new_figure(_CURVE_MM - 8))
    yield from _curve(curves, drawing, "Iteration of the attack")


def heat_maps(numbers: Numbers) -> Iterator[Drawing]:
    """Yield, for each direction, how often the sparsest examples change each cell (GPP)."""
    for direction in DIRECTIONS:
        cells = _of(numbers.tables["susceptibility_cells"], direction).filter(pl.col("gpp").is_not_null())
        if cells.is_empty():
            continue
        grid = cells.pivot("hour", index="feature", values="gpp")
        shares, hours = grid.drop("feature").to_numpy(), cells["hour"].n_unique()
        figure = new_figure(max(26 + _ROW_MM * grid.height, _LEAST_MAP_MM), TWO_COLUMNS_MM)
        axes = figure.add_subplot(xlabel=_HOUR, title=f"{direction.arrow}, {direction.words}")
        drawn = axes.pcolormesh(shares, cmap=SCALE, vmin=0, vmax=shares.max(), edgecolors="white", linewidth=0.4)
        axes.set_yticks(np.arange(grid.height) + 0.5, [numbers.labels[name] for name in grid["feature"]])
        axes.set_xticks(*_hour_ticks(hours, 0.5))
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(drawn, ax=axes, aspect=30, pad=0.015, label=_SHARE)
        bar.outline.set_visible(False)
        percent_axis(bar.ax.yaxis)
        name = f"susceptibility-{direction.key.replace('_', '-')}"
        yield Drawing(name, f"Susceptibility of each hour and measurement, {direction.words}", figure)


def by_measurement(numbers: Numbers) -> Iterator[Drawing]:
    """Yield how often the sparsest examples change each measurement; those never changed are left out."""
    rows = numbers.tables["susceptibility_measurements"].filter(pl.col("kind") == _KIND, pl.col("examples") > 0)
    if rows.is_empty():
        return
    pooled = rows.group_by("feature", maintain_order=True).agg(pl.col("examples").sum())
    features = pooled.sort("examples", descending=True, maintain_order=True)["feature"].to_list()
    figure = new_figure(24 + _ROW_MM * len(features))
    axes = figure.add_subplot(xlabel=_SHARE)
    for direction, offset in zip(DIRECTIONS, (-0.16, 0.16), strict=True):
        part = _intervals(rows, direction)
        if part.height:
            places = [features.index(feature) + offset for feature in part["feature"]]
            _mark(axes, places, part, direction)
    name_rows(axes, [numbers.labels[feature] for feature in features])
    axes.set_xlim(left=0)
    percent_axis(axes.xaxis)
    legend_below(figure, axes, 1)
    yield Drawing("by-measurement", "How often each measurement is changed, with 95 % intervals", figure)


def single_edits(numbers: Numbers) -> Iterator[Drawing]:
    """Yield what share of the attacked samples one edit of each measurement turns."""
    rows = numbers.tables["smallest_edits"].filter(pl.col("feature") != ANY, pl.col("suffices") > 0)
    if rows.is_empty():
        return
    most = rows.group_by("feature", maintain_order=True).agg(pl.col("share").max())
    features = most.sort("share", descending=True, maintain_order=True)["feature"].to_list()
    figure = new_figure(24 + _ROW_MM * len(features))
    axes = figure.add_subplot(xlabel="Attacked samples that one edit turns")
    for direction, offset in zip(DIRECTIONS, (-0.16, 0.16), strict=True):
        part = rows.filter(pl.col("direction") == direction.key).select(
            "feature", value="share", low="share_low", high="share_high"
        )
        if part.height:
            _mark(axes, [features.index(feature) + offset for feature in part["feature"]], part, direction)
    name_rows(axes, [numbers.labels[feature] for feature in features])
    axes.set_xlim(left=0)
    percent_axis(axes.xaxis)
    legend_below(figure, axes, 1)
    yield Drawing("single-edits", "Whom a single edit turns, with 95 % intervals", figure)


def by_hour(numbers: Numbers) -> Iterator[Drawing]:
    """Yield how often the sparsest examples change any measurement of each hour, a panel for each direction."""
    rows = numbers.tables["susceptibility_hours"].filter(pl.col("share").is_not_null())
    shown = [direction for direction in DIRECTIONS if _of(rows, direction).height]
    if not shown:
        return
    figure = new_figure(14 + 34 * len(shown))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, direction in zip(panels, shown, strict=True):
        part, colour = _of(rows, direction), DIRECTION_COLOURS[direction.key]
        axes.bar(part["hour"], part["share"], color=colour, width=0.8)
        axes.vlines(
            part["hour"],
            *(part[f"share_{end}"].cast(pl.Float64).to_numpy() for end in ("low", "high")),
            color=INK,
            linewidth=0.7,
        )
        axes.set(title=f"{direction.arrow}, {direction.words}", xlim=(-0.7, part.height - 0.3))
        axes.set_ylim(bottom=0)
        axes.grid(visible=False, axis="x")
        percent_axis(axes.yaxis)
    panels[-1].set_xticks(*_hour_ticks(_of(rows, shown[0]).height))
    panels[-1].set_xlabel(_HOUR)
    figure.supylabel(_SHARE, fontsize="medium")
    yield Drawing("by-hour", "How often each hour is changed, with 95 % intervals", figure)


def _of(table: pl.DataFrame, direction: Direction) -> pl.DataFrame:
    return table.filter(pl.col("direction") == direction.key, pl.col("kind") == _KIND)


def _intervals(rows: pl.DataFrame, direction: Direction) -> pl.DataFrame:
    return _of(rows, direction).select("feature", value="share", low="share_low", high="share_high")


def _mark(axes: Axes, places: list[float], part: pl.DataFrame, direction: Direction) -> None:
    label = f"{direction.arrow}, {direction.words}"
    colour, marker = DIRECTION_COLOURS[direction.key], _MARKERS[direction.key]
    rows_with_intervals(axes, places, part, colour, marker=marker, label=label)


def _hour_ticks(hours: int, offset: float = 0.0) -> tuple[list[float], list[str]]:
    between = _HOURS_BETWEEN_TICKS if hours > 2 * _HOURS_BETWEEN_TICKS else 1
    shown = range(0, hours, between)
    return [hour + offset for hour in shown], [str(hour) for hour in shown]


def _curve(curves: pl.DataFrame, drawing: Drawing, x_title: str) -> Iterator[Drawing]:
    """Draw a step line for each direction and kind, all to the largest budget; yield nothing without successes.

    The last of several kinds has a band for its interval.
    """
    budgets = curves.filter(pl.col("budget") > 0)["budget"]
    if budgets.is_empty():
        return
    least, last = cast(float, budgets.min()), cast(float, budgets.max())
    log = last > _LOG_SPAN * least
    kinds = [kind for kind in KIND_DASHES if kind in curves["kind"]]
    axes = drawing.figure.add_subplot(xlabel=x_title, ylabel="Attacked samples turned")
    for kind in kinds:
        for direction in DIRECTIONS:
            line = curves.filter(pl.col("direction") == direction.key, pl.col("kind") == kind)
            if line.height:
                x, y = np.append(line["budget"], last), np.append(line["share"], line["share"][-1])
                x[0] = least if log else 0.0  # a logarithm has no zero
                label = direction.arrow if len(kinds) == 1 else f"{direction.arrow}, {kind}"
                dash = DASHES[KIND_DASHES[kind] if len(kinds) > 1 else "solid"]
                colour = DIRECTION_COLOURS[direction.key]
                axes.step(x, y, where="post", color=colour, linestyle=dash, label=label)
                if len(kinds) > 1 and kind == kinds[-1] and line["share_low"].null_count() == 0:
                    low, high = (np.append(line[end], line[end][-1]) for end in ("share_low", "share_high"))
                    axes.fill_between(x, low, high, step="post", color=colour, alpha=0.16, linewidth=0)
    if log:
        logarithmic(axes)
    else:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=bool((budgets % 1 == 0).all())))
    axes.set_ylim(0, 1.03)
    percent_axis(axes.yaxis)
    legend_below(drawing.figure, axes, len(DIRECTIONS))
    yield drawing
