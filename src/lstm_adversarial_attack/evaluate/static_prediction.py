"""Static figures of prediction: curves, calibration, baselines, subgroups, and the attacked split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from lstm_adversarial_attack.evaluate.classification import OUTCOMES
from lstm_adversarial_attack.evaluate.headline import model_words, number_interval
from lstm_adversarial_attack.evaluate.prediction_figures import ATTRIBUTE_WORDS
from lstm_adversarial_attack.evaluate.static_drawing import (
    DASHES,
    DIRECTION_COLOURS,
    FAINT,
    INK,
    MUTED,
    SCALE,
    SMALL_PT,
    TWO_COLUMNS_MM,
    Drawing,
    Numbers,
    guide,
    legend_below,
    name_rows,
    new_figure,
    rows_with_intervals,
    unit_square,
)

_BLUE, _ORANGE = DIRECTION_COLOURS["0_to_1"], DIRECTION_COLOURS["1_to_0"]
_SPLITS = {"test": (_BLUE, "solid"), "validation": (MUTED, "dash"), "train": (FAINT, "dot")}
_CONDITIONS = {"clean": (_BLUE, "solid"), "attacked": (_ORANGE, "dash")}
_SQUARE_MM = 98.0
_ROW_MM = 4.4
#: Above this share of an outcome's samples a number is white on its cell.
_DARK = 0.6
_COMPARED = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score (lower is better)"}


def roc(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the ROC curves of the splits."""
    yield from _split_curves(
        numbers,
        name="roc",
        title="ROC curves of the three splits",
        axes_titles=("False positive rate", "True positive rate"),
        columns=("false_positive_rate", "true_positive_rate"),
        words="AUROC",
    )


