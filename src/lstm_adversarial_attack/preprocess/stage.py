"""The artifact layer of ``preprocess``: ``events`` in, a ``dataset`` out."""

from __future__ import annotations

import polars as pl
from safetensors.numpy import save_file

from lstm_adversarial_attack.artifacts.contents import Extraction
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.frames import MEASUREMENTS, SAMPLES, SPLITS, STAYS, with_features
from lstm_adversarial_attack.preprocess.core import preprocess
from lstm_adversarial_attack.stage import Context, Stage


def run(context: Context) -> None:
    """Preprocess the events."""
    events = context.inputs["events"]
    features = events.json("features.json", FeatureSet)
    extraction = events.json("extraction.json", Extraction)
    stays = events.frame("stays.parquet", STAYS)
    measurements = events.frame("measurements.parquet", with_features(MEASUREMENTS, features.names))
    context.progress.start(f"{len(stays):,} stays, {len(measurements):,} values")
    dataset = preprocess(stays, measurements, features.features, context.settings, hours=extraction.window_hours)
    for split in SPLITS:
        part = dataset.samples.filter(pl.col("split") == split)
        context.progress.say(
            f"{len(part):>8,} samples, {part['subject_id'].n_unique():,} patients, "
            f"{part['label'].sum():,} died: {split}"
        )
    draft = context.draft
    tensors = {
        "values": dataset.values,
        "observed": dataset.observed,
        "last_observed": dataset.last_observed,
    }
    save_file(tensors, draft.path / "tensors.safetensors")
    draft.write_frame("samples.parquet", dataset.samples, SAMPLES)
    draft.write_json("scaling.json", dataset.scaling)
    draft.write_json("features.json", features)
    draft.write_json("cohort_flow.json", extraction.cohort_flow)


STAGE = Stage(name="preprocess", makes="dataset", takes=("events",), run=run)
