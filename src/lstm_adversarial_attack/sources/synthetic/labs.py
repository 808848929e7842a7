"""LABEVENTS of a block: blood draws in the ICU, before it and after it, and what the laboratory reports."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from .cohort import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    NOT_DEAD_S,
    Block,
    BoolArray,
    FloatArray,
    IntArray,
    null_where,
    random_in_order,
    round_to,
    to_datetime,
)
from .extended_items import ALL_LAB_ITEMS, EXTENDED_LAB_PANELS
from .items import LAB_ITEMS, LabItem, LabKind, LabPanel
from .physiology import Course
from .tables import TIME_FORMAT

MORNING_HOUR = 4
TEXT_RATE = 1.5e-3
NO_ADMISSION_RATE = 0.01

#: The laboratory's items, ordered by id: their numbers in `_Results.item`.
ITEMS = tuple(sorted(ALL_LAB_ITEMS, key=lambda item: item.item_id))
NUMBER_OF_ITEM = {item.item_id: number for number, item in enumerate(ITEMS)}
#: What is reported in place of a number, of one item after another; the last of an item is that of a trace.
TEXTS = tuple(text for item in ITEMS for text in (*item.texts, f"<{item.detected_from}"))
FIRST_TEXT = np.cumsum([0, *(len(item.texts) + 1 for item in ITEMS)]).tolist()
NO_TEXT = -1


@dataclass(frozen=True)
class _Draws:
    """Tubes of blood, [draw]: whose, when (seconds), and the physiology row they show."""

    stay: IntArray
    time_s: IntArray
    row: IntArray

    @classmethod
    def joined(cls, *parts: "_Draws") -> "_Draws":
        """All draws of all parts."""
        return cls(*(np.concatenate(fields) for fields in zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass(frozen=True)
class _Results:
    """Reported values, [row]: the draw they are of, the number of the item, the value and the place of its text."""

    draw: IntArray
    item: IntArray
    value: FloatArray
    text: IntArray


def lab_block(rng: np.random.Generator, more_rng: np.random.Generator, block: Block, course: Course) -> pl.DataFrame:
    """All laboratory rows of a block, ordered by stay, time and item; columns of LABEVENTS without ROW_ID.

    `rng` draws the tubes and the items of `items`, `more_rng` the items of `extended_items`.
    """
    chemistry = _Draws.joined(_chemistry_draws(rng, block, course), _ward_draws(rng, block, course))
    draws = _Draws.joined(chemistry, _gas_draws(rng, block, course))
    tubes = np.arange(draws.stay.size)
    of_kind: dict[LabKind, IntArray] = {
        "chemistry": tubes[: chemistry.stay.size],
        "blood_gas": tubes[chemistry.stay.size :],
    }
    reports = [_report(rng, item, of_kind[item.kind], draws, course) for item in LAB_ITEMS]
    first = sum(report.draw.size for report in reports)
    for panel in EXTENDED_LAB_PANELS:
        reports += _report_panel(more_rng, panel, block, of_kind[panel.kind], draws, course)
    columns = (np.concatenate(column) for column in zip(*(vars(report).values() for report in reports), strict=True))
    results = _Results(*columns)
    order = _order(results, draws)
    chance = random_in_order(rng, more_rng, order < first)
    return _frame(_Results(*(column[order] for column in vars(results).values())), chance, draws, block)


def _chemistry_draws(rng: np.random.Generator, block: Block, course: Course) -> _Draws:
    """On admission, every morning, and in between the more often the sicker the patient is."""
    clock = ((block.times.icu_in // HOUR_S)[course.stay] + course.hour) % 24
    chance = np.clip(0.025 + 0.03 * course.severity, 0.008, 0.2)
    chance = np.where(clock == MORNING_HOUR, 0.93, chance)
    return _draws_at(rng, block, course, np.where(course.hour == 0, 0.75, chance))


def _gas_draws(rng: np.random.Generator, block: Block, course: Course) -> _Draws:
    """Only in part of the stays (those with trouble breathing, in shock, or by habit of the unit)."""
    traits = block.traits
    need = 0.7 * traits.severity + 0.7 * traits.organ("resp") - 0.2
    sampled = (rng.random(block.size) < 1.0 / (1.0 + np.exp(-need))) & ~traits.newborn
    chance = np.clip(0.09 + 0.045 * course.severity, 0.02, 0.4)
    chance = np.where(course.hour == 0, 0.6, chance)
    return _draws_at(rng, block, course, chance * sampled[course.stay])


def _draws_at(rng: np.random.Generator, block: Block, course: Course, chance: FloatArray) -> _Draws:
    """At most one draw in each charted hour, with probability `chance` ([stay-hour])."""
    row = np.flatnonzero(rng.random(chance.size) < chance)
    stay = course.stay[row]
    start_s = block.times.icu_in[stay] // MINUTE_S * MINUTE_S + MINUTE_S
    time_s = start_s + course.hour[row] * HOUR_S + rng.integers(0, 58, row.size) * MINUTE_S
    inside = time_s < np.minimum(block.times.icu_out, block.times.death)[stay]
    return _Draws(stay[inside], time_s[inside], row[inside])


def _ward_draws(rng: np.random.Generator, block: Block, course: Course) -> _Draws:
    """Draws outside the ICU: emergency room and ward before, outpatient visits, ward afterwards."""
    times = block.times
    readmitted = np.append(False, np.diff(block.admission) == 0)
    earliest_s = np.where(readmitted, times.icu_in - 5 * HOUR_S, times.admit - 6 * HOUR_S)
    before = _between(rng, rng.poisson(0.9, block.size), earliest_s, times.icu_in)
    clinic = _between(
        rng,
        rng.poisson(np.where(block.traits.newborn | readmitted, 0.0, 0.35)),
        times.admit - 120 * DAY_S,
        times.admit - 2 * DAY_S,
    )
    next_in = np.where(np.append(readmitted[1:], False), np.append(times.icu_in[1:], 0), NOT_DEAD_S)
    ward_end_s = np.minimum(np.minimum(times.discharge, times.death), next_in)
    ward_end_s = np.minimum(ward_end_s, times.icu_out + 6 * DAY_S)
    has_ward = ward_end_s > times.icu_out + HOUR_S
    after = _between(rng, rng.poisson(1.3, block.size) * has_ward, times.icu_out, ward_end_s)
    stay = np.concatenate([before[0], clinic[0], after[0]])
    time_s = np.concatenate([before[1], clinic[1], after[1]])
    return _Draws(stay, time_s, course.rows_at(stay, (time_s - times.icu_in[stay]) // HOUR_S))


def _between(
    rng: np.random.Generator, count: IntArray, start_s: IntArray, end_s: IntArray
) -> tuple[IntArray, IntArray]:
    """`count` draws for each stay, uniform in (start, end): (stay, time in whole minutes), each [draw]."""
    stay = np.repeat(np.arange(count.size), count)
    share = rng.uniform(0.02, 0.98, stay.size)
    span_s = (end_s - start_s)[stay]
    return stay, (start_s[stay] + (share * span_s).astype(np.int64)) // MINUTE_S * MINUTE_S


def _report_panel(
    rng: np.random.Generator, panel: LabPanel, block: Block, tubes: IntArray, draws: _Draws, course: Course
) -> list[_Results]:
    """Results of the items of one panel, from those of the `tubes` that are sent for it."""
    ordered = rng.random(block.size) < panel.stay_share
    sent = tubes[ordered[draws.stay[tubes]] & (rng.random(tubes.size) < panel.share)]
    return [_report(rng, item, sent, draws, course) for item in panel.items]


def _report(rng: np.random.Generator, item: LabItem, tubes: IntArray, draws: _Draws, course: Course) -> _Results:
    """Results of one item: a number at its precision, and now and then a text instead."""
    drawn = tubes[rng.random(tubes.size) < item.share]
    value = course.signals[item.signal][draws.row[drawn]] + item.noise_sd * rng.standard_normal(drawn.size)
    least = -np.inf if item.signed else 10.0**-item.decimals
    trace = value < item.detected_from
    value = round_to(np.maximum(value, least), item.decimals) + 0.0  # no negative zero
    as_text = rng.random(drawn.size) < TEXT_RATE
    text = np.where(as_text, rng.integers(0, len(item.texts), drawn.size), NO_TEXT)
    text = np.where(trace, len(item.texts), text)
    number = NUMBER_OF_ITEM[item.item_id]
    place = np.where(text == NO_TEXT, NO_TEXT, FIRST_TEXT[number] + text)
    return _Results(drawn, np.full(drawn.size, number), value, place)


def _order(results: _Results, draws: _Draws) -> IntArray:
    """The places of the results in the order of stay, time and item; what is equal stays as it was."""
    since_s = draws.time_s - draws.time_s.min(initial=0)
    _, rank = np.unique(draws.stay * (since_s.max(initial=0) + 1) + since_s, return_inverse=True)
    return np.argsort(rank[results.draw] * len(ITEMS) + results.item, kind="stable")


def _frame(results: _Results, chance: FloatArray, draws: _Draws, block: Block) -> pl.DataFrame:
    """The text of results, with whose and when; draws before the admission, and a few others, are not filed there."""
    stay = draws.stay[results.draw]
    unfiled: BoolArray = (draws.time_s[results.draw] < block.times.admit[stay]) | (chance < NO_ADMISSION_RATE)
    lowest, highest = np.array([item.normal for item in ITEMS], dtype=np.float64).T
    abnormal = (results.value < lowest[results.item]) | (results.value > highest[results.item])
    is_text = results.text != NO_TEXT
    number = pl.Series(np.where(is_text, np.nan, results.value), nan_to_null=True)
    number = number.cast(pl.String).str.strip_suffix(".0")
    text = pl.Series([*TEXTS, None]).gather(np.where(is_text, results.text, len(TEXTS)))
    return pl.DataFrame(
        [
            pl.Series("SUBJECT_ID", block.subject_id[stay]),
            null_where(unfiled, block.hadm_id[stay]).alias("HADM_ID"),
            pl.Series("ITEMID", np.array([item.item_id for item in ITEMS])[results.item]),
            to_datetime(draws.time_s).dt.strftime(TIME_FORMAT).gather(results.draw).alias("CHARTTIME"),
            pl.select(pl.coalesce(number, text).alias("VALUE")).to_series(),
            number.alias("VALUENUM"),
            pl.Series([item.uom for item in ITEMS]).gather(results.item).alias("VALUEUOM"),
            pl.Series((None, "abnormal")).gather(abnormal.astype(np.int64)).alias("FLAG"),
        ]
    )
