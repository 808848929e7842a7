"""The artifact layer of ``extract``: a source in, an ``events`` artifact out."""

from __future__ import annotations

from typing import Any

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.artifacts.contents import Extraction
from lstm_adversarial_attack.catalogue import FeatureSet, load_catalogue
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.extract.core import extract
from lstm_adversarial_attack.frames import MEASUREMENTS, STAYS, with_features
from lstm_adversarial_attack.settings import ExtractSettings, as_manifest
from lstm_adversarial_attack.stage import Context, Stage


def feature_set(settings: ExtractSettings) -> FeatureSet:
    """Return the feature set that the settings name."""
    return load_catalogue(settings.catalogue or None).feature_set(settings.features)


def identity(settings: ExtractSettings) -> dict[str, Any]:
    """Return the settings with the content of the feature set in place of the catalogue's path."""
    plain = as_manifest(settings)
    plain["catalogue"] = digest_of(feature_set(settings))
    return plain


def run(context: Context) -> None:
    """Extract from ``context.source``."""
    if context.source is None:
        raise UserError("stage extract: no --source given")
    settings: ExtractSettings = context.settings
    features = feature_set(settings)
    events = extract(context.source, features, settings, context.progress.start)
    for step in events.cohort_flow:
        context.progress.say(
            f"{step.stays:>8,} stays, {step.patients:,} patients, {step.deaths:,} died: {step.description}"
        )
    draft = context.draft
    draft.write_frame("stays.parquet", events.stays, STAYS)
    draft.write_frame("measurements.parquet", events.measurements, with_features(MEASUREMENTS, features.names))
    draft.write_json("features.json", features)
    draft.write_json("extraction.json", Extraction(settings.window_hours, events.cohort_flow, events.values))


STAGE = Stage(name="extract", makes="events", takes=(), run=run, identity=identity)