def precision_recall(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the precision-recall curves of the splits."""
    yield from _split_curves(
        numbers,
        name="precision-recall",
        title="Precision-recall curves of the three splits",
        axes_titles=("Recall", "Precision"),
        columns=("recall", "precision"),
        words="AUPRC",
    )


def calibration(numbers: Numbers) -> Iterator[Drawing]:
    """Yield observed against predicted, before and after calibration."""
    bins = numbers.tables["calibration"].filter(pl.col("split") == "test")
    if bins.is_empty():
        return
    figure = new_figure(_SQUARE_MM)
    axes = figure.add_subplot(xlabel="Mean predicted probability", ylabel="Observed share of deaths")
    guide(axes, [0, 1], [0, 1], "perfect")
    mended = numbers.metrics.calibration.method != "none"
    for name, words, colour, marker in (
        ("raw", "of the model", _BLUE, "o"),
        ("calibrated", "after calibration", _ORANGE, "s"),
    ):
        part = bins.filter(pl.col("probability") == name)
        if name == "raw" or mended:
            drawn = part["mean_predicted"], part["observed"]
            axes.plot(*drawn, color=colour, marker=marker, markersize=3.6, label=words)
    unit_square(axes)
    legend_below(figure, axes, 3)
    yield Drawing("calibration", "Calibration on the test split", figure)


def models(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the LSTM beside the baselines, a panel for each figure; nothing where there are no baselines."""
    compared = numbers.tables["models"].filter(pl.col("value").is_not_null())
    names = compared["model"].unique(maintain_order=True).to_list()
    if len(names) < 2:
        return
    figure = new_figure(20 + _ROW_MM * len(names), TWO_COLUMNS_MM)
    panels = figure.subplots(1, len(_COMPARED), sharey=True)
    for axes, (key, title) in zip(panels, _COMPARED.items(), strict=True):
        part = compared.filter(pl.col("figure") == key)
        for place, name in enumerate(names):
            row = part.filter(pl.col("model") == name)
            rows_with_intervals(axes, [place] * row.height, row, _BLUE if name == "lstm" else MUTED)
        name_rows(axes, [model_words(name) for name in names])
        axes.set_xlabel(title)
    yield Drawing("models", "The LSTM beside the baselines on the test split, with 95 % intervals", figure)


def forest(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the AUROC of each subgroup that is large enough, that of all first."""
    groups = numbers.tables["subgroups"].filter(pl.col("auroc").is_not_null())
    whole = numbers.metrics.prediction["test"]["auroc"]
    if groups.is_empty() or whole.value is None:
        return
    test = numbers.metrics.splits["test"]
    names = [f"All ({test.deaths:,} of {test.samples:,} died)"] + [
        f"{ATTRIBUTE_WORDS.get(attribute, attribute)} {group} ({deaths:,} of {samples:,})"
        for attribute, group, deaths, samples in groups.select("attribute", "group", "deaths", "samples").rows()
    ]
    rows = pl.DataFrame(
        [(whole.value, whole.low, whole.high), *groups.select("auroc", "auroc_low", "auroc_high").rows()],
        schema={"value": pl.Float64, "low": pl.Float64, "high": pl.Float64},
        orient="row",
    )
    figure = new_figure(18 + _ROW_MM * len(names))
    axes = figure.add_subplot(xlabel="AUROC, 95 % interval")
    axes.axvline(whole.value, color=FAINT, linewidth=0.8, linestyle=DASHES["dash"])
    rows_with_intervals(axes, [0], rows[:1], INK, marker="D")
    rows_with_intervals(axes, range(1, len(names)), rows[1:], _BLUE)
    name_rows(axes, names)
    yield Drawing("forest", "AUROC by subgroup of the test split, with 95 % intervals", figure)


def attacked_roc(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the ROC curve of the attacked split before and after the attack."""
    points = numbers.tables["classification_roc"]
    if points.is_empty():
        return
    figure = new_figure(_SQUARE_MM)
    axes = figure.add_subplot(xlabel="False positive rate", ylabel="True positive rate")
    guide(axes, [0, 1], [0, 1], "chance")
    for condition, (colour, dash) in _CONDITIONS.items():
        part = points.filter(pl.col("condition") == condition)
        auroc = numbers.metrics.classification[condition].figures["auroc"]
        label = f"{condition}, AUROC {number_interval(auroc)}"
        axes.plot(
            part["false_positive_rate"], part["true_positive_rate"], color=colour, linestyle=DASHES[dash], label=label
        )
    unit_square(axes)
    legend_below(figure, axes, 1)
    yield Drawing("roc-attacked", "ROC curves before and after the attack", figure)


def confusions(numbers: Numbers) -> Iterator[Drawing]:
    """Yield the confusion matrices of the attacked split before and after the attack."""
    matrices = {name: found.confusion.rows() for name, found in numbers.metrics.classification.items()}
    if not any(count for rows in matrices.values() for row in rows for count in row):
        return
    figure = new_figure(48)
    for axes, (condition, rows) in zip(figure.subplots(1, 2, sharey=True), matrices.items(), strict=True):
        shares = np.array(rows) / np.maximum(np.sum(rows, axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=SCALE, vmin=0, vmax=1)
        for (i, j), share in np.ndenumerate(shares):
            colour = "white" if share > _DARK else INK
            axes.text(j, i, f"{rows[i][j]:,}\n{100 * share:.0f} %", ha="center", va="center", color=colour)
        _name_outcomes(axes, condition)
    figure.axes[0].set_ylabel("Outcome")
    yield Drawing("confusion", "Outcome and prediction before and after the attack", figure)


def _name_outcomes(axes: Axes, condition: str) -> None:
    axes.set_xticks(range(2), OUTCOMES)
    axes.set_yticks(range(2), OUTCOMES)
    axes.tick_params(length=0, labelsize=SMALL_PT)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="Predicted", title=condition)


def _split_curves(
    numbers: Numbers, *, name: str, title: str, axes_titles: tuple[str, str], columns: tuple[str, str], words: str
) -> Iterator[Drawing]:
    points = numbers.tables[name.replace("-", "_")]
    if points.is_empty():
        return
    test = numbers.metrics.prediction["test"]
    figure = new_figure(_SQUARE_MM + 6)
    axes = figure.add_subplot(xlabel=axes_titles[0], ylabel=axes_titles[1])
    prevalence, specificity = test["prevalence"].value, test["specificity"].value
    if name == "roc":
        guide(axes, [0, 1], [0, 1], "chance")
        x, y = None if specificity is None else 1 - specificity, test["recall"].value
    else:
        if prevalence is not None:
            guide(axes, [0, 1], [prevalence, prevalence], "share of deaths, test")
        x, y = test["recall"].value, test["precision"].value
    for split, (colour, dash) in _SPLITS.items():
        part = points.filter(pl.col("split") == split)
        if part.height:
            label = f"{split}, {words} {number_interval(numbers.metrics.prediction[split][words.lower()])}"
            over = 3 if split == "test" else 2
            axes.plot(
                part[columns[0]], part[columns[1]], color=colour, linestyle=DASHES[dash], label=label, zorder=over
            )
    if x is not None and y is not None:
        label = "test, at the threshold"
        axes.plot([x], [y], "D", markersize=4.5, color=_ORANGE, label=label, zorder=4, clip_on=False)
    unit_square(axes)
    legend_below(figure, axes, 1)
    yield Drawing(name, title, figure)
