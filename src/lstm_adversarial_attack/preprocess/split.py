"""Which patient belongs to which split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts.contents import CohortStep
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import SAMPLES, SPLITS, conform
from lstm_adversarial_attack.preprocess.split_file import named_samples
from lstm_adversarial_attack.settings import PreprocessSettings


def split_stays(stays: pl.DataFrame, settings: PreprocessSettings) -> tuple[pl.DataFrame, list[CohortStep]]:
    """Return the samples (`frames.SAMPLES`), and what a split file has left of them as a step of the cohort flow.

    Args:
        stays: `frames.STAYS`.
        settings: the split's shares and seed, or its file.

    Raises:
        UserError: a split lacks one class, there are fewer patients than splits, or the split file is wrong.
    """
    if not settings.split_file:
        split = patient_splits(
            stays["subject_id"].to_numpy(),
            validation_share=settings.validation_share,
            test_share=settings.test_share,
            seed=settings.seed,
        )
        named = pl.Series("split", np.array(SPLITS)[split], dtype=pl.Enum(SPLITS))
        samples = conform(stays.with_columns(named), SAMPLES)
        check_splits(samples)
        return samples, []
    samples = named_samples(stays, settings.split_file)
    check_splits(samples, remedy="give another split file")
    count = (len(samples), samples["subject_id"].n_unique(), int(samples["label"].sum()))
    return samples, [CohortStep("split_file", "named in the split file", *count)]


def patient_splits(
    subject_ids: npt.NDArray[np.int64], *, validation_share: float, test_share: float, seed: int
) -> npt.NDArray[np.int8]:
    """Return the split of each patient as an index into `frames.SPLITS`.

    Each patient draws a number that depends on the seed and the patient's id alone, so that adding patients
    moves nobody from one split to another, and all stays of a patient fall together.

    Raises:
        UserError: the shares leave no training patients.
    """
    if validation_share + test_share >= 1:
        raise UserError(
            f"--validation-share {validation_share} and --test-share {test_share} leave no training patients; "
            "give shares that add up to less than 1"
        )
    draw = _uniform(subject_ids.astype(np.uint64), seed)
    split = np.zeros(len(subject_ids), np.int8)
    split[draw < test_share + validation_share] = SPLITS.index("validation")
    split[draw < test_share] = SPLITS.index("test")
    return split


def _uniform(keys: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.float64]:
    """Hash keys to numbers in [0, 1) by two rounds of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        mixed = _splitmix(keys ^ _splitmix(np.array([seed], np.uint64)))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _splitmix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def check_splits(
    samples: pl.DataFrame, *, remedy: str = "give a larger source, or other shares or another --seed of preprocess"
) -> None:
    """See that every split can be learned from or judged on.

    Args:
        samples: `frames.SAMPLES`.
        remedy: what to do where a split lacks one class.

    Raises:
        UserError: fewer patients than splits, or a split without both survivors and deaths.
    """
    patients = samples["subject_id"].n_unique()
    if patients < len(SPLITS):
        raise UserError(
            f"{patients} patients cannot be split into {len(SPLITS)} parts ({', '.join(SPLITS)}); "
            "give a larger source or relax the cohort rules"
        )
    for split in SPLITS:
        labels = samples.filter(pl.col("split") == split)["label"]
        deaths = int(labels.sum())
        if deaths in (0, len(labels)):
            raise UserError(
                f"the {split} split has {len(labels)} samples and {deaths} deaths, so it lacks one class; {remedy}"
            )
