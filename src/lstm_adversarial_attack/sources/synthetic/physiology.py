"""The bodies behind the charts: one row per stay and hour, one array per physiological signal.

A common severity with a course in time moves five organ systems, each with a share of its own; the organs
move the signals. Every signal also has the patient's own baseline and autocorrelated noise, so that no
single reading tells the outcome. Units are those of the feature table (mmHg, bpm, deg C, mEq/L, mg/dL,
...).

Only elementwise arithmetic is used (no BLAS), so that the numbers do not depend on threads or machine.
"""

from dataclasses import dataclass

import numpy as np

from .cohort import HOUR_S, NOT_DEAD_S, Block, BoolArray, FloatArray, IntArray, Organ

MAX_CHARTED_HOURS = 240
SEVERITY_SD_SHARE = 0.85  # weight of the common severity in each organ system
ORGAN_SD_SHARE = 0.6  # weight of the organ's own share


@dataclass(frozen=True)
class Course:
    """Signals and failing organs of a block on the hours its stays are charted, all of shape [stay-hour].

    `stay` is the row's stay within the block, `hour` the hour since ICU admission; the rows of a stay are
    consecutive and start at `first_row[stay]`.
    """

    stay: IntArray
    hour: IntArray
    first_row: IntArray
    severity: FloatArray
    organs: dict[Organ, FloatArray]
    signals: dict[str, FloatArray]

    def rows_at(self, stay: IntArray, hour: IntArray) -> IntArray:
        """The row of each (stay, hour), with hours outside the charted ones moved to the nearest."""
        hours = np.diff(np.append(self.first_row, self.stay.size))
        return self.first_row[stay] + np.clip(hour, 0, hours[stay] - 1)


class Noise:
    """Draws of per-stay baselines and of autocorrelated noise on the rows of a block."""

    def __init__(self, rng: np.random.Generator, stay: IntArray, hour: IntArray, stays: int) -> None:
        self._rng = rng
        self._stay = stay
        self._hour = hour
        self._stays = stays

    def baseline(self, sd: float) -> FloatArray:
        """One normal value per stay, on its rows."""
        return (sd * self._rng.standard_normal(self._stays))[self._stay]

    def drift(self, sd: float, tau_hours: float) -> FloatArray:
        """A stationary Ornstein-Uhlenbeck process with standard deviation `sd`, sampled hourly.

        y[t] = phi * y[t-1] + e[t] with phi = exp(-1 / tau), summed by doubling: after step k each row holds
        the terms of the last 2^k hours.
        """
        phi = float(np.exp(-1.0 / tau_hours))
        values = self._rng.standard_normal(self._stay.size)
        values *= np.where(self._hour == 0, sd, sd * float(np.sqrt(1.0 - phi * phi)))
        shift = 1
        while shift < MAX_CHARTED_HOURS and phi**shift > 1e-4:
            earlier = np.zeros_like(values)
            earlier[shift:] = values[:-shift]
            values = values + phi**shift * np.where(self._hour >= shift, earlier, 0.0)
            shift *= 2
        return values


