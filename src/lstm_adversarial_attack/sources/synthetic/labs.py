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
    round_to,
    to_datetime,
)
from .items import LAB_ITEMS, LabItem, LabKind
from .physiology import Course

MORNING_HOUR = 4
TEXT_RATE = 1.5e-3
NO_ADMISSION_RATE = 0.01


@dataclass(frozen=True)
class _Draws:
    """Tubes of blood, [draw]: whose, when (seconds), and the physiology row they show."""

    stay: IntArray
    time_s: IntArray
    row: IntArray


def lab_block(rng: np.random.Generator, block: Block, course: Course) -> pl.DataFrame:
    """All laboratory rows of a block, ordered by stay, time and item; columns of LABEVENTS without ROW_ID."""
    draws: dict[LabKind, _Draws] = {
        "chemistry": _concatenate(_chemistry_draws(rng, block, course), _ward_draws(rng, block, course)),
        "blood_gas": _gas_draws(rng, block, course),
    }
    results = pl.concat([_report(rng, item, draws[item.kind], course) for item in LAB_ITEMS])
    order = np.lexsort([results[key].to_numpy() for key in ("ITEMID", "time_s", "stay")])
    return _with_context(rng, results[order], block)


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


def _concatenate(first: _Draws, second: _Draws) -> _Draws:
    """Both sets of draws."""
    return _Draws(
        np.concatenate([first.stay, second.stay]),
        np.concatenate([first.time_s, second.time_s]),
        np.concatenate([first.row, second.row]),
    )


def _report(rng: np.random.Generator, item: LabItem, draws: _Draws, course: Course) -> pl.DataFrame:
    """Results of one item: number at its precision, flag, and now and then a text instead of a number."""
    drawn = np.flatnonzero(rng.random(draws.row.size) < item.share)
    value = course.signals[item.signal][draws.row[drawn]] + item.noise_sd * rng.standard_normal(drawn.size)
    value = round_to(np.maximum(value, 10.0**-item.decimals), item.decimals)
    as_text: BoolArray = rng.random(drawn.size) < TEXT_RATE
    text = pl.Series(item.texts).gather(rng.integers(0, len(item.texts), drawn.size))
    number = pl.Series(value).cast(pl.String).str.strip_suffix(".0")
    lowest, highest = item.normal
    abnormal = pl.Series((value < lowest) | (value > highest))
    is_text = pl.Series(as_text)
    return pl.select(
        pl.Series("stay", draws.stay[drawn]),
        pl.Series("time_s", draws.time_s[drawn]),
        pl.Series("ITEMID", np.full(drawn.size, item.item_id, dtype=np.int64)),
        pl.when(is_text).then(text).otherwise(number).alias("VALUE"),
        pl.when(~is_text).then(number).alias("VALUENUM"),
        pl.Series("VALUEUOM", [item.uom], dtype=pl.String).new_from_index(0, drawn.size),
        pl.when(abnormal).then(pl.lit("abnormal")).alias("FLAG"),
    )


def _with_context(rng: np.random.Generator, results: pl.DataFrame, block: Block) -> pl.DataFrame:
    """Add whose and when; draws before the admission, and a few others, are not filed under one."""
    stay, time_s = results["stay"].to_numpy(), results["time_s"].to_numpy()
    filed = pl.Series((time_s >= block.times.admit[stay]) & (rng.random(stay.size) >= NO_ADMISSION_RATE))
    return results.drop("stay", "time_s").with_columns(
        pl.Series("SUBJECT_ID", block.subject_id[stay]),
        pl.when(filed).then(pl.Series(block.hadm_id[stay])).alias("HADM_ID"),
        to_datetime(time_s).alias("CHARTTIME"),
    )
