"""Who lies on the synthetic wards: patients, their admissions and ICU stays, and how ill they are.

A block of stays is a set of arrays of shape [stay], ordered by patient and then by time. Times are whole
seconds since 1970-01-01 (dates run in 2100-2200, as in the release).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400
YEAR_S = 31_556_952  # 365.2425 days
FIRST_DATE_S = 4_102_444_800  # 2100-01-01
SHIFTED_AGE_YEARS = 300  # what the release shows for patients above 89
NOT_DEAD_S = 2**62

Organ = Literal["shock", "resp", "renal", "blood", "neuro"]
ORGANS: tuple[Organ, ...] = get_args(Organ)

SUBJECT_IDS = np.arange(2, 100_000)
ADMISSION_IDS = np.arange(100_000, 200_000)
STAY_IDS = np.arange(200_000, 300_000)
MAX_STAYS = SUBJECT_IDS.size  # were each stay a patient of its own

STAYS_PER_PATIENT = (0.835, 0.115, 0.035, 0.015)  # 1, 2, 3, 4 stays
SAME_ADMISSION_SHARE = 0.35
NEWBORN_SHARE, CHILD_SHARE, OVER_89_SHARE = 0.085, 0.006, 0.05
METAVISION_SHARE = 0.45
NO_CHART_SHARE = 0.003
NO_OUTTIME_SHARE = 0.003

DEATH_INTERCEPT = -4.7
DEATH_WEIGHTS = {"severity": 2.5, "decline": 2.15, "age": 0.45, "multi_organ": 0.5}
NEWBORN_DEATH_LOGIT = -5.0
DIES_IN_ICU_SHARE = 0.75


@dataclass(frozen=True)
class IdPool:
    """Shuffled ids of a release, sliced by the position of a block so that no two blocks share one."""

    subjects: IntArray
    admissions: IntArray
    stays: IntArray

    @classmethod
    def shuffled(cls, rng: np.random.Generator) -> "IdPool":
        """Every id of the release's ranges, in an order that says nothing about time."""
        return cls(
            subjects=rng.permutation(SUBJECT_IDS),
            admissions=rng.permutation(ADMISSION_IDS),
            stays=rng.permutation(STAY_IDS),
        )


@dataclass(frozen=True)
class Traits:
    """What a stay's patient brings along, each of shape [stay].

    `severity` (standard normal) is how ill at admission, `decline` (standard normal) how the course turns:
    both lead to death. `organs` ([organ, stay]) is each organ system's own share, beyond the common severity.
    """

    age_years: FloatArray
    newborn: BoolArray
    severity: FloatArray
    decline: FloatArray
    organs: FloatArray
    renal_disease: BoolArray
    lung_disease: BoolArray
    hypertension: BoolArray
    diabetes: BoolArray
    atrial_fibrillation: BoolArray

    def organ(self, name: Organ) -> FloatArray:
        """The own share of one organ system, [stay]."""
        return np.asarray(self.organs[ORGANS.index(name)], dtype=np.float64)


@dataclass(frozen=True)
class Times:
    """When, in seconds since 1970, each of shape [stay]; `death` is `NOT_DEAD_S` for survivors."""

    admit: IntArray
    icu_in: IntArray
    icu_out: IntArray
    discharge: IntArray
    death: IntArray


@dataclass(frozen=True)
class Block:
    """A block of stays. `patient` and `admission` number the block's patients and admissions from 0."""

    patient: IntArray
    admission: IntArray
    subject_id: IntArray
    hadm_id: IntArray
    icustay_id: IntArray
    metavision: BoolArray
    dies: BoolArray
    charted: BoolArray
    traits: Traits
    times: Times

    @property
    def size(self) -> int:
        """Number of stays."""
        return int(self.patient.size)