def simulate(rng: np.random.Generator, block: Block) -> Course:
    """Simulate every signal of a block over its charted hours."""
    charted_s = np.minimum(block.times.icu_out, block.times.death) - block.times.icu_in
    hours = np.clip(-(-charted_s // HOUR_S), 1, MAX_CHARTED_HOURS)
    stay = np.repeat(np.arange(block.size), hours)
    first_row = np.cumsum(hours) - hours
    hour = np.arange(stay.size) - first_row[stay]
    noise = Noise(rng, stay, hour, block.size)
    severity = _severity(noise, block, stay, hour)
    organs = _organs(noise, block, stay, severity)
    clock = ((block.times.icu_in // HOUR_S)[stay] + hour) % 24
    signals = _vital_signs(noise, block, stay, organs, clock)
    signals |= _chemistry(noise, block, stay, organs)
    signals |= _blood_gases(noise, block, stay, organs, signals["bicarbonate"])
    signals |= _bedside(noise, block, stay, organs, signals)
    return Course(stay, hour, first_row, severity, organs, _as_newborns(signals, block.traits.newborn[stay]))


def _severity(noise: Noise, block: Block, stay: IntArray, hour: IntArray) -> FloatArray:
    """Common severity: its start, where the decline takes it, ups and downs, and the last hours of a life."""
    traits, times = block.traits, block.times
    turned = 1.0 - np.exp(-hour / 30.0)
    course = traits.severity[stay] + (0.95 * traits.decline[stay] - 0.25) * turned
    to_death_s = np.where(times.death < NOT_DEAD_S, times.death - times.icu_in, 2_000 * HOUR_S)
    hours_left = np.maximum(to_death_s[stay] / HOUR_S - hour, 0.0)
    return np.asarray(course + noise.drift(0.45, 9.0) + 1.3 * np.exp(-hours_left / 9.0))


def _organs(noise: Noise, block: Block, stay: IntArray, severity: FloatArray) -> dict[Organ, FloatArray]:
    """Failure of each organ system; shock and lungs move within hours, kidneys and blood within days."""

    def organ(name: Organ, sd: float, tau_hours: float) -> FloatArray:
        own = block.traits.organ(name)[stay]
        return SEVERITY_SD_SHARE * severity + ORGAN_SD_SHARE * own + noise.drift(sd, tau_hours)

    return {
        "shock": organ("shock", 0.45, 5.0),
        "resp": organ("resp", 0.45, 6.0),
        "renal": organ("renal", 0.3, 40.0),
        "blood": organ("blood", 0.3, 60.0),
        "neuro": organ("neuro", 0.4, 12.0),
    }


def _vital_signs(
    noise: Noise, block: Block, stay: IntArray, organs: dict[Organ, FloatArray], clock: IntArray
) -> dict[str, FloatArray]:
    """Monitor signals. Pressors hide part of a shock in the pressure, not in the heart rate."""
    traits = block.traits
    shock, resp = organs["shock"], organs["resp"]
    afternoon = np.cos((clock - 16) * (np.pi / 12.0))
    fever = noise.baseline(0.35) + noise.drift(0.35, 10.0)
    temperature = 36.95 + fever + 0.15 * afternoon - 0.25 * np.maximum(shock - 1.5, 0.0)
    sysbp = 121.0 + 10.0 * traits.hypertension[stay] + noise.baseline(13.0) + noise.drift(9.0, 4.0)
    sysbp += 3.0 * afternoon - 5.5 * shock - 3.5 * np.maximum(shock - 1.0, 0.0)
    sysbp = np.maximum(sysbp, 45.0)
    gap_share = np.clip(0.48 + noise.baseline(0.06) + noise.drift(0.03, 5.0), 0.25, 0.7)
    diasbp = sysbp * (1.0 - gap_share)
    heart_rate = 83.0 + noise.baseline(12.0) + noise.drift(6.5, 4.0) + 2.0 * afternoon
    heart_rate += 5.0 * shock + 2.0 * resp + 6.0 * fever + 8.0 * traits.atrial_fibrillation[stay]
    resp_rate = 18.5 + noise.baseline(2.8) + noise.drift(2.0, 3.0) + 2.1 * resp
    desaturation = 1.5 * np.maximum(noise.drift(1.0, 2.0) - 1.5, 0.0) ** 2
    spo2 = 97.7 - desaturation + noise.baseline(1.1) + noise.drift(0.9, 4.0) - 0.9 * np.maximum(resp, -0.5)
    return {
        "heart_rate": np.clip(heart_rate, 25.0, 210.0),
        "sysbp": sysbp,
        "diasbp": diasbp,
        "meanbp": (sysbp + 2.0 * diasbp) / 3.0,
        "temperature": np.clip(temperature, 30.0, 42.0),
        "temperature_f": np.clip(temperature, 30.0, 42.0) * 1.8 + 32.0,
        "resp_rate": np.clip(resp_rate, 4.0, 58.0),
        "spo2": np.minimum(spo2 - 1.6 * traits.lung_disease[stay], 100.0),
    }


def _chemistry(noise: Noise, block: Block, stay: IntArray, organs: dict[Organ, FloatArray]) -> dict[str, FloatArray]:
    """Slow blood values: kidneys (BUN, creatinine, potassium), acid-base, cells, sugar."""
    traits = block.traits
    shock, renal, blood = organs["shock"], organs["renal"], organs["blood"]
    failing = traits.renal_disease[stay] * 1.0
    older = (traits.age_years[stay] - 64.0) / 16.0
    creatinine = -0.05 + 0.95 * failing + 0.3 * renal + noise.baseline(0.28) + noise.drift(0.1, 30.0)
    bun = 2.9 + 0.6 * failing + 0.31 * renal + 0.14 * older + noise.baseline(0.3) + noise.drift(0.1, 30.0)
    potassium = 4.05 + 0.14 * renal + 0.25 * failing + noise.baseline(0.3) + noise.drift(0.3, 12.0)
    bicarbonate = 24.8 - 1.1 * shock - 0.7 * renal - 1.0 * failing + 2.5 * traits.lung_disease[stay]
    bicarbonate += noise.baseline(2.6) + noise.drift(1.2, 15.0)
    glucose = 4.82 + 0.25 * traits.diabetes[stay] + 0.04 * shock + noise.baseline(0.14) + noise.drift(0.2, 8.0)
    calcium = 1.13 - 0.018 * shock + noise.baseline(0.05) + noise.drift(0.03, 12.0)
    albumin = 3.2 - 0.14 * blood - 0.08 * shock + noise.baseline(0.45) + noise.drift(0.1, 60.0)
    return {
        "creatinine": np.clip(np.exp(creatinine), 0.1, 18.0),
        "bun": np.clip(np.exp(bun), 2.0, 240.0),
        "potassium": np.clip(potassium, 1.8, 8.8),
        "sodium": np.clip(138.5 + noise.baseline(3.6) + noise.drift(1.6, 30.0), 112.0, 172.0),
        "bicarbonate": np.clip(bicarbonate, 4.0, 48.0),
        "platelet": np.clip(np.exp(5.3 - 0.15 * blood + noise.baseline(0.42) + noise.drift(0.1, 40.0)), 6.0, 1_400.0),
        "glucose": np.clip(np.exp(glucose), 22.0, 900.0),
        "magnesium": np.clip(2.0 + 0.06 * renal + noise.baseline(0.18) + noise.drift(0.18, 15.0), 0.7, 6.0),
        "calcium": np.clip(calcium, 0.6, 1.9),
        "total_calcium": np.clip(7.4 * calcium + 0.02 * noise.baseline(10.0), 4.5, 15.0),
        "albumin": np.clip(albumin, 0.9, 5.6),
        "wbc": np.clip(np.exp(2.35 + 0.08 * shock + noise.baseline(0.4) + noise.drift(0.15, 24.0)), 0.2, 90.0),
        "hematocrit": np.clip(30.5 - 0.7 * blood + noise.baseline(4.0) + noise.drift(1.2, 24.0), 14.0, 58.0),
    }


def _blood_gases(
    noise: Noise, block: Block, stay: IntArray, organs: dict[Organ, FloatArray], bicarbonate: FloatArray
) -> dict[str, FloatArray]:
    """Gases; pH from bicarbonate and pCO2 (Henderson-Hasselbalch: 6.1 + log10(HCO3 / (0.0307 pCO2)))."""
    shock, resp = organs["shock"], organs["resp"]
    pco2 = 40.0 + 7.0 * block.traits.lung_disease[stay] + 2.6 * resp + 0.7 * (bicarbonate - 24.8)
    pco2 = np.clip(pco2 + noise.baseline(4.5) + noise.drift(3.5, 6.0), 14.0, 135.0)
    lactate = 0.45 + 0.3 * shock + noise.baseline(0.32) + noise.drift(0.18, 8.0)
    return {
        "pco2": pco2,
        "ph": np.clip(6.1 + np.log10(bicarbonate / (0.0307 * pco2)), 6.7, 7.75),
        "lactate": np.clip(np.exp(lactate), 0.3, 28.0),
        "po2": np.clip(118.0 - 9.0 * resp + noise.baseline(25.0) + noise.drift(22.0, 5.0), 28.0, 480.0),
    }


def _bedside(
    noise: Noise,
    block: Block,
    stay: IntArray,
    organs: dict[Organ, FloatArray],
    signals: dict[str, FloatArray],
) -> dict[str, FloatArray]:
    """Signals that are not features: consciousness (codes from 1), rhythm (code from 1), oxygen, weight."""
    awake = 1.4 - 0.8 * organs["neuro"] + noise.baseline(0.5)
    eye = np.clip(np.rint(3.2 + 0.6 * awake), 1, 4)
    verbal = np.clip(np.rint(3.4 + 1.1 * awake), 1, 5)
    motor = np.clip(np.rint(5.0 + 0.8 * awake), 1, 6)
    fio2 = np.clip(45.0 + 7.0 * organs["resp"] + noise.baseline(8.0), 21.0, 100.0)
    fibrillating = block.traits.atrial_fibrillation[stay]
    weight = np.maximum(79.0 + noise.baseline(17.0), 38.0) + noise.drift(1.0, 60.0)
    return {
        "gcs_eye": eye,
        "gcs_verbal": verbal,
        "gcs_motor": motor,
        "gcs_total": eye + verbal + motor,
        "rhythm": np.where(fibrillating, 3.0, np.where(signals["heart_rate"] > 100.0, 2.0, 1.0)),
        "fio2_percent": np.maximum(np.rint(fio2 / 5.0) * 5.0, 21.0),
        "fio2_fraction": np.maximum(np.rint(fio2 / 5.0) * 0.05, 0.21),
        "weight_kg": weight,
    }


def _as_newborns(signals: dict[str, FloatArray], newborn: BoolArray) -> dict[str, FloatArray]:
    """Move the vital signs of newborns to where theirs lie (fast heart and breath, low pressure)."""
    shifts = {"heart_rate": 62.0, "resp_rate": 26.0}
    scales = {"sysbp": 0.55, "diasbp": 0.6, "meanbp": 0.58, "weight_kg": 0.035, "creatinine": 0.6}
    moved = dict(signals)
    for name, shift in shifts.items():
        moved[name] = np.where(newborn, signals[name] + shift, signals[name])
    for name, scale in scales.items():
        moved[name] = np.where(newborn, signals[name] * scale, signals[name])
    return moved
