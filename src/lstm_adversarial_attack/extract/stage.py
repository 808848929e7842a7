"""The artifact layer of ``extract``: a source in, an ``events`` artifact out."""

from __future__ import annotations

from typing import Any

from lstm_adversarial_attack.artifacts import digest_of
from lstm_adversarial_attack.artifacts.contents import Extraction
from lstm_adversarial_attack.catalogue import FeatureSet, load_catalogue
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.extract.core import extract
from lstm_adversarial_attack.frames import STAYS
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
    draft, progress = context.draft, context.progress
    events = extract(
        context.source,
        feature_set(settings),
        settings,
        draft.path / "measurements.parquet",
        draft.work / "spool",
        progress.start,
        progress.reach,
    )
    for step in events.cohort_flow:
        progress.say(f"{step.stays:>8,} stays, {step.patients:,} patients, {step.deaths:,} died: {step.description}")
    if events.left_out:
        progress.say(f"left out, because the source does not record them: {', '.join(events.left_out)}")
    for note in context.source.notes:
        progress.say(note)
    draft.write_frame("stays.parquet", events.stays, STAYS)
    draft.rows["measurements"] = events.measurements
    draft.write_json("features.json", events.features)
    draft.write_json(
        "extraction.json",
        Extraction(
            window_hours=settings.window_hours,
            sample=settings.sample,
            source=context.source.name,
            cohort_flow=events.cohort_flow,
            values=events.values,
            items=events.items,
            left_out=events.left_out,
            notes=list(context.source.notes),
            access=events.access,
        ),
    )


STAGE = Stage(name="extract", makes="events", takes=(), run=run, identity=identity, on_device=False)
