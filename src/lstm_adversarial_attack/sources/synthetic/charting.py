"""CHARTEVENTS of a block: which nurse writes down what, when, and with which slips of the pen."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from .chart_table import AS_NUMBER, FIRST_TEXT, NUMBER_OF_ITEM, Rows, values_of
from .cohort import (
    HOUR_S,
    MINUTE_S,
    Block,
    BoolArray,
    FloatArray,
    IntArray,
    null_where,
    random_in_order,
    round_to,
    to_datetime,
)
from .extended_items import EXTENDED_PANELS, NOTE_PANELS
from .items import CHART_PANELS, ChartItem, ChartPanel, NoteItem, NotePanel, Route
from .physiology import Course
from .tables import TIME_FORMAT

SLIP_RATE = 2.5e-4  # impossible values that nobody marked
ERROR_RATE = 1.5e-3  # metavision rows marked wrong afterwards
WARNING_RATE = 0.02
EMPTY_RATE = 2.0e-4  # carevue rows without a value
ITEM_MISSED_RATE = 0.015  # an item left out of its panel
NO_STAY_RATE = 1.0e-3
USUAL_RATE = 0.85  # notes that say what the stay's notes usually say
SHIFTS_HOURS = 12
FRAME_ROWS = 1 << 17


@dataclass(frozen=True)
class _Rounds:
    """Visits to the bedside, [round]: the physiology row each one sees, its stay, and its time in seconds."""

    row: IntArray
    stay: IntArray
    time_s: IntArray
    clock_hour: IntArray
    on_the_hour: BoolArray


def chart_block(
    rng: np.random.Generator, more_rng: np.random.Generator, block: Block, course: Course
) -> Iterator[pl.DataFrame]:
    """All chart rows of a block, ordered by stay, time and item; columns of CHARTEVENTS without ROW_ID.

    They come in several frames, because text takes far more room than the numbers that it is made from. `rng` draws
    the nursing rounds and the items of `items`, `more_rng` the items of `extended_items`.
    """
    rounds = _draw_rounds(rng, block, course)
    routes = _draw_routes(rng, block)
    read = [_chart_panel(rng, panel, block, course, rounds, routes[panel.route]) for panel in CHART_PANELS]
    books = _draw_books(rng, block, course, rounds)
    routes |= _draw_more_routes(more_rng, block)
    more = [_chart_panel(more_rng, panel, block, course, rounds, routes[panel.route]) for panel in EXTENDED_PANELS]
    more += [_note_panel(more_rng, panel, block, rounds) for panel in NOTE_PANELS]
    rows = Rows.joined(read + more)
    order = rows.order()
    chance = random_in_order(rng, more_rng, order < sum(part.round.size for part in read))
    for start in range(0, order.size, FRAME_ROWS):
        part = slice(start, start + FRAME_ROWS)
        yield _frame(rows.taken(order[part]), chance[part] < NO_STAY_RATE, block, rounds, books)


def _draw_rounds(rng: np.random.Generator, block: Block, course: Course) -> _Rounds:
    """One round an hour, most on the hour, and more of them between the hours the sicker the patient is."""
    sick = np.clip(0.06 + 0.10 * course.severity, 0.01, 0.6)
    extra = np.flatnonzero(rng.random(course.stay.size) < sick)
    hourly = np.arange(course.stay.size)
    late = rng.random(hourly.size) < 0.25
    minute = np.where(late, rng.integers(1, 60, hourly.size), 0)
    row = np.concatenate([hourly, extra])
    minute = np.concatenate([minute, 15 * rng.integers(1, 4, extra.size)])
    on_the_hour = np.arange(row.size) < hourly.size

    stay = course.stay[row]
    start_s = block.times.icu_in[stay] // HOUR_S * HOUR_S
    time_s = start_s + course.hour[row] * HOUR_S + minute * MINUTE_S
    # The first round waits for the patient to arrive.
    arrival_s = block.times.icu_in[stay] // MINUTE_S * MINUTE_S + 2 * MINUTE_S
    time_s = np.where(course.hour[row] == 0, np.maximum(time_s, arrival_s), time_s)
    end_s = np.minimum(block.times.icu_out, block.times.death)[stay]
    kept = np.flatnonzero((time_s <= end_s) & block.charted[stay])
    kept = kept[np.lexsort((kept, time_s[kept], stay[kept]))]
    return _Rounds(row[kept], stay[kept], time_s[kept], time_s[kept] // HOUR_S % 24, on_the_hour[kept])


def _draw_routes(rng: np.random.Generator, block: Block) -> dict[Route, BoolArray]:
    """In which stays each kind of charting takes place, [stay]; the sicker have more lines and tubes."""
    stays = block.size
    grown = ~block.traits.newborn
    severity = block.traits.severity
    arterial = grown & (rng.random(stays) < 1.0 / (1.0 + np.exp(0.7 - 0.6 * severity)))
    need = 0.6 * severity + 0.6 * block.traits.organ("resp") - 0.6
    ventilated = rng.random(stays) < 1.0 / (1.0 + np.exp(-need))
    celsius = rng.random(stays) < np.where(block.metavision, 0.05, 0.2)
    return {
        "all": np.ones(stays, dtype=np.bool_),
        "arterial": arterial,
        "cuff": ~arterial,
        "manual_cuff": rng.random(stays) < 0.03,
        "second_line": arterial & (rng.random(stays) < 0.06),
        "celsius": celsius,
        "fahrenheit": ~celsius,
        "ventilated": ventilated,
        "diabetic": block.traits.diabetes,
    }


def _draw_more_routes(rng: np.random.Generator, block: Block) -> dict[Route, BoolArray]:
    """The kinds of charting that only `extended_items` has, [stay]."""
    grown = ~block.traits.newborn
    chance = 1.0 / (1.0 + np.exp(0.8 - 0.6 * block.traits.severity))
    return {"central": grown & (rng.random(block.size) < chance), "grown": grown}


def _chart_panel(
    rng: np.random.Generator,
    panel: ChartPanel,
    block: Block,
    course: Course,
    rounds: _Rounds,
    in_route: BoolArray,
) -> Rows:
    """The readings of one panel."""
    metavision = panel.items[0].system == "metavision"
    share = np.where(in_route, panel.share, panel.share_otherwise) * (block.metavision == metavision)
    due = _due(rounds, panel.every_hours)
    charted = np.flatnonzero(due & (rng.random(rounds.row.size) < share[rounds.stay]))
    return Rows.joined([_chart_item(rng, item, block.size, course, rounds, charted) for item in panel.items])


def _due(rounds: _Rounds, every_hours: int) -> BoolArray:
    """The rounds on which a panel is due, [round]: every one, so many hours apart, or (0) the first of a stay."""
    if every_hours == 0:
        return np.append(True, np.diff(rounds.stay) > 0)[: rounds.stay.size]
    if every_hours == 1:
        return np.ones(rounds.row.size, dtype=np.bool_)
    return np.asarray(rounds.on_the_hour & (rounds.clock_hour % every_hours == 0))


def _chart_item(
    rng: np.random.Generator, item: ChartItem, stays: int, course: Course, rounds: _Rounds, charted: IntArray
) -> Rows:
    """The readings of one item on the `charted` rounds, at its recording precision and with its oddities."""
    charted = charted[rng.random(charted.size) >= ITEM_MISSED_RATE]
    reading, size = item.reading, charted.size
    bias = reading.bias_sd * rng.standard_normal(stays)
    value = course.signals[reading.signal][rounds.row[charted]] + bias[rounds.stay[charted]]
    if reading.noise_sd > 0.0:
        value = value + reading.noise_sd * rng.standard_normal(size)
    if reading.signal == "spo2":
        value = np.minimum(value, 100.0)
    value = round_to(np.maximum(value, 0.0), reading.decimals)
    error = (rng.random(size) < ERROR_RATE) & (item.system == "metavision")
    value = _with_slips(rng, item, value, error)
    if item.single_precision:
        value = value.astype(np.float32).astype(np.float64)
    text = np.full(size, AS_NUMBER)
    if reading.texts:
        text = FIRST_TEXT[item.item_id] + np.clip(value.astype(np.int64), 1, len(reading.texts)) - 1
    return Rows(
        round=charted,
        item=np.full(size, NUMBER_OF_ITEM[item.item_id]),
        number=np.full(size, np.nan) if reading.text_only else value,
        text=text,
        empty=(rng.random(size) < EMPTY_RATE) & (item.system == "carevue"),
        error=error,
        warning=rng.random(size) < WARNING_RATE,
    )


def _with_slips(rng: np.random.Generator, item: ChartItem, value: FloatArray, error: BoolArray) -> FloatArray:
    """Zeros, impossible entries, and the wrong numbers of rows that were marked as errors."""
    if item.reading.texts:
        return value
    chance = rng.random(value.size)
    wrong = round_to(value * rng.uniform(0.2, 2.5, value.size), item.reading.decimals)
    value = np.where(error, wrong, value)
    value = np.where(chance < item.reading.zero_rate, 0.0, value)
    if not item.reading.slips:
        return value
    slip = np.asarray(item.reading.slips)[rng.integers(0, len(item.reading.slips), value.size)]
    return np.where(chance > 1.0 - SLIP_RATE, slip, value)


def _note_panel(rng: np.random.Generator, panel: NotePanel, block: Block, rounds: _Rounds) -> Rows:
    """The notes of one panel: mostly what is usual in the stay, else any text of the item."""
    metavision = panel.items[0].system == "metavision"
    due = _due(rounds, panel.every_hours) & (block.metavision == metavision)[rounds.stay]
    charted = np.flatnonzero(due & (rng.random(rounds.row.size) < panel.share))
    return Rows.joined([_note_item(rng, item, block.size, rounds, charted) for item in panel.items])


def _note_item(rng: np.random.Generator, item: NoteItem, stays: int, rounds: _Rounds, charted: IntArray) -> Rows:
    """The notes of one item on the `charted` rounds; the first text is the usual one in most stays."""
    chance = rng.random(charted.size)
    charted, chance = charted[chance >= ITEM_MISSED_RATE], chance[chance >= ITEM_MISSED_RATE]
    usual = np.where(rng.random(stays) < USUAL_RATE, 0, rng.integers(0, len(item.texts), stays))
    drawn = rng.integers(0, len(item.texts), charted.size)
    text = np.where(chance < USUAL_RATE, usual[rounds.stay[charted]], drawn)
    number = np.array([float(text) if item.numeric else np.nan for text in item.texts])[text]
    mark = rng.random(charted.size)
    return Rows(
        round=charted,
        item=np.full(charted.size, NUMBER_OF_ITEM[item.item_id]),
        number=number,
        text=FIRST_TEXT[item.item_id] + text,
        empty=(mark < EMPTY_RATE) & (item.system == "carevue"),
        error=mark < ERROR_RATE,
        warning=mark > 1.0 - WARNING_RATE,
    )


def _draw_books(rng: np.random.Generator, block: Block, course: Course, rounds: _Rounds) -> pl.DataFrame:
    """Who writes down a round and when, [round]: a nurse has a shift, and enters a whole round at once."""
    shifts = int(course.hour.max()) // SHIFTS_HOURS + 1
    nurse = rng.integers(14_001, 21_600, (block.size, shifts))
    stored_s = rounds.time_s + rng.integers(0, 75, rounds.row.size) * MINUTE_S
    return pl.DataFrame(
        {
            "CHARTTIME": to_datetime(rounds.time_s).dt.strftime(TIME_FORMAT),
            "STORETIME": to_datetime(stored_s).dt.strftime(TIME_FORMAT),
            "CGID": nurse[rounds.stay, course.hour[rounds.row] // SHIFTS_HOURS],
        }
    )


def _frame(rows: Rows, unfiled: BoolArray, block: Block, rounds: _Rounds, books: pl.DataFrame) -> pl.DataFrame:
    """The text of rows, with who and when; `unfiled` ones, [row], name no stay."""
    stay = rounds.stay[rows.round]
    return pl.DataFrame(
        [
            *values_of(rows),
            pl.Series("SUBJECT_ID", block.subject_id[stay]),
            pl.Series("HADM_ID", block.hadm_id[stay]),
            null_where(unfiled, block.icustay_id[stay]).alias("ICUSTAY_ID"),
            *(column.gather(rows.round) for column in books),
        ]
    )
