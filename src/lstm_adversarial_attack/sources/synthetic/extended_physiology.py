"""Signals beyond those of `physiology`, on the rows of one of its courses.

They are drawn from a random stream of their own, after all others, so that they leave the others as they are.
"""

from dataclasses import replace

import numpy as np

from .cohort import Block, BoolArray, FloatArray
from .physiology import Course, Noise


def extend(rng: np.random.Generator, block: Block, course: Course) -> Course:
    """`course` with further signals."""
    noise = Noise(rng, course.stay, course.hour, block.size)
    newborn = block.traits.newborn[course.stay]
    signals = {"urine": _urine(noise, block, course, newborn)}
    signals |= _bedside(noise, course, newborn)
    signals |= _red_cells(noise, block, course)
    signals |= _salts(noise, block, course)
    signals |= _liver_and_clotting(noise, block, course)
    signals |= _heart(noise, block, course)
    return replace(course, signals=course.signals | signals)


def _urine(noise: Noise, block: Block, course: Course, newborn: BoolArray) -> FloatArray:
    """Urine of an hour in ml: less in shock and with failing kidneys, and hardly any when they have failed."""
    renal, shock = course.organs["renal"], course.organs["shock"]
    log_ml = 4.2 - 0.2 * course.severity - 0.2 * renal - 0.15 * shock - 0.4 * block.traits.renal_disease[course.stay]
    log_ml += noise.baseline(0.35) + noise.drift(0.5, 4.0) - 1.5 * np.maximum(renal - 2.2, 0.0)
    return np.asarray(np.exp(np.clip(log_ml, -2.0, 7.0)) * np.where(newborn, 0.1, 1.0))


def _bedside(noise: Noise, course: Course, newborn: BoolArray) -> dict[str, FloatArray]:
    """Central venous pressure, the ventilator, and the size of the body."""
    resp, shock = course.organs["resp"], course.organs["shock"]
    peep = 5.2 + 1.5 * np.maximum(resp, 0.0) + noise.baseline(1.6)
    height_cm = np.where(newborn, 50.0, np.clip(169.5 + noise.baseline(9.5), 138.0, 208.0))
    return {
        "cvp": np.clip(9.0 + 0.9 * shock + noise.baseline(3.2) + noise.drift(2.2, 5.0), 0.0, 32.0),
        "peep": np.clip(np.rint(peep / 2.5) * 2.5, 0.0, 22.5).round(),
        "tidal_volume": np.clip(515.0 - 14.0 * resp + noise.baseline(75.0), 120.0, 1_100.0),
        "height_cm": height_cm,
        "height_inches": height_cm / 2.54,
        "weight_pounds": course.signals["weight_kg"] / 0.45359237,
    }


def _red_cells(noise: Noise, block: Block, course: Course) -> dict[str, FloatArray]:
    """Haemoglobin and the indices of the red cells, whose spread in width tells what reserve is left."""
    blood, hematocrit = course.organs["blood"], course.signals["hematocrit"]
    older = (block.traits.age_years[course.stay] - 64.0) / 16.0
    mchc = 33.6 + noise.baseline(0.9)
    mcv = 89.5 + noise.baseline(5.5)
    hemoglobin = hematocrit * mchc / 100.0
    red_cells = hematocrit * 10.0 / mcv
    frail = block.traits.decline[course.stay]
    rdw = np.exp(2.72 + 0.025 * blood + 0.06 * frail + 0.02 * older + noise.baseline(0.09))
    return {
        "hemoglobin": hemoglobin,
        "mchc": mchc,
        "mcv": mcv,
        "mch": hemoglobin * 10.0 / red_cells,
        "red_cells": red_cells,
        "rdw": np.clip(rdw, 11.2, 34.0),
    }


def _salts(noise: Noise, block: Block, course: Course) -> dict[str, FloatArray]:
    """The gap that acids leave, chloride that fills the rest, phosphate, and what the gas machine calculates."""
    signals, shock, renal = course.signals, course.organs["shock"], course.organs["renal"]
    bicarbonate = signals["bicarbonate"]
    failing, frail = block.traits.renal_disease[course.stay], block.traits.decline[course.stay]
    gap = 13.6 + 0.4 * frail + 0.7 * shock + 0.5 * renal + 1.2 * failing + noise.baseline(1.5) + noise.drift(1.0, 15.0)
    gap = np.clip(gap, 4.0, 45.0)
    phosphate = 1.22 + 0.1 * frail + 0.06 * renal + 0.2 * failing + noise.baseline(0.16) + noise.drift(0.13, 20.0)
    return {
        "anion_gap": gap,
        "chloride": np.clip(signals["sodium"] + signals["potassium"] - bicarbonate - gap, 72.0, 140.0),
        "phosphate": np.clip(np.exp(phosphate), 0.6, 16.0),
        "base_excess": 0.93 * (bicarbonate - 24.4 + 14.83 * (signals["ph"] - 7.4)),
        "total_co2": bicarbonate + 0.0307 * signals["pco2"],
    }


def _liver_and_clotting(noise: Noise, block: Block, course: Course) -> dict[str, FloatArray]:
    """Enzymes and bile over orders of magnitude, and the clotting times that a failing liver lengthens."""
    shock, blood = course.organs["shock"], course.organs["blood"]
    frail = block.traits.decline[course.stay]
    cells = noise.baseline(0.9) + 0.2 * shock + 0.25 * frail
    inr = 1.0 + np.exp(-1.0 + 0.35 * frail + 0.12 * blood + 0.1 * shock + noise.baseline(0.55) + noise.drift(0.1, 24.0))
    return {
        "alt": np.clip(np.exp(3.5 + cells + noise.baseline(0.25)), 4.0, 12_000.0),
        "ast": np.clip(np.exp(3.75 + cells + noise.baseline(0.3) + 0.08 * shock), 6.0, 20_000.0),
        "alp": np.clip(np.exp(4.55 + noise.baseline(0.45) + 0.06 * blood + 0.1 * frail), 18.0, 3_000.0),
        "ldh": np.clip(np.exp(5.6 + 0.2 * cells + 0.12 * shock + noise.baseline(0.35)), 70.0, 20_000.0),
        "bilirubin": np.clip(np.exp(-0.25 + 0.4 * frail + 0.2 * blood + noise.baseline(0.75)), 0.1, 50.0),
        "inr": np.clip(inr, 0.9, 20.0),
        "pt": np.clip(3.9 + 8.1 * inr + noise.baseline(0.3), 9.5, 140.0),
        "ptt": np.clip(np.exp(3.5 + 0.05 * blood + noise.baseline(0.26) + noise.drift(0.15, 12.0)), 18.0, 150.0),
        "fibrinogen": np.clip(np.exp(5.6 - 0.1 * blood + noise.baseline(0.45)), 40.0, 1_200.0),
    }


def _heart(noise: Noise, block: Block, course: Course) -> dict[str, FloatArray]:
    """Enzymes of a damaged muscle, and cholesterol."""
    shock = course.organs["shock"]
    damage = noise.baseline(1.2) + 0.25 * shock + 0.3 * block.traits.decline[course.stay]
    damage += 0.4 * block.traits.renal_disease[course.stay]
    return {
        "ck": np.clip(np.exp(4.6 + 0.5 * damage + noise.baseline(0.9)), 10.0, 60_000.0),
        "troponin_t": np.clip(np.exp(-2.8 + damage), 0.0, 28.0),
        "troponin_i": np.clip(np.exp(-0.6 + damage), 0.0, 90.0),
        "cholesterol": np.clip(156.0 - 5.0 * course.organs["blood"] + noise.baseline(38.0), 35.0, 420.0),
    }
