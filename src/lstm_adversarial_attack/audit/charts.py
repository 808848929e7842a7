"""The audit's three charts as coordinates for inline SVG; the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_adversarial_attack.audit.conclude import f1_of
from lstm_adversarial_attack.audit.findings import Findings, View
from lstm_adversarial_attack.metrics import f1_bound, max_f1

#: The plot's width and height, in the SVG's units.
WIDTH, HEIGHT = 560, 260
_AUROCS = [0.5 + step / 400 for step in range(200)] + [0.9990, 0.9995, 0.9999]


@dataclass(frozen=True)
class Bar:
    """One view's F1: length and ends of its interval, in the SVG's units."""

    view: View
    f1: float
    length: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Lines:
    """Paths over the epochs: of each fold, faint, and their mean."""

    folds: list[str]
    mean: str


def bars(findings: Findings) -> list[Bar]:
    """Return a bar for each view, from the claim to the truth."""
    found = []
    for view in findings.views:
        f1, pooled = f1_of(view), view.pooled["f1"]
        low, high = (None if end is None else WIDTH * end for end in (pooled.low, pooled.high))
        found.append(Bar(view, f1, WIDTH * f1, low, high))
    return found


def over_epochs(findings: Findings, field: str) -> Lines:
    """Return the lines of a field of `EpochScore` that lies in [0, 1]."""
    series = [[getattr(epoch, field) for epoch in fold.history] for fold in findings.folds]
    means = [sum(values) / len(values) for values in zip(*series, strict=True)]
    last = max(len(means) - 1, 1)

    def path(values: Sequence[float]) -> str:
        return _path([(WIDTH * index / last, HEIGHT * (1 - value)) for index, value in enumerate(values)])

    return Lines([path(values) for values in series], path(means))


def allowed(findings: Findings, *, any_curve: bool) -> str:
    """Return the path of the largest F1 against AUROC, from 0.5 to 1, at the dataset's prevalence."""
    limit = f1_bound if any_curve else max_f1
    points = [(auroc, limit(auroc, findings.limits.prevalence)) for auroc in _AUROCS]
    return _path([(across(auroc), HEIGHT * (1 - f1)) for auroc, f1 in points])


def across(auroc: float) -> float:
    """Return where an AUROC from 0.5 to 1 lies across the plot."""
    return WIDTH * (min(max(auroc, 0.5), 1.0) - 0.5) / 0.5


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