def draw_block(rng: np.random.Generator, ids: IdPool, first_stay: int, stays: int) -> Block:
    """Draw `stays` stays; `first_stay` is their position in the release, which selects their ids."""
    patient, last_of_patient = _draw_patients(rng, stays)
    new_admission = np.append(True, np.diff(patient) > 0) | (rng.random(stays) >= SAME_ADMISSION_SHARE)
    admission = np.cumsum(new_admission) - 1
    traits = _draw_traits(rng, patient)
    dies = (rng.random(stays) < _death_probability(traits)) & last_of_patient
    return Block(
        patient=patient,
        admission=admission,
        subject_id=ids.subjects[first_stay + patient],
        hadm_id=ids.admissions[first_stay + admission],
        icustay_id=ids.stays[first_stay : first_stay + stays],
        metavision=(rng.random(stays) < METAVISION_SHARE)[patient],
        dies=dies,
        charted=rng.random(stays) >= NO_CHART_SHARE,
        traits=traits,
        times=_draw_times(rng, patient, new_admission, traits, dies),
    )


def _draw_patients(rng: np.random.Generator, stays: int) -> tuple[IntArray, BoolArray]:
    """The patient of each stay, and whether it is the patient's last; the last patient may be cut short."""
    counts = 1 + rng.choice(len(STAYS_PER_PATIENT), size=stays, p=STAYS_PER_PATIENT)
    patient = np.repeat(np.arange(stays), counts)[:stays]
    return patient, np.append(np.diff(patient) > 0, True)


def _draw_traits(rng: np.random.Generator, patient: IntArray) -> Traits:
    """Chronic traits are the patient's and shared by all stays; the acute ones are drawn per stay."""
    stays = patient.size
    alone = np.bincount(patient)[patient] == 1
    group = rng.random(stays)[patient]
    # Newborns have a single stay, so their share among those is raised to keep it overall.
    newborn = alone & (group < NEWBORN_SHARE / max(alone.mean(), 0.1))
    child = ~newborn & (group > 1.0 - CHILD_SHARE)
    over_89 = ~newborn & ~child & (group > 1.0 - CHILD_SHARE - OVER_89_SHARE)
    adult_age = 18.0 + 71.0 * rng.beta(2.5, 1.4, stays)[patient]
    age = np.select(
        [newborn, child, over_89],
        [0.0, 1.0 + 14.0 * rng.random(stays)[patient], 89.5 + 5.0 * rng.random(stays)[patient]],
        adult_age,
    )
    grown = age >= 18.0

    def chronic(share: float) -> BoolArray:
        return np.asarray((rng.random(stays)[patient] < share) & grown)

    return Traits(
        age_years=age,
        newborn=newborn,
        severity=rng.standard_normal(stays),
        decline=rng.standard_normal(stays),
        organs=rng.standard_normal((len(ORGANS), stays)),
        renal_disease=chronic(0.15),
        lung_disease=chronic(0.14),
        hypertension=chronic(0.45),
        diabetes=chronic(0.26),
        atrial_fibrillation=chronic(0.15),
    )


