"""PATIENTS, ADMISSIONS and ICUSTAYS of a block: the hospital's own books."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from .cohort import (
    DAY_S,
    MINUTE_S,
    NO_OUTTIME_SHARE,
    SHIFTED_AGE_YEARS,
    YEAR_S,
    Block,
    BoolArray,
    IntArray,
    to_datetime,
)

CARE_UNITS = ("MICU", "CSRU", "SICU", "CCU", "TSICU")
CARE_UNIT_SHARES = (0.40, 0.17, 0.17, 0.14, 0.12)
WARD_IDS = ((12, 23, 50, 52), (14, 15), (33, 57), (7, 57), (14, 33))
NEWBORN_UNIT, NEWBORN_WARD_ID = "NICU", 56
MOVED_UNIT_SHARE = 0.06

DIAGNOSES = (
    "SEPSIS",
    "PNEUMONIA",
    "CONGESTIVE HEART FAILURE",
    "CORONARY ARTERY DISEASE\\CORONARY ARTERY BYPASS GRAFT /SDA",
    "INTRACRANIAL HEMORRHAGE",
    "GASTROINTESTINAL BLEED",
    "ALTERED MENTAL STATUS",
    "RESPIRATORY FAILURE, HYPOXIA",
    "FEVER,HYPOTENSION",
    'STATUS POST FALL; "FOUND DOWN"',
    "DIABETIC KETOACIDOSIS",
    "ACUTE RENAL FAILURE",
)
ETHNICITIES = ("WHITE", "BLACK/AFRICAN AMERICAN", "HISPANIC OR LATINO", "ASIAN", "UNKNOWN/NOT SPECIFIED")
RELIGIONS = ("CATHOLIC", "NOT SPECIFIED", "PROTESTANT QUAKER", "JEWISH", "OTHER")
DISCHARGES = ("HOME", "HOME HEALTH CARE", "SNF", "REHAB/DISTINCT PART HOSP", "LONG TERM CARE HOSPITAL")


def patients(rng: np.random.Generator, block: Block) -> pl.DataFrame:
    """PATIENTS without ROW_ID: one row per patient, dates of birth shifted for those above 89."""
    first = _first_of(block.patient)
    last = np.append(first[1:], block.size) - 1
    times, size = block.times, first.size
    age_years = block.traits.age_years[first]
    shown_age = np.where(age_years > 89.0, float(SHIFTED_AGE_YEARS), age_years)
    dob_s = (times.admit[first] - (shown_age * YEAR_S).astype(np.int64)) // DAY_S * DAY_S
    dies = block.dies[last]
    dies_later = ~dies & (age_years >= 18.0) & (rng.random(size) < 0.27)
    later_s = times.discharge[last] + (rng.exponential(500.0, size) + 1.0).astype(np.int64) * DAY_S
    dod_s = np.where(dies, times.death[last], later_s) // DAY_S * DAY_S
    in_registry = dies_later | (dies & (rng.random(size) < 0.7))
    return pl.DataFrame(
        {
            "SUBJECT_ID": block.subject_id[first],
            "GENDER": _pick(rng, ("M", "F"), size, (0.56, 0.44)),
            "DOB": to_datetime(dob_s),
            "DOD": to_datetime(dod_s, dies | dies_later),
            "DOD_HOSP": to_datetime(dod_s, dies),
            "DOD_SSN": to_datetime(dod_s, in_registry),
            "EXPIRE_FLAG": (dies | dies_later).astype(np.int64),
        }
    )


def admissions(rng: np.random.Generator, block: Block) -> pl.DataFrame:
    """ADMISSIONS without ROW_ID."""
    first = _first_of(block.admission)
    last = np.append(first[1:], block.size) - 1
    times, size = block.times, first.size
    newborn, dies = block.traits.newborn[first], block.dies[last]
    admit_s = times.admit[first]
    kind = np.where(newborn, 3, rng.choice(3, size, p=(0.84, 0.13, 0.03)))
    through_er = (kind == 0) & (rng.random(size) < 0.8)
    location = np.select([newborn, through_er, kind == 1], [1, 0, 1], 2)
    adult = ~newborn
    er_in_s = admit_s - rng.integers(30, 600, size) * MINUTE_S
    discharged_to = _pick(rng, DISCHARGES, size, (0.35, 0.25, 0.2, 0.14, 0.06))
    places = ("EMERGENCY ROOM ADMIT", "PHYS REFERRAL/NORMAL DELI", "TRANSFER FROM HOSP/EXTRAM")
    return pl.DataFrame(
        {
            "SUBJECT_ID": block.subject_id[first],
            "HADM_ID": block.hadm_id[first],
            "ADMITTIME": to_datetime(admit_s),
            "DISCHTIME": to_datetime(times.discharge[first]),
            "DEATHTIME": to_datetime(np.where(dies, times.death[last], 0), dies),
            "ADMISSION_TYPE": pl.Series(("EMERGENCY", "ELECTIVE", "URGENT", "NEWBORN")).gather(kind),
            "ADMISSION_LOCATION": pl.Series(places).gather(location),
            "DISCHARGE_LOCATION": _where(~dies, discharged_to, "DEAD/EXPIRED"),
            "INSURANCE": _pick(rng, ("Medicare", "Private", "Medicaid", "Government", "Self Pay"), size),
            "LANGUAGE": _pick(rng, ("ENGL", "SPAN", "RUSS", None), size, (0.5, 0.03, 0.02, 0.45)),
            "RELIGION": _pick(rng, RELIGIONS, size),
            "MARITAL_STATUS": _null_where(
                newborn, _pick(rng, ("MARRIED", "SINGLE", "WIDOWED", "DIVORCED", None), size)
            ),
            "ETHNICITY": _pick(rng, ETHNICITIES, size, (0.71, 0.09, 0.04, 0.03, 0.13)),
            "EDREGTIME": to_datetime(er_in_s, through_er),
            "EDOUTTIME": to_datetime(admit_s + rng.integers(10, 240, size) * MINUTE_S, through_er),
            "DIAGNOSIS": _where(adult, _pick(rng, DIAGNOSES, size), "NEWBORN"),
            "HOSPITAL_EXPIRE_FLAG": dies.astype(np.int64),
            "HAS_CHARTEVENTS_DATA": np.logical_or.reduceat(block.charted, first).astype(np.int64),
        }
    )


def icu_stays(rng: np.random.Generator, block: Block) -> pl.DataFrame:
    """ICUSTAYS without ROW_ID; LOS is in days."""
    times, size = block.times, block.size
    unit_in = rng.choice(len(CARE_UNITS), size, p=CARE_UNIT_SHARES)
    unit_out = np.where(rng.random(size) < MOVED_UNIT_SHARE, rng.integers(0, len(CARE_UNITS), size), unit_in)
    ward_turn = rng.integers(0, 12, size)
    known = rng.random(size) >= NO_OUTTIME_SHARE
    newborn = block.traits.newborn
    # 12 columns: a common multiple of the numbers of wards per unit.
    wards = np.array([np.resize(ids, 12) for ids in WARD_IDS])
    los_days = pl.Series(np.round((times.icu_out - times.icu_in) / DAY_S, 4))
    return pl.DataFrame(
        {
            "SUBJECT_ID": block.subject_id,
            "HADM_ID": block.hadm_id,
            "ICUSTAY_ID": block.icustay_id,
            "DBSOURCE": pl.Series(("carevue", "metavision")).gather(block.metavision.astype(np.int64)),
            "FIRST_CAREUNIT": _where(~newborn, pl.Series(CARE_UNITS).gather(unit_in), NEWBORN_UNIT),
            "LAST_CAREUNIT": _where(~newborn, pl.Series(CARE_UNITS).gather(unit_out), NEWBORN_UNIT),
            "FIRST_WARDID": np.where(newborn, NEWBORN_WARD_ID, wards[unit_in, ward_turn]),
            "LAST_WARDID": np.where(newborn, NEWBORN_WARD_ID, wards[unit_out, ward_turn]),
            "INTIME": to_datetime(times.icu_in),
            "OUTTIME": to_datetime(times.icu_out, known),
            "LOS": _null_where(~known, los_days),
        }
    )


def _first_of(group: IntArray) -> IntArray:
    """Position of the first stay of each group; groups are numbered from 0 in order."""
    return np.flatnonzero(np.append(True, np.diff(group) > 0))


def _pick(
    rng: np.random.Generator, options: Sequence[str | None], size: int, shares: Sequence[float] | None = None
) -> pl.Series:
    """`size` independent choices among `options` (equal shares by default)."""
    return pl.Series(options, dtype=pl.String).gather(rng.choice(len(options), size, p=shares))


def _where(condition: BoolArray, yes: pl.Series, no: str) -> pl.Series:
    """`yes` where the condition holds, the constant `no` elsewhere."""
    chosen = pl.when(pl.lit(pl.Series(condition))).then(pl.lit(yes)).otherwise(pl.lit(no))
    return pl.select(chosen).to_series()


def _null_where(condition: BoolArray, values: pl.Series) -> pl.Series:
    """`values`, with NULL where the condition holds."""
    return pl.select(pl.when(pl.lit(pl.Series(~condition))).then(pl.lit(values))).to_series()
