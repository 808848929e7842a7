"""The figures of prediction: curves, calibration, subgroups and the course of training."""

from __future__ import annotations

from typing import Any

import polars as pl

from lstm_adversarial_attack.evaluate.drawing import (
    Figure,
    distance,
    guide_of,
    layout_of,
    line_of,
    shares_of,
    short,
    shorts,
)
from lstm_adversarial_attack.evaluate.inputs import EvaluationInputs
from lstm_adversarial_attack.evaluate.results import Metrics

ATTRIBUTE_WORDS = {"age": "Age", "sex": "Sex", "unit": "Unit", "charting_system": "Charting"}

_SPLIT_LINES = {"test": ("$0_to_1", "solid"), "validation": ("$faint", "dash"), "train": ("$faint", "dot")}
_UNIT_SQUARE = {"xaxis_range": [0, 1], "yaxis_range": [0, 1.02]}
_PAIR = (("$0_to_1", "solid"), ("$1_to_0", "solid"))

#: Width of the lines of an ensemble's networks.
_THIN = 1.0

#: So few epochs are marked one by one: a line needs two neighbours.
_FEW_EPOCHS = 10


def prediction_figures(inputs: EvaluationInputs, metrics: Metrics, tables: dict[str, pl.DataFrame]) -> list[Figure]:
    """Return the figures; those for which there are no numbers have no data."""
    return [
        _roc(metrics, tables["roc"]),
        _precision_recall(metrics, tables["precision_recall"]),
        _calibration(metrics, tables["calibration"]),
        _forest(metrics),
        _history(inputs, ("train_loss", "validation_loss"), "loss", "Loss"),
        _history(inputs, ("validation_auroc", "validation_auprc"), "ranking", "Validation AUROC and AUPRC"),
    ]


def _roc(metrics: Metrics, points: pl.DataFrame) -> Figure:
    test = metrics.prediction["test"]
    lines = _split_curves(points, "false_positive_rate", "true_positive_rate")
    specificity = test["specificity"].value
    at_threshold = (None if specificity is None else 1 - specificity, test["recall"].value)
    return Figure(
        id="roc",
        title="ROC",
        alt=f"ROC curves of the three splits. {_in_words('AUROC', metrics, 'auroc')}",
        data=[guide_of([0, 1], [0, 1], "chance"), *lines, *_operating_point(*at_threshold)] if lines else [],
        layout=layout_of("False positive rate", "True positive rate", **_UNIT_SQUARE),
    )


def _precision_recall(metrics: Metrics, points: pl.DataFrame) -> Figure:
    test = metrics.prediction["test"]
    lines = _split_curves(points, "recall", "precision")
    prevalence = test["prevalence"].value
    guide = [] if prevalence is None else [guide_of([0, 1], [prevalence, prevalence], "share of deaths, test")]
    return Figure(
        id="precision-recall",
        title="Precision and recall",
        alt=f"Precision-recall curves of the three splits. {_in_words('AUPRC', metrics, 'auprc')}",
        data=[*guide, *lines, *_operating_point(test["recall"].value, test["precision"].value)] if lines else [],
        layout=layout_of("Recall", "Precision", **_UNIT_SQUARE),
    )


def _calibration(metrics: Metrics, bins: pl.DataFrame) -> Figure:
    test = bins.filter(pl.col("split") == "test")
    lines = []
    for name, words, colour in (("calibrated", "after calibration", "$1_to_0"), ("raw", "of the model", "$0_to_1")):
        part = test.filter(pl.col("probability") == name)
        if part.height and (name == "raw" or metrics.calibration.method != "none"):
            line = line_of(shorts(part["mean_predicted"]), shorts(part["observed"]), words, colour, "solid")
            lines.append({**line, "mode": "lines+markers"})
    return Figure(
        id="calibration",
        title="Calibration",
        alt="Share of deaths against mean predicted probability on the test split, in bins of equal count, before and "
        "after calibration. The table of calibration holds its errors.",
        data=[guide_of([0, 1], [0, 1], "perfect"), *lines] if lines else [],
        layout=layout_of("Mean predicted probability", "Observed share of deaths", **_UNIT_SQUARE),
    )


