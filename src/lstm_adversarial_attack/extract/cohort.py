"""Who is in the study: named rules, applied one after the other, with a count after each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from lstm_adversarial_attack.artifacts.contents import CohortStep
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import STAYS, typed
from lstm_adversarial_attack.settings import ExtractSettings

#: Ages above 89 are hidden in MIMIC-III behind a date of birth 300 years back; their median is 91.4.
HIDDEN_AGE_YEARS = 91
#: Name of a rule on every cohort of admissions and on no other.
_FIRST_STAY = "first_stay"


@dataclass(frozen=True)
class Rule:
    """A rule of the cohort: its name, what it asks, the option that sets it, and its test of a stay."""

    name: str
    description: str
    option: str
    keep: pl.Expr
    told_if_idle: bool = True  # whether it is told of when it leaves nobody out


def stay_rules(settings: ExtractSettings) -> tuple[Rule, ...]:
    """Return the rules that look at a stay alone, in order."""
    linked = Rule("linked", "with an admission and a patient", "--source", pl.col("linked") == 1, told_if_idle=False)
    outcome = Rule("outcome", "with a known outcome", "--source", pl.col("label").is_not_null(), told_if_idle=False)
    adult = Rule(
        "adult",
        f"aged {settings.min_age_years} years or more at ICU admission",
        "--min-age-years",
        pl.col("age_years") >= settings.min_age_years,
    )
    if settings.sample == "admission":
        return linked, outcome, *_admission_rules(adult)
    whole_window = Rule(
        "whole_window",
        f"in the ICU for {settings.window_hours} hours or more",
        "--window-hours",
        pl.col("los_hours") >= settings.window_hours,
    )
    return linked, outcome, adult, whole_window


def sample_of(flow: Iterable[CohortStep]) -> str:
    """Return what a sample of the cohort is (`ExtractSettings.sample`), as the rules tell that made it."""
    return "admission" if any(step.rule == _FIRST_STAY for step in flow) else "icu-stay"


def _admission_rules(adult: Rule) -> tuple[Rule, ...]:
    """Return the rules of the published reference system, which takes hospital admissions."""
    day = (pl.col("los_hours") >= 24) & (pl.col("hospital_los_hours") >= 24)
    return (
        Rule("charted", "with charted events in the hospital admission", "--sample", pl.col("charted") == 1),
        Rule(_FIRST_STAY, "the first of the hospital admission", "--sample", pl.col("stay_number") == 1),
        adult,
        Rule("whole_day", "a day or more in the hospital and in the ICU", "--sample", day),
    )


def check_stays(stays: pl.DataFrame) -> None:
    """See that a source's stays are stays.

    Args:
        stays: `sources.RAW_STAYS`.

    Raises:
        UserError: a stay is there twice, or an outcome is neither 0 nor 1.
    """
    twice = stays.height - stays["stay_id"].n_unique()
    if twice:
        raise UserError(
            f"the source: {twice} of {stays.height} ICU stays are there more than once; see that no row of ICUSTAYS, "
            "ADMISSIONS and PATIENTS stands twice"
        )
    strange = stays.filter(~pl.col("label").is_in([0, 1])).height
    if strange:
        raise UserError(
            f"the source: {strange} of {stays.height} ICU stays have a hospital_expire_flag that is neither 0 nor 1"
        )


def apply_rules(stays: pl.DataFrame, rules: Iterable[Rule]) -> tuple[pl.DataFrame, list[CohortStep]]:
    """Keep the stays that pass every rule, and count after each.

    Raises:
        UserError: no stay is left after a rule; the message names the rule and its option.
    """
    steps = [_count("all", "ICU stays", stays)]
    if stays.is_empty():
        raise UserError("the source holds no ICU stay; give one with MIMIC-III tables that are not empty")
    for rule in rules:
        before, stays = stays.height, stays.filter(rule.keep)
        if stays.height == before and not rule.told_if_idle:
            continue
        steps.append(_count(rule.name, rule.description, stays))
        if stays.is_empty():
            raise UserError(
                f"cohort rule {rule.name!r} ({rule.description}) leaves none of {steps[-2].stays} stays; "
                f"change {rule.option} or give a larger source"
            )
    return stays, steps


def tidy(stays: pl.DataFrame) -> pl.DataFrame:
    """Return raw stays as `frames.STAYS`: ages in whole years with hidden ones at 91, ordered by stay."""
    age = pl.col("age_years")
    aged = stays.with_columns(
        age_years=pl.when(age > 89).then(HIDDEN_AGE_YEARS).otherwise(age),
        charting_system=pl.col("charting_system").str.to_lowercase(),
    )
    return typed(aged, STAYS).sort("stay_id")


def hourly_rows_rule(hours: int, counts: pl.DataFrame) -> Rule:
    """Return the reference system's rule that the values of an admission reach over the whole window.

    It asks for a row for every hour in its table from the first to the last hour with a value; here hours count
    from ICU admission, there by the clock. ``counts`` is of `spool.Spool.counts`.
    """
    reaching = counts.filter((pl.col("first_minute") < 60) & (pl.col("last_minute") >= 60 * (hours - 1)))["stay_id"]
    return Rule(
        "hourly_rows",
        f"with values from hour 1 or before to hour {hours} or after",
        "--window-hours",
        pl.col("stay_id").is_in(reaching.implode()),
    )


def min_measurements_rule(settings: ExtractSettings, counts: pl.DataFrame) -> Rule:
    """Return the rule on the number of accepted values; ``counts`` is of `spool.Spool.counts`."""
    minimum = settings.min_measurements
    where = "of the admission" if settings.sample == "admission" else "inside the window"
    enough = counts.filter(pl.col("values") >= minimum)["stay_id"]
    return Rule(
        "min_measurements",
        f"{minimum} or more accepted values {where}",
        "--min-measurements",
        pl.col("stay_id").is_in(enough.implode()),
    )


def _count(rule: str, description: str, stays: pl.DataFrame) -> CohortStep:
    return CohortStep(
        rule=rule,
        description=description,
        stays=stays.height,
        patients=stays["subject_id"].n_unique(),
        deaths=int(stays["label"].sum()),
    )
