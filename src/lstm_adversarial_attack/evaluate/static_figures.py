"""The figures of the report as PNG (300 dpi) and SVG, for papers and slides.

A figure is a function from the report's numbers to drawings, in the list `FIGURES`; where there are no numbers it
yields none. The same numbers give the same bytes: no time, no version and no random name is in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO

from lstm_adversarial_attack.evaluate import static_attack, static_prediction
from lstm_adversarial_attack.evaluate.static_drawing import Drawing, Numbers, style

_DPI = 300

FIGURES: tuple[Callable[[Numbers], Iterator[Drawing]], ...] = (
    static_prediction.roc,
    static_prediction.precision_recall,
    static_prediction.calibration,
    static_prediction.models,
    static_prediction.forest,
    static_prediction.attacked_roc,
    static_prediction.confusions,
    static_attack.success,
    static_attack.discovery,
    static_attack.heat_maps,
    static_attack.single_edits,
    static_attack.by_measurement,
    static_attack.by_hour,
)


def static_figures(numbers: Numbers) -> dict[str, bytes]:
    """Return the files by name, such as ``roc.png`` and ``roc.svg``."""
    files = {}
    for drawings in FIGURES:
        with style(drawings.__name__):
            for drawing in drawings(numbers):
                files[f"{drawing.name}.png"] = _bytes(drawing, "png", {"Title": drawing.title, "Software": None})
                about = {"Title": drawing.title, "Date": None, "Creator": None, "Format": None, "Type": None}
                files[f"{drawing.name}.svg"] = _bytes(drawing, "svg", about)
    return files


def _bytes(drawing: Drawing, kind: str, metadata: dict[str, str | None]) -> bytes:
    written = BytesIO()
    drawing.figure.savefig(written, format=kind, dpi=_DPI, metadata=metadata)
    return written.getvalue()
