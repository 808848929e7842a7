"""How often each feature was measured, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass

from lstm_adversarial_attack.catalogue import Feature
from lstm_adversarial_attack.preprocess.card_cells import CellSummary
from lstm_adversarial_attack.preprocess.card_shown import few_percent, is_few
from lstm_adversarial_attack.preprocess.hourly import Int

#: Upper ends of the classes of the heat map's colours, in per cent; class 0 is for nothing, the last has no end.
CLASSES = (1, 2, 5, 10, 20, 40, 60, 80, 95)
#: Most columns of the heat map; of longer windows a column is several hours.
MOST_COLUMNS = 60
#: Columns under one heading.
_HEADED = 6


@dataclass(frozen=True)
class HeatCell:
    """A cell of the heat map: the class of its colour, and its number in per cent."""

    level: int
    text: str


@dataclass(frozen=True)
class HeatRow:
    """A feature's line of the heat map."""

    feature: Feature
    share: float  # of all cells
    measured: int  # samples with any
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True)
class HeatMap:
    """The heat map: its lines, the words for its columns, and its headings with the columns under each."""

    rows: tuple[HeatRow, ...]
    columns: tuple[str, ...]
    headings: tuple[tuple[str, int], ...]


def heat_map(features: tuple[Feature, ...], cells: CellSummary, samples: int) -> HeatMap:
    """Return the share of ``samples`` in which each of ``features`` was measured, by hour."""
    hours = len(cells.by_hour)
    width = -(-hours // MOST_COLUMNS)
    starts = range(0, hours, width)
    measured = (cells.counts() > 0).sum(axis=0).tolist()
    rows = [
        HeatRow(
            feature,
            float(by_hour.sum()) / (samples * hours),
            measured[column],
            tuple(_cell(by_hour[start : start + width], samples) for start in starts),
        )
        for column, (feature, by_hour) in enumerate(zip(features, cells.by_hour.T, strict=True))
    ]
    columns = tuple(_hours(start, min(start + width, hours)) for start in starts)
    headings = tuple((str(starts[i]), len(starts[i : i + _HEADED])) for i in range(0, len(starts), _HEADED))
    return HeatMap(tuple(rows), columns, headings)


def _hours(start: int, end: int) -> str:
    return f"hour {start}" if end == start + 1 else f"hours {start} to {end - 1}"


def _cell(counts: Int, samples: int) -> HeatCell:
    count, whole = int(counts.sum()), samples * len(counts)
    if count == 0:
        return HeatCell(0, "0")
    level = 1 if is_few(count) else 1 + sum(100 * count >= end * whole for end in CLASSES)
    return HeatCell(level, few_percent(count, whole).removesuffix(" %"))
