"""CHARTEVENTS of a block: which nurse writes down what, when, and with which slips of the pen."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from .cohort import HOUR_S, MINUTE_S, Block, BoolArray, FloatArray, IntArray, round_to, to_datetime
from .items import CHART_PANELS, ChartItem, ChartPanel, Route
from .physiology import Course

SLIP_RATE = 2.5e-4  # impossible values that nobody marked
ERROR_RATE = 1.5e-3  # metavision rows marked wrong afterwards
WARNING_RATE = 0.02
EMPTY_RATE = 2.0e-4  # carevue rows without a value
ITEM_MISSED_RATE = 0.015  # an item left out of its panel
NO_STAY_RATE = 1.0e-3
SHIFTS_HOURS = 12


@dataclass(frozen=True)
class _Rounds:
    """Visits to the bedside, [round]: the physiology row each one sees, its stay, and its time in seconds."""

    row: IntArray
    stay: IntArray
    time_s: IntArray
    clock_hour: IntArray
    on_the_hour: BoolArray


def chart_block(rng: np.random.Generator, block: Block, course: Course) -> pl.DataFrame:
    """All chart rows of a block, ordered by stay, time and item; columns of CHARTEVENTS without ROW_ID."""
    rounds = _draw_rounds(rng, block, course)
    routes = _draw_routes(rng, block)
    frames = [
        frame
        for panel in CHART_PANELS
        for frame in _chart_panel(rng, panel, block, course, rounds, routes[panel.route])
    ]
    events = pl.concat(frames)
    order = np.lexsort((events["ITEMID"].to_numpy(), events["round"].to_numpy()))
    events = events[order]
    return _with_context(rng, events, block, course, rounds)


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


def _chart_panel(
    rng: np.random.Generator,
    panel: ChartPanel,
    block: Block,
    course: Course,
    rounds: _Rounds,
    in_route: BoolArray,
) -> list[pl.DataFrame]:
    """The readings of one panel: a frame (round, ITEMID, number, text, error) per item."""
    metavision = panel.items[0].system == "metavision"
    share = np.where(in_route, panel.share, panel.share_otherwise) * (block.metavision == metavision)
    due = rounds.on_the_hour & (rounds.clock_hour % panel.every_hours == 0) | (panel.every_hours == 1)
    charted = np.flatnonzero(due & (rng.random(rounds.row.size) < share[rounds.stay]))
    return [_chart_item(rng, item, block.size, course, rounds, charted) for item in panel.items]


def _chart_item(
    rng: np.random.Generator, item: ChartItem, stays: int, course: Course, rounds: _Rounds, charted: IntArray
) -> pl.DataFrame:
    """The readings of one item on the `charted` rounds, at its recording precision and with its oddities."""
    charted = charted[rng.random(charted.size) >= ITEM_MISSED_RATE]
    bias = item.reading.bias_sd * rng.standard_normal(stays)
    value = course.signals[item.reading.signal][rounds.row[charted]] + bias[rounds.stay[charted]]
    if item.reading.noise_sd > 0.0:
        value = value + item.reading.noise_sd * rng.standard_normal(charted.size)
    if item.reading.signal == "spo2":
        value = np.minimum(value, 100.0)
    value = round_to(np.maximum(value, 0.0), item.reading.decimals)
    error = (rng.random(charted.size) < ERROR_RATE) & (item.system == "metavision")
    value = _with_slips(rng, item, value, error)
    if item.single_precision:
        value = value.astype(np.float32).astype(np.float64)
    frame = pl.DataFrame(
        {
            "round": charted,
            "ITEMID": np.full(charted.size, item.item_id, dtype=np.int64),
            "number": value,
            "error": error,
        }
    )
    return _with_text(rng, frame, item)


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


def _with_text(rng: np.random.Generator, frame: pl.DataFrame, item: ChartItem) -> pl.DataFrame:
    """Add VALUE, VALUENUM, VALUEUOM and the columns that depend on the charting system."""
    number = frame["number"].cast(pl.String).str.strip_suffix(".0")
    value = number
    if item.reading.texts:
        code = np.clip(frame["number"].to_numpy().astype(np.int64), 1, len(item.reading.texts)) - 1
        value = pl.Series(item.reading.texts).gather(code)
        number = pl.repeat(None, frame.height, dtype=pl.String, eager=True) if item.reading.text_only else number
    carevue = item.system == "carevue"
    empty = pl.Series((rng.random(frame.height) < EMPTY_RATE) & carevue)
    stopped = pl.when("empty").then(pl.lit("D/C'd")).otherwise(pl.lit("NotStopd"))
    warning = pl.Series((rng.random(frame.height) < WARNING_RATE).astype(np.int64))
    none = pl.lit(None, dtype=pl.Int64)
    return (
        frame.select(
            "round",
            "ITEMID",
            empty.alias("empty"),
            pl.when(~empty).then(value).alias("VALUE"),
            pl.when(~empty).then(number).alias("VALUENUM"),
            pl.lit(item.uom, dtype=pl.String).alias("VALUEUOM"),
            (none if carevue else pl.lit(warning)).alias("WARNING"),
            (none if carevue else pl.col("error").cast(pl.Int64)).alias("ERROR"),
            pl.lit(item.result_status, dtype=pl.String).alias("RESULTSTATUS"),
        )
        .with_columns((stopped if carevue else pl.lit(None, dtype=pl.String)).alias("STOPPED"))
        .drop("empty")
    )


def _with_context(
    rng: np.random.Generator, events: pl.DataFrame, block: Block, course: Course, rounds: _Rounds
) -> pl.DataFrame:
    """Add who, when and in which stay; a nurse has a shift, and enters a whole round at once."""
    at = events["round"].to_numpy()
    stay = rounds.stay[at]
    shifts = int(course.hour.max()) // SHIFTS_HOURS + 1
    nurse = rng.integers(14_001, 21_600, (block.size, shifts))
    nurse_of_round = nurse[rounds.stay, course.hour[rounds.row] // SHIFTS_HOURS]
    stored_s = rounds.time_s + rng.integers(0, 75, rounds.row.size) * MINUTE_S
    known = pl.Series(rng.random(events.height) >= NO_STAY_RATE)
    return events.drop("round").with_columns(
        pl.Series("SUBJECT_ID", block.subject_id[stay]),
        pl.Series("HADM_ID", block.hadm_id[stay]),
        pl.when(known).then(pl.Series(block.icustay_id[stay])).alias("ICUSTAY_ID"),
        to_datetime(rounds.time_s[at]).alias("CHARTTIME"),
        to_datetime(stored_s[at]).alias("STORETIME"),
        pl.Series("CGID", nurse_of_round[at]),
    )
