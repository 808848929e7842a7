"""The artifact layer of ``preprocess``: ``events`` in, a ``dataset`` out."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import DataSource, Extraction
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import MEASUREMENTS, SAMPLES, SPLITS, STAYS, conform, with_features
from lstm_adversarial_attack.preprocess.card import CardInputs, write_card
from lstm_adversarial_attack.preprocess.card_cells import CellSummary
from lstm_adversarial_attack.preprocess.core import Prepared, Tensors, prepare
from lstm_adversarial_attack.preprocess.parallel import in_order
from lstm_adversarial_attack.preprocess.split import split_stays
from lstm_adversarial_attack.preprocess.split_file import split_file_digest
from lstm_adversarial_attack.preprocess.tensor_file import TensorFile
from lstm_adversarial_attack.progress import StageProgress
from lstm_adversarial_attack.settings import PreprocessSettings, as_manifest
from lstm_adversarial_attack.stage import Context, Stage

#: Samples whose tensors are made at once; a few fit a processor's cache.
_SAMPLES_AT_ONCE = 256


def identity(settings: PreprocessSettings) -> dict[str, Any]:
    """Return the settings with the content of the split file in place of its path."""
    plain = as_manifest(settings)
    plain["split_file"] = split_file_digest(settings.split_file) if settings.split_file else ""
    return plain


def run(context: Context) -> None:
    """Preprocess the events."""
    events, progress, draft = context.inputs["events"], context.progress, context.draft
    features = events.json("features.json", FeatureSet)
    extraction = events.json("extraction.json", Extraction)
    measurements = _measurements(events, features)
    stays = events.frame("stays.parquet", STAYS)
    samples, steps = split_stays(stays, context.settings)
    for step in steps:
        progress.say(f"{step.stays:>8,} of {len(stays):,} samples, {step.patients:,} patients: {step.description}")
    progress.start("samples read", total=len(samples))
    hours = extraction.window_hours
    prepared = prepare(samples, measurements, features, context.settings, hours=hours, on_samples=progress.reach)
    cells = _write_tensors(draft.path / "tensors.safetensors", prepared, progress)
    for split in SPLITS:
        part = samples.filter(pl.col("split") == split)
        progress.say(
            f"{len(part):>8,} samples, {part['subject_id'].n_unique():,} patients, "
            f"{part['label'].sum():,} died: {split}"
        )
    draft.write_frame("samples.parquet", samples, SAMPLES)
    if context.settings.imputation == "forward-fill":  # what was charted is what the attack changes
        shutil.copyfile(events.file("measurements.parquet"), draft.path / "measurements.parquet")
    draft.write_json("scaling.json", prepared.scaling)
    draft.write_json("features.json", features)
    if prepared.static.columns:
        draft.write_json("static.json", prepared.static.columns)
    flow = [*extraction.cohort_flow, *steps]
    draft.write_json("cohort_flow.json", flow)
    draft.write_json("source.json", DataSource(extraction.source, extraction.access))
    card = CardInputs(
        samples, features, extraction, flow, context.settings, prepared.scaling, prepared.static, cells, events.digest
    )
    write_card(draft.path / "card.html", card)


def _measurements(events: Artifact, features: FeatureSet) -> pl.LazyFrame:
    """Return the events' measurements, unread but for the types of their columns."""
    path = events.file("measurements.parquet")
    table = pl.scan_parquet(path)
    try:
        conform(pl.DataFrame(schema=table.collect_schema()), with_features(MEASUREMENTS, features.recorded_names))
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: not the table expected: {error}") from error
    return table


def _write_tensors(path: Path, prepared: Prepared, progress: StageProgress) -> CellSummary:
    """Write the tensors a few hundred samples at a time, and return what the data card says of their cells."""
    shape, static = prepared.window.values.shape, prepared.static
    samples, cells = shape[0], CellSummary(*shape[1:])
    shapes: dict[str, tuple[npt.DTypeLike, tuple[int, ...]]] = {
        "values": (np.float32, shape),
        "observed": (np.bool_, shape),
        "last_observed": (np.int16, shape),
    }
    beside = {"static": static.values, "static_observed": static.observed} if static.columns else {}
    shapes |= {name: (array.dtype, array.shape) for name, array in beside.items()}
    progress.start("samples written", total=samples)
    with TensorFile(path, shapes) as file:
        for name, array in beside.items():
            file.write(name, 0, array)
        parts = [slice(start, min(start + _SAMPLES_AT_ONCE, samples)) for start in range(0, samples, _SAMPLES_AT_ONCE)]
        for part, made in zip(parts, in_order(prepared.tensors, parts), strict=True):
            cells.add(made.values, made.observed)
            for field in fields(Tensors):
                file.write(field.name, part.start, getattr(made, field.name))
            progress.reach(part.stop)
    return cells


STAGE = Stage(name="preprocess", makes="dataset", takes=("events",), run=run, identity=identity, on_device=False)