def _death_probability(traits: Traits) -> FloatArray:
    """Probability of dying in hospital; two failing organs weigh more than their sum."""
    multi_organ = np.maximum(traits.organ("shock"), 0.0) * np.maximum(traits.organ("resp"), 0.0)
    logit = (
        DEATH_INTERCEPT
        + DEATH_WEIGHTS["severity"] * traits.severity
        + DEATH_WEIGHTS["decline"] * traits.decline
        + DEATH_WEIGHTS["age"] * (traits.age_years - 64.0) / 16.0
        + DEATH_WEIGHTS["multi_organ"] * multi_organ
    )
    logit = np.where(traits.newborn, NEWBORN_DEATH_LOGIT, logit)
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def _draw_times(
    rng: np.random.Generator, patient: IntArray, new_admission: BoolArray, traits: Traits, dies: BoolArray
) -> Times:
    """Lay the stays of each patient one after another: gap before, ICU stay, ward afterwards."""
    stays = patient.size
    admission = np.cumsum(new_admission) - 1
    last_of_admission = np.append(new_admission[1:], True)
    los_s = _draw_los_s(rng, traits, dies)
    before_s = _minutes(np.where(rng.random(stays) < 0.5, 2.0, rng.gamma(1.2, 600.0, stays)))
    away_s = _minutes(np.maximum(2.0, rng.exponential(220.0, stays)) * 1_440.0)
    ward_gap_s = _minutes(rng.uniform(360.0, 5_760.0, stays))
    ward_after_s = _minutes(np.where(rng.random(stays) < 0.1, 60.0, rng.gamma(1.5, 4_300.0, stays) + 120.0))
    dies_in_icu = dies & (rng.random(stays) < DIES_IN_ICU_SHARE)
    after_s = np.where(last_of_admission & ~dies_in_icu, ward_after_s, 0)

    first_of_patient = np.append(True, np.diff(patient) > 0)
    gap_s = np.where(new_admission, before_s + np.where(first_of_patient, 0, away_s), ward_gap_s)
    spent_s = np.cumsum(gap_s + los_s + after_s)
    start_of_patient_s = (spent_s - gap_s - los_s - after_s)[first_of_patient][patient]
    first_admit_s = FIRST_DATE_S + rng.integers(0, 90 * YEAR_S // MINUTE_S, stays)[patient] * MINUTE_S
    icu_in = first_admit_s + spent_s - los_s - after_s - start_of_patient_s + rng.integers(0, 60, stays)
    icu_out = icu_in + los_s
    # Discharge carries no seconds; someone who dies in the ICU leaves both at once.
    discharge = (icu_out + after_s) // MINUTE_S * MINUTE_S
    admit = (icu_in - before_s)[new_admission][admission] // MINUTE_S * MINUTE_S
    return Times(
        admit=admit,
        icu_in=icu_in,
        icu_out=icu_out,
        discharge=discharge[last_of_admission][admission],
        death=np.where(dies, discharge, NOT_DEAD_S),
    )


def _draw_los_s(rng: np.random.Generator, traits: Traits, dies: BoolArray) -> IntArray:
    """ICU length of stay in seconds: log-normal, longer when ill, and longer for newborns."""
    log_days = np.log(2.3) + 0.2 * traits.severity + 0.85 * rng.standard_normal(traits.age_years.size)
    log_days += np.where(dies, 0.1, 0.0) + np.where(traits.newborn, 0.7, 0.0)
    return np.asarray(np.clip(np.exp(log_days), 0.12, 75.0) * DAY_S).astype(np.int64)


def _minutes(minutes: FloatArray) -> IntArray:
    """Whole minutes, in seconds."""
    return minutes.astype(np.int64) * MINUTE_S


def round_to(values: FloatArray, decimals: int) -> FloatArray:
    """`values` at their recording precision."""
    rounded: FloatArray = np.round(values, decimals)
    return rounded


def to_datetime(seconds: IntArray, known: BoolArray | None = None) -> pl.Series:
    """Seconds since 1970 as datetimes; NULL where `known` is False."""
    series = pl.Series(seconds * 1_000_000).cast(pl.Datetime("us"))
    if known is None:
        return series
    return pl.select(pl.when(pl.lit(pl.Series(known))).then(pl.lit(series)).otherwise(None)).to_series()


def null_where(null: BoolArray, ids: IntArray) -> pl.Series:
    """Ids, with NULL where `null`."""
    return pl.Series(np.where(null, np.nan, ids), nan_to_null=True).cast(pl.Int64)


def random_in_order(first_rng: np.random.Generator, rng: np.random.Generator, first: BoolArray) -> FloatArray:
    """A uniform number for each row: in their order from `first_rng` where `first`, from `rng` elsewhere.

    So rows that a second stream adds leave the numbers of the others as they are.
    """
    numbers = np.empty(first.size)
    numbers[first] = first_rng.random(np.count_nonzero(first))
    numbers[~first] = rng.random(np.count_nonzero(~first))
    return numbers
