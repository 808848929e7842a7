"""From a source to stays and measurements in the catalogue's units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lstm_adversarial_attack.artifacts.contents import Access, CohortStep, ItemValues, ValueCount
from lstm_adversarial_attack.catalogue import FeatureSet, Table
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.extract.access import access_of
from lstm_adversarial_attack.extract.cohort import (
    Rule,
    apply_rules,
    check_stays,
    hourly_rows_rule,
    min_measurements_rule,
    stay_rules,
    tidy,
)
from lstm_adversarial_attack.extract.convert import Converter, by_feature
from lstm_adversarial_attack.extract.spool import Spool
from lstm_adversarial_attack.frames import MEASUREMENTS, with_features
from lstm_adversarial_attack.settings import ExtractSettings
from lstm_adversarial_attack.sources import EventSource


@dataclass(frozen=True)
class Events:
    """Stays (`frames.STAYS`), what was measured in them, and what was left out on the way.

    The measurements themselves stand in a file. ``features`` is the part of the feature set that the source
    can provide; ``left_out`` names the others.
    """

    stays: pl.DataFrame
    measurements: int
    features: FeatureSet
    left_out: list[str]
    cohort_flow: list[CohortStep]
    values: dict[str, ValueCount]
    items: list[ItemValues]
    access: Access


def extract(
    source: EventSource,
    features: FeatureSet,
    settings: ExtractSettings,
    target: Path,
    spool: Path,
    on_step: Callable[[str], None] = lambda _: None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> Events:
    """Read the cohort from ``source``, and write its measurements (`frames.MEASUREMENTS`) to ``target``.

    Memory does not grow with the number of values: they are sorted in files of the folder ``spool``, which is
    gone afterwards. ``on_step`` is called with a word on what comes next, ``on_rows`` with the number of values
    of this step that have come.

    Raises:
        UserError: a cohort rule leaves no stay, the source has none of the features, or it cannot be read.
    """
    wanted, features = features, features.within(source.tables)
    left_out = [name for name in wanted.recorded_names if name not in features.recorded_names]
    if not features.features:
        raise UserError(f"feature set {wanted.name!r}: the source has none of its features; choose another --features")
    on_step("stays")
    found = source.stays()
    check_stays(found)
    stays, flow = apply_rules(found, stay_rules(settings))
    schema = with_features(MEASUREMENTS, features.recorded_names)
    items: list[ItemValues] = []
    with Spool(spool, stays["stay_id"], schema) as measurements:
        for table in _tables(features):
            on_step(table)
            converter = Converter(table, features.recorded)
            for raw in source.values(
                table,
                stay_ids=stays["stay_id"].sort().to_list(),
                items=sorted(converter.items, key=str),
                window_hours=settings.window_hours,
                reach="admission" if settings.sample == "admission" else "window",
            ):
                measurements.add(converter.convert(raw))
                on_rows(converter.read)
            items += converter.tally()
        on_step("sorting")
        stays, more = apply_rules(stays, _rules_on_values(measurements.counts(), settings))
        written = measurements.write(target, stays["stay_id"])
    values = by_feature(items, features.recorded_names)
    return Events(
        tidy(stays), written, features, left_out, flow + more[1:], values, items, access_of(source.name, found)
    )


def _rules_on_values(counts: pl.DataFrame, settings: ExtractSettings) -> list[Rule]:
    rules = []
    if settings.sample == "admission":
        rules.append(hourly_rows_rule(settings.window_hours, counts))
    if settings.min_measurements:
        rules.append(min_measurements_rule(settings, counts))
    return rules


def _tables(features: FeatureSet) -> list[Table]:
    return sorted({source.table for feature in features.recorded for source in feature.measurement.sources})
