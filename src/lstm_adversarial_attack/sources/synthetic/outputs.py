"""OUTPUTEVENTS of a block: what runs into bags and drains, emptied at the bedside and written down in ml."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from .cohort import HOUR_S, MINUTE_S, Block, BoolArray, FloatArray, IntArray, null_where, round_to, to_datetime
from .items import System
from .physiology import Course

ERROR_RATE = 1.5e-3  # metavision rows marked wrong afterwards
SLIP_RATE = 3.0e-4  # volumes with a digit too many
NO_STAY_RATE = 1.0e-4
OFF_THE_HOUR_SHARE = 0.06
HOURLY_SHARE = 0.6  # stays whose bag is read every hour; the others' every two hours
READ_SHARE = 0.93
EVEN_FROM_ML = 100.0  # above it a reading is mostly rounded to tens
SHIFTS_HOURS = 12


@dataclass(frozen=True)
class OutputItem:
    """One item of OUTPUTEVENTS and its row in D_ITEMS.

    `share` is the part of the charting system's stays that have it: of urine one way in each stay (the shares of
    `URINE_ITEMS` are weights), of all else independently. It is emptied every `every_hours` (0: every one or two
    hours, by stay); `no_volume` is the share of rows that name no volume. What is no urine runs at about
    `ml_per_hour`.
    """

    item_id: int
    label: str
    share: float
    every_hours: int = 0
    ml_per_hour: float = 0.0
    no_volume: float = 0.0
    category: str = "Output"

    @property
    def system(self) -> System:
        """The charting system: ids below 220000 are CareVue."""
        return "carevue" if self.item_id < 220_000 else "metavision"


URINE_ITEMS = (
    OutputItem(40055, "Urine Out Foley", 0.84, no_volume=0.002),
    OutputItem(40069, "Urine Out Void", 0.09, 5, no_volume=0.08),
    OutputItem(40094, "Urine Out Condom Cath", 0.02, 3, no_volume=0.01),
    OutputItem(40428, "Urine Out Straight Cath", 0.01, 6),
    OutputItem(40085, "Urine Out Incontinent", 0.005, 4, no_volume=0.4),
    OutputItem(40405, "Urine Out Other", 0.005, 2),
    OutputItem(40473, "Urine Out IleoConduit", 0.005),
    OutputItem(40715, "Urine Out Suprapubic", 0.005),
    OutputItem(40056, "Urine Out Lt Nephrostomy", 0.004, 2),
    OutputItem(40057, "Urine Out Rt Nephrostomy", 0.004, 2),
    OutputItem(40096, "Urine Out Ureteral Stent #1", 0.002, 2),
    OutputItem(40651, "Urine Out Ureteral Stent #2", 0.002, 2),
    OutputItem(43175, "Urine .", 0.01, 3),
    OutputItem(226559, "Foley", 0.84),
    OutputItem(226560, "Void", 0.1, 5),
    OutputItem(226561, "Condom Cath", 0.02, 3),
    OutputItem(226567, "Straight Cath", 0.012, 6),
    OutputItem(226563, "Suprapubic", 0.006),
    OutputItem(226584, "Ileoconduit", 0.006),
    OutputItem(226564, "R Nephrostomy", 0.005, 2),
    OutputItem(226565, "L Nephrostomy", 0.005, 2),
    OutputItem(226557, "R Ureteral Stent", 0.003, 2),
    OutputItem(226558, "L Ureteral Stent", 0.003, 2),
)
OTHER_ITEMS = (
    OutputItem(40054, "Stool Out Stool", 0.35, 14, 14.0, no_volume=0.5),
    OutputItem(40052, "Gastric Nasogastric", 0.15, 5, 18.0),
    OutputItem(40059, "Gastric Oral Gastric", 0.08, 6, 15.0, no_volume=0.1),
    OutputItem(40076, "Chest Tubes CTICU CT 1", 0.12, 2, 16.0),
    OutputItem(40071, "Drain Out #1 Jackson Pratt", 0.05, 6, 12.0),
    OutputItem(40286, "Ultrafiltrate Ultrafiltrate", 0.02, 1, 150.0),
    OutputItem(226579, "Stool", 0.3, 14, 20.0),
    OutputItem(226575, "Nasogastric", 0.1, 6, 14.0),
    OutputItem(226576, "Oral Gastric", 0.1, 6, 16.0),
    OutputItem(226588, "Chest Tube #1", 0.12, 2, 12.0),
    OutputItem(226599, "Jackson Pratt #1", 0.05, 6, 10.0, category="Drains"),
    OutputItem(227510, "TF Residual", 0.15, 4, 4.0),
)
OUTPUT_ITEMS = URINE_ITEMS + OTHER_ITEMS


def output_block(rng: np.random.Generator, block: Block, course: Course) -> pl.DataFrame:
    """All output rows of a block, ordered by stay, time and item; columns of OUTPUTEVENTS without ROW_ID."""
    collected_h = np.where(rng.random(block.size) < HOURLY_SHARE, 1, 2)
    way = _draw_ways(rng, block)
    urine_ml = np.cumsum(course.signals["urine"])
    parts = [
        _empty(rng, item, course, (way == item.item_id) & block.charted, collected_h, urine_ml) for item in URINE_ITEMS
    ]
    hours = np.arange(1.0, course.stay.size + 1.0)
    for item in OTHER_ITEMS:
        has = (rng.random(block.size) < item.share) & (block.metavision == (item.system == "metavision"))
        pace = item.ml_per_hour * rng.lognormal(0.0, 0.5, block.size)[course.stay]
        parts.append(_empty(rng, item, course, has & block.charted, collected_h, pace * hours))
    row, item_id, volume, no_volume = (np.concatenate(column) for column in zip(*parts, strict=True))
    time_s = _times(rng, block, course, row)
    end_s = np.minimum(block.times.icu_out, block.times.death)[course.stay[row]]
    kept = np.flatnonzero((time_s <= end_s) & (time_s >= block.times.icu_in[course.stay[row]]))
    kept = kept[np.lexsort((item_id[kept], time_s[kept], course.stay[row[kept]]))]
    return _with_context(rng, block, course, row[kept], time_s[kept], item_id[kept], volume[kept], no_volume[kept])


def _draw_ways(rng: np.random.Generator, block: Block) -> IntArray:
    """The item under which each stay's urine is charted, [stay]; newborns have no catheter."""
    chance = rng.random(block.size)
    way = np.zeros(block.size, dtype=np.int64)
    for system, foley, void in (("carevue", 40055, 40069), ("metavision", 226559, 226560)):
        ours = [item for item in URINE_ITEMS if item.system == system]
        upper = np.cumsum([item.share for item in ours])
        drawn = np.searchsorted(upper / upper[-1], chance, side="right")
        chosen = np.array([item.item_id for item in ours])[drawn]
        chosen = np.where(block.traits.newborn & (chosen == foley), void, chosen)
        way = np.where(block.metavision == (system == "metavision"), chosen, way)
    return way


