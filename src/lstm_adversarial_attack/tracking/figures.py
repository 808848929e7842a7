"""Figures for a run: training by epoch."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from lstm_adversarial_attack.tracking.contents import Curve

_PANELS = {"loss": ("train_loss", "validation_loss"), "AUPRC": ("validation_auprc",), "AUROC": ("validation_auroc",)}


def history(curve: Curve) -> Figure:
    """Draw loss, AUPRC and AUROC over the epochs; of an ensemble, a line for each network."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (title, endings) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        names = sorted({name for _, values in curve for name in values if name.endswith(endings)})
        for name in names:
            points = [(step, values[name]) for step, values in curve if name in values]
            axes.plot(*zip(*points, strict=True), label=name)
        _finish(axes, title, legend=1 < len(names) <= 2 * len(endings))
    return figure


def _finish(axes: Any, title: str, *, legend: bool) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel("epoch")
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False)