def _forest(metrics: Metrics) -> Figure:
    """Return AUROC by subgroup, the whole test split first."""
    whole = metrics.prediction["test"]["auroc"]
    rows = {
        f"{ATTRIBUTE_WORDS[group.attribute]} {group.group}": group.figures["auroc"]
        for group in metrics.subgroups
        if group.figures
    }
    names, estimates = ["All", *rows], [whole, *rows.values()]
    points = {
        "type": "scatter",
        "mode": "markers",
        "orientation": "h",
        "name": "AUROC",
        "x": [shares_of(estimate)[0] for estimate in estimates],
        "y": names,
        "marker": {"color": "$0_to_1", "size": 8},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [distance(estimate.value, estimate.high) for estimate in estimates],
            "arrayminus": [distance(estimate.low, estimate.value) for estimate in estimates],
            "color": "$0_to_1",
            "thickness": 1.5,
            "width": 0,
        },
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    across = {**guide_of([whole.value or 0.0] * len(names), names, "all"), "line": {"color": "$faint", "dash": "dot"}}
    guide = [] if whole.value is None else [across]
    return Figure(
        id="forest",
        title="AUROC by subgroup",
        alt="AUROC with its 95 % interval in each subgroup of the test split, beside that of all. The table of "
        "subgroups holds the numbers.",
        data=[*guide, points] if rows else [],
        layout=layout_of(
            "AUROC, 95 % interval",
            "",
            height=70 + 26 * len(names),
            yaxis_autorange="reversed",
            yaxis_showgrid=False,
        ),
    )


def _history(inputs: EvaluationInputs, columns: tuple[str, str], name: str, title: str) -> Figure:
    """Return a line for each column and network; those of an ensemble are thin."""
    networks = inputs.history.partition_by("member")
    styles = (("$faint", "dash"), ("$0_to_1", "solid")) if name == "loss" else _PAIR
    data = []
    for column, style in zip(columns, styles, strict=True):
        for number, network in enumerate(networks, 1):
            if not network[column].is_finite().any():
                continue
            words = column.replace("_", " ") + (f", network {number}" if len(networks) > 1 else "")
            line = line_of(network["epoch"].to_list(), network[column].to_list(), words, *style)
            if len(networks) > 1:
                line["line"]["width"] = _THIN
            data.append({**line, "mode": "lines" if network.height > _FEW_EPOCHS else "lines+markers"})
    of = f" of each of {len(networks)} networks" if len(networks) > 1 else ""
    return Figure(
        id=f"history-{name}",
        title=title,
        alt=f"{title} by epoch of training{of}, over {inputs.history.height} epochs.",
        data=data,
        layout=layout_of(
            "Epoch",
            "Loss" if name == "loss" else "",
            yaxis_rangemode="tozero" if name == "loss" else "normal",
        ),
    )


def _split_curves(points: pl.DataFrame, x: str, y: str) -> list[dict[str, Any]]:
    lines = []
    for split, (colour, dash) in reversed(_SPLIT_LINES.items()):
        part = points.filter(pl.col("split") == split)
        if part.height:
            lines.append(line_of(shorts(part[x]), shorts(part[y]), split, colour, dash))
    return lines


def _operating_point(x: float | None, y: float | None) -> list[dict[str, Any]]:
    if x is None or y is None:
        return []
    marker = {"color": "$1_to_0", "size": 9, "symbol": "diamond"}
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "test, at the threshold",
            "x": [short(x)],
            "y": [short(y)],
            "marker": marker,
        }
    ]


def _in_words(name: str, metrics: Metrics, figure: str) -> str:
    parts = []
    for split in _SPLIT_LINES:
        value = metrics.prediction[split][figure].value
        parts.append(f"{split} {'undefined' if value is None else f'{value:.3f}'}")
    return f"{name}: {', '.join(parts)}."
