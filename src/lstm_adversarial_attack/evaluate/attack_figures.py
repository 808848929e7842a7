"""The figures of the attack: success against budgets, discovery, and single edits."""

from __future__ import annotations

from typing import Any, cast

import polars as pl

from lstm_adversarial_attack.evaluate.attack_results import BEST
from lstm_adversarial_attack.evaluate.checks import THIS
from lstm_adversarial_attack.evaluate.drawing import Figure, band_of, distance, layout_of, line_of, short, shorts
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction, EvaluationInputs
from lstm_adversarial_attack.evaluate.smallest_edits import ANY

#: The first example that was found, against the best of all.
KIND_DASHES = {"first": "dot", BEST: "solid"}

#: Dashes of other attacks, in their order; those after the last begin anew.
_OTHER_DASHES = ("dot", "dash", "dashdot", "longdash", "longdashdot")

#: A budget axis is logarithmic where the largest is so many times the smallest.
_LOG_SPAN = 20


def attack_figures(inputs: EvaluationInputs, tables: dict[str, pl.DataFrame]) -> tuple[Figure, ...]:
    """Return the figures of the attack; those without numbers have no data."""
    curves = tables["attack_curves"]
    return (
        _success(curves, "l0", "Changed cells (L0)", "at most so many cells changed"),
        _success(curves, "l1", "Sum of changes (L1), SD", "a total change of at most so many SD"),
        _success(curves, "linf", "Largest change (L∞), SD", "no cell changed by more than so many SD"),
        _success(curves, "cost", "Clinical cost", "changes that cost at most so much"),
        _discovery(curves),
        _single_edits(inputs, tables["smallest_edits"]),
        *(_comparison(direction, tables["other_attack_curves"]) for direction in DIRECTIONS),
    )


def _success(curves: pl.DataFrame, against: str, axis: str, words: str) -> Figure:
    part = curves.filter(pl.col("against") == against, pl.col("kind").is_in(list(KIND_DASHES)))
    log = _is_wide(part)
    return Figure(
        id=f"success-{against}",
        title=f"Success against {axis[0].lower()}{axis[1:].removesuffix(', SD')}",
        alt=f"Share of attacked samples whose prediction is turned with {words}, by direction, of the first "
        "example and of the best; failures never succeed. The table of outcomes holds quartiles.",
        data=_condition_lines(part, tuple(KIND_DASHES), log) if (part["budget"] > 0).any() else [],
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
    part = curves.filter(pl.col("against") == "iteration", pl.col("kind") == "first")
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
    """Return a line for each direction and kind that was attacked, all drawn to the largest budget.

    The last of the kinds has a band for its interval.
    """
    lines = []
    last = short(cast(float, curves["budget"].max() or 0.0))
    drawn = slice(1, None) if log else slice(None)  # a logarithm has no zero
    for direction in DIRECTIONS:
        for kind in kinds:
            line = curves.filter(pl.col("direction") == direction.key, pl.col("kind") == kind)
            if not line.height:
                continue
            x = [*shorts(line["budget"]), last][drawn]
            ends = line.drop_nulls("share_low")
            if kind == kinds[-1] and ends.height == line.height:
                low, high = (
                    [*shorts(ends[f"share_{end}"]), short(ends[f"share_{end}"][-1])] for end in ("low", "high")
                )
                lines.append(band_of(x, low[drawn], high[drawn], f"${direction.key}"))
            y = shorts(line["share"])
            styled = line_of(
                x, [*y, y[-1]][drawn], f"{direction.arrow}, {kind}", f"${direction.key}", KIND_DASHES[kind]
            )
            # Between two budgets nothing more is turned: a step, not a slope.
            styled["line"]["shape"] = "hv"
            lines.append({**styled, "hovertemplate": "%{y:.1%} within %{x:.4~g}"})
    return lines


def _single_edits(inputs: EvaluationInputs, edits: pl.DataFrame) -> Figure:
    labels = {feature.name: feature.measurement.label for feature in inputs.features}
    shown = edits.filter(pl.col("feature") != ANY, pl.col("suffices") > 0)
    order = shown.group_by("feature").agg(pl.col("share").max()).sort("share", "feature")["feature"].to_list()
    bars = []
    for direction in DIRECTIONS:
        rows = {row["feature"]: row for row in shown.filter(direction=direction.key).to_dicts()}
        here = [rows[name] for name in order if name in rows]
        if here:
            bars.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": direction.arrow,
                    "x": [short(row["share"]) for row in here],
                    "y": [labels[row["feature"]] for row in here],
                    "marker": {"color": f"${direction.key}"},
                    "error_x": {
                        "type": "data",
                        "symmetric": False,
                        "color": "$ink",
                        "thickness": 1,
                        "width": 0,
                        "array": [distance(row["share"], row["share_high"]) for row in here],
                        "arrayminus": [distance(row["share_low"], row["share"]) for row in here],
                    },
                    "hovertemplate": "%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
                }
            )
    return Figure(
        id="single-edits",
        title="Whom a single edit turns",
        alt="Bars: share of attacked samples that one edit of the measurement turns, by direction, with 95 % "
        "intervals. The table holds the numbers.",
        data=bars,
        layout=layout_of(
            "Share of attacked samples",
            "",
            barmode="group",
            bargap=0.25,
            height=90 + 34 * len(order),
            xaxis_tickformat=".0%",
            xaxis_rangemode="tozero",
            yaxis_showgrid=False,
            yaxis_dtick=1,
            yaxis_categoryorder="array",
            yaxis_categoryarray=[labels[name] for name in order],
        ),
    )


def _comparison(direction: Direction, curves: pl.DataFrame) -> Figure:
    part = curves.filter(direction=direction.key)
    names = part["attack"].unique(maintain_order=True).to_list()
    log = _is_wide(part)
    drawn = slice(1, None) if log else slice(None)
    last = part["budget"].max()
    lines = []
    for number, name in enumerate(names):
        line = part.filter(attack=name)
        colour = f"${direction.key}" if name == THIS else "$muted"
        dash = "solid" if name == THIS else _OTHER_DASHES[(number - 1) % len(_OTHER_DASHES)]
        x, y = [*shorts(line["budget"]), short(cast(float, last))], [*shorts(line["share"]), short(line["share"][-1])]
        styled = line_of(x[drawn], y[drawn], name, colour, dash)
        styled["line"]["shape"] = "hv"
        lines.append({**styled, "hovertemplate": "%{y:.1%} within %{x:.4~g}"})
    return Figure(
        id=f"others-{direction.key}",
        title=f"Attacks compared: {direction.arrow}, {direction.words}",
        alt="Share of samples turned within so many changed cells, by this attack and by others on the same samples: "
        f"{', '.join(names[1:])}. The table holds medians.",
        data=lines,
        layout=layout_of(
            "Changed cells (L0)",
            "Share of attacked samples turned",
            height=460,
            xaxis_type="log" if log else "linear",
            xaxis_dtick="D2" if log else None,
            yaxis_range=[0, 1.02],
            yaxis_tickformat=".0%",
            showlegend=True,
            legend={"orientation": "h", "y": -0.2, "font": {"size": 12}},
        ),
    )


def _is_wide(curves: pl.DataFrame) -> bool:
    """Tell whether budgets above 0 span so much that their axis is logarithmic."""
    budgets = curves.filter(pl.col("budget") > 0)["budget"]
    return budgets.len() > 0 and cast(float, budgets.max()) > _LOG_SPAN * cast(float, budgets.min())
