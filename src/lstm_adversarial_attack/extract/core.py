"""From a source to stays and measurements in the catalogue's units, as a pure function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from msgspec.structs import asdict

from lstm_adversarial_attack.artifacts.contents import CohortStep, ValueCount
from lstm_adversarial_attack.catalogue import FeatureSet, Source, Table
from lstm_adversarial_attack.extract.cohort import apply_rules, min_measurements_rule, stay_rules, tidy
from lstm_adversarial_attack.frames import MEASUREMENTS, conform, with_features
from lstm_adversarial_attack.settings import ExtractSettings
from lstm_adversarial_attack.sources import EventSource

_NUMBERS = ("add", "multiply", "gt", "ge", "lt", "le")
_RULES = {"itemid": pl.Int32, "feature": pl.String, **dict.fromkeys(_NUMBERS, pl.Float64)}


@dataclass(frozen=True)
class Events:
    """Stays (`frames.STAYS`), measurements (`frames.MEASUREMENTS`) and what was left out on the way."""

    stays: pl.DataFrame
    measurements: pl.DataFrame
    cohort_flow: list[CohortStep]
    values: dict[str, ValueCount]


def extract(
    source: EventSource,
    features: FeatureSet,
    settings: ExtractSettings,
    on_step: Callable[[str], None] = lambda _: None,
) -> Events:
    """Read the cohort and its measurements from ``source``.

    ``on_step`` is called with a word on what comes next.

    Raises:
        UserError: a cohort rule leaves no stay, or the source cannot be read.
    """
    on_step("stays")
    rules = stay_rules(min_age_years=settings.min_age_years, window_hours=settings.window_hours)
    stays, flow = apply_rules(source.stays(), rules)
    tables = [_read_table(source, table, features, stays, settings, on_step) for table in _tables(features)]
    measurements = pl.concat([frame for frame, _ in tables])
    values = {name: count for _, counts in tables for name, count in counts.items()}
    if settings.min_measurements:
        counts = measurements.group_by("stay_id").agg(values=pl.len())
        stays, more = apply_rules(stays, [min_measurements_rule(settings.min_measurements, counts)])
        flow += more[1:]
        measurements = measurements.join(stays.select("stay_id"), on="stay_id", how="semi")
    schema = with_features(MEASUREMENTS, features.names)
    measurements = measurements.cast({"feature": schema["feature"]}).sort(list(schema))
    return Events(tidy(stays), conform(measurements, schema), flow, {n: values[n] for n in features.names})


def _tables(features: FeatureSet) -> list[Table]:
    return sorted({source.table for feature in features.features for source in feature.measurement.sources})


def _read_table(
    source: EventSource,
    table: Table,
    features: FeatureSet,
    stays: pl.DataFrame,
    settings: ExtractSettings,
    on_step: Callable[[str], None],
) -> tuple[pl.DataFrame, dict[str, ValueCount]]:
    """Read one table and return its accepted values with the counts of each feature."""
    on_step(table)
    wanted = [
        (feature.name, entry)
        for feature in features.features
        for entry in feature.measurement.sources
        if entry.table == table
    ]
    raw = source.values(
        table,
        stay_ids=stays["stay_id"].sort().to_list(),
        item_ids=sorted(item for _, entry in wanted for item in entry.items),
        window_hours=settings.window_hours,
    )
    converted = convert(raw, wanted)
    counts = converted.group_by("feature").agg(read=pl.len(), accepted=pl.col("accepted").sum())
    found = {name: ValueCount(read, accepted) for name, read, accepted in counts.iter_rows()}
    accepted = converted.filter("accepted").drop("accepted")
    return accepted, {name: found.get(name, ValueCount(0, 0)) for name, _ in wanted}


def convert(raw: pl.DataFrame, wanted: list[tuple[str, Source]]) -> pl.DataFrame:
    """Turn items into features: name, acceptance by the item's limits, conversion to the feature's unit.

    Args:
        raw: `sources.RAW_VALUES`.
        wanted: feature names with a source each; no item occurs twice.

    Returns:
        stay_id, minute, feature (string), value (in the feature's unit), accepted.
    """
    rules = pl.DataFrame(
        [
            {"itemid": item, "feature": name, **asdict(entry.conversion), **asdict(entry.accepted)}
            for name, entry in wanted
            for item in entry.items
        ],
        schema=_RULES,
    )
    value = pl.col("value")
    return raw.join(rules, on="itemid", how="inner").select(
        "stay_id",
        "minute",
        "feature",
        value=(value + pl.col("add")) * pl.col("multiply"),
        accepted=pl.all_horizontal(
            value.is_finite(),
            (value > pl.col("gt")).fill_null(True),
            (value >= pl.col("ge")).fill_null(True),
            (value < pl.col("lt")).fill_null(True),
            (value <= pl.col("le")).fill_null(True),
        ),
    )