def _empty(
    rng: np.random.Generator,
    item: OutputItem,
    course: Course,
    has: BoolArray,
    collected_h: IntArray,
    total_ml: FloatArray,
) -> tuple[IntArray, IntArray, FloatArray, BoolArray]:
    """The rows at which one item is emptied, its id, the volume since the last time, and whether none is named.

    `total_ml` is what has run since the block's first row, [stay-hour].
    """
    every = np.full(has.size, item.every_hours) if item.every_hours else collected_h
    due = np.flatnonzero(has[course.stay] & (course.hour > 0))
    due = due[course.hour[due] % every[course.stay[due]] == 0]
    row = due[rng.random(due.size) < READ_SHARE]
    stay = course.stay[row]
    same_stay = np.append(False, np.diff(stay) == 0)
    since = np.where(same_stay, np.append(0, row[:-1]), course.first_row[stay])
    volume = (total_ml[row] - total_ml[since]) * rng.lognormal(0.0, 0.12, row.size)
    step = np.where(volume < EVEN_FROM_ML, np.where(rng.random(row.size) < 0.5, 1.0, 5.0), 10.0)
    volume = round_to(volume / step, 0) * step
    volume = np.where(rng.random(row.size) < SLIP_RATE, volume * 100.0, volume)
    return row, np.full(row.size, item.item_id), volume, rng.random(row.size) < item.no_volume


def _times(rng: np.random.Generator, block: Block, course: Course, row: IntArray) -> IntArray:
    """When each row is charted, in seconds: mostly on the hour."""
    quarter = np.where(rng.random(row.size) < OFF_THE_HOUR_SHARE, 15 * rng.integers(1, 4, row.size), 0)
    start_s = block.times.icu_in[course.stay[row]] // HOUR_S * HOUR_S
    return np.asarray(start_s + course.hour[row] * HOUR_S + quarter * MINUTE_S)


def _with_context(
    rng: np.random.Generator,
    block: Block,
    course: Course,
    row: IntArray,
    time_s: IntArray,
    item_id: IntArray,
    volume: FloatArray,
    no_volume: BoolArray,
) -> pl.DataFrame:
    """Add who and when; only MetaVision marks errors, and neither system fills STOPPED and NEWBOTTLE."""
    stay = course.stay[row]
    metavision = block.metavision[stay]
    error = pl.Series((rng.random(row.size) < ERROR_RATE) & metavision)
    stored_s = time_s + rng.integers(0, 60, row.size) * MINUTE_S
    shifts = int(course.hour.max()) // SHIFTS_HOURS + 1
    nurse = rng.integers(14_001, 21_600, (block.size, shifts))
    return pl.select(
        pl.Series("SUBJECT_ID", block.subject_id[stay]),
        pl.Series("HADM_ID", block.hadm_id[stay]),
        null_where(rng.random(row.size) < NO_STAY_RATE, block.icustay_id[stay]).alias("ICUSTAY_ID"),
        to_datetime(time_s).alias("CHARTTIME"),
        pl.Series("ITEMID", item_id),
        pl.when(pl.Series(~no_volume)).then(pl.Series(volume.astype(np.int64))).alias("VALUE"),
        pl.Series(("ml", "mL")).gather(metavision.astype(np.int64)).alias("VALUEUOM"),
        to_datetime(stored_s).alias("STORETIME"),
        pl.Series("CGID", nurse[stay, course.hour[row] // SHIFTS_HOURS]),
        pl.lit(None, dtype=pl.String).alias("STOPPED"),
        pl.lit(None, dtype=pl.String).alias("NEWBOTTLE"),
        pl.when(error).then(1).alias("ISERROR"),
    )
