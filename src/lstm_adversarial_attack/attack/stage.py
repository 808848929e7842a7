"""The artifact layer of ``attack``: a ``dataset`` and a ``model`` (and ``attack-settings``) in, ``examples`` out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from torch import Tensor

from lstm_adversarial_attack.artifacts.contents import AttackCard, ModelCard, Search
from lstm_adversarial_attack.attack.chunks import Chunk, chunk_size, chunks_of, load, save
from lstm_adversarial_attack.attack.keeper import KINDS, SIZES
from lstm_adversarial_attack.attack.result import AttackResult
from lstm_adversarial_attack.attack.singles import Singles
from lstm_adversarial_attack.attack.tables import Tables, schema_of, summary, write_tables
from lstm_adversarial_attack.attack.target import Target, check_threat, load_target, options_of
from lstm_adversarial_attack.attack.threats import Threat, threat_of
from lstm_adversarial_attack.devices import describe, prepare
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import EXAMPLES, FRONTIER, typed
from lstm_adversarial_attack.progress import StageProgress
from lstm_adversarial_attack.settings import AttackSettings, as_manifest, with_found
from lstm_adversarial_attack.stage import Context, Stage

#: Samples attacked at once under threat model data-entry.
_WITH_SLIPS = 32


def run(context: Context) -> None:
    """Attack the correctly classified samples of a split, or of a shard of it, chunk by chunk."""
    settings: AttackSettings = context.settings
    progress, draft = context.progress, context.draft
    if "attack-settings" in context.inputs:
        search = context.inputs["attack-settings"].json("search.json", Search)
        settings = _with_found(settings, search, progress)
    options_of(settings)  # what is no option of the method, or of the threat model, is told before any work
    check_threat(settings)
    device = prepare(context.execution)
    target = load_target(context.inputs["dataset"], context.inputs["model"], device)
    threat = threat_of(target, settings)
    chosen, predicted = target.chosen(settings.split, settings.max_samples, misclassified=settings.misclassified)
    if len(chosen) == 0:
        raise UserError(
            f"the model classifies no sample of the {settings.split} split correctly, so there is nothing to "
            "attack; train a better model or choose another --split"
        )
    settings = replace(
        settings, chunk_size=chunk_size(settings.chunk_size, lambda: _fitting(target, settings), draft.work)
    )
    chunks = chunks_of(chosen, predicted, settings.chunk_size, settings.shard, draft.work)
    if not chunks:
        progress.say(
            f"{len(chosen)} samples are {-(-len(chosen) // settings.chunk_size)} chunks of {settings.chunk_size}, none "
            f"of them for shard {settings.shard}; with a smaller --chunk-size there are more"
        )
    known = {chunk.file for chunk in chunks if chunk.file.is_file()}
    before = sum(len(chunk.samples) for chunk in chunks if chunk.file in known)
    progress.start("samples", sum(len(chunk.samples) for chunk in chunks), before)
    parts: list[Tables] = []
    seen = turned = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.file not in known):
        if chunk.file in known:
            result, singles = load(chunk.file, device)
        else:
            result = threat.attack(chunk.samples, chunk.predicted)
            singles = threat.singles(chunk.samples, chunk.predicted)
        seen, turned = seen + len(chunk.samples), turned + int(result.success.sum())
        if chunk.file not in known:
            save(result, singles, chunk.file)
            context.checkpoints.put(chunk.file.name)
            progress.reach(seen, f"{100 * turned / seen:.0f} % turned")
        parts.append(_tables(target, threat, chunk, result, singles))
    trained = context.inputs["model"].json("model.json", ModelCard).settings
    card = AttackCard(as_manifest(settings), trained)
    whole = write_tables(draft, parts, target.dataset.features.names, card)
    draft.environment |= {"device": describe(device), "threads": context.execution.threads}
    progress.say(summary(whole))


def _fitting(target: Target, settings: AttackSettings) -> int:
    """Return how many samples to attack at once; few where all slips of theirs are held in memory."""
    return min(target.batch_size(), _WITH_SLIPS) if settings.threat == "data-entry" else target.batch_size()


def _with_found(settings: AttackSettings, search: Search, progress: StageProgress) -> AttackSettings:
    """Return the settings with what a search has found, unless another method than the one it was for is asked for."""
    if settings.threat == "data-entry":
        progress.say("what --attack-settings holds has no use under threat model data-entry")
        return settings
    if search.threat and search.threat != settings.threat:
        progress.say(f"what --attack-settings holds was found under threat model {search.threat}")
    searched = search.best.get("method", settings.method)
    if settings.method not in (searched, AttackSettings().method):
        progress.say(
            f"what --attack-settings holds was found for method {searched} and is not used; method {settings.method} "
            "has its defaults, and what you gave"
        )
        return settings
    if settings.method != searched:
        progress.say(f"method {searched}, for which --attack-settings was found")
    return with_found(settings, search.best)


def _tables(target: Target, threat: Threat, chunk: Chunk, result: AttackResult, singles: Singles | None) -> Tables:
    """Return the rows of a chunk's samples in every table."""
    chosen, predicted = chunk.samples, chunk.predicted
    return {
        "examples.parquet": _examples(target, threat, chosen, predicted, result),
        "frontier.parquet": _frontier(target, chosen, predicted, result),
        "perturbations.parquet": _perturbations(target, chosen, result),
        "singles.parquet": _singles(target, chosen, predicted, singles),
        "edits.parquet": _edits(target, threat, chosen, result),
    }


def _examples(target: Target, threat: Threat, chosen: Tensor, predicted: Tensor, result: AttackResult) -> pl.DataFrame:
    """Return one row for each sample and kind (`frames.EXAMPLES`)."""
    about = _about(target, chosen, predicted)
    clean = target.death_probability(chosen)
    frames = []
    for kind in KINDS:
        found = result.found(kind)
        success = found.success.cpu().numpy()
        size = found.delta.abs()
        columns: dict[str, Any] = {
            "kind": [kind] * len(about),
            "success": success,
            "iteration": _where(success, found.iteration),
            "l0": _where(success, found.l0),
            "l1": _where(success, found.l1),
            "linf": _where(success, found.linf),
            "cost": _where(success, (size * target.cost).sum(dim=(1, 2))),
            "clean_probability": clean.cpu().numpy(),
            "probability": _where(success, target.death_probability(chosen, threat.perturbed(chosen, found.delta))),
            "gradients": result.gradients.cpu().numpy(),
            "forwards": result.forwards.cpu().numpy(),
        }
        frames.append(typed(about.with_columns(**{name: pl.Series(made) for name, made in columns.items()}), EXAMPLES))
    return pl.concat(frames)


def _about(target: Target, chosen: Tensor, predicted: Tensor) -> pl.DataFrame:
    """Return what is known of the samples: columns sample, subject_id, label and predicted."""
    samples = chosen.cpu().numpy()
    about = target.dataset.samples[samples.tolist()].select("subject_id", "label")
    found: pl.DataFrame = about.with_columns(sample=pl.Series(samples), predicted=pl.Series(predicted.cpu().numpy()))
    return found


def _frontier(target: Target, chosen: Tensor, predicted: Tensor, result: AttackResult) -> pl.DataFrame:
    """Return one row for each sample and number of changed cells (`frames.FRONTIER`)."""
    about = _about(target, chosen, predicted)
    sizes = {size: result.frontier[size].sizes.cpu().double().numpy() for size in SIZES}
    frames = [
        about.with_columns(cells=pl.lit(column + 1), **{size: pl.Series(sizes[size][:, column]) for size in SIZES})
        for column in range(sizes["l1"].shape[1])
    ]
    return pl.concat([typed(frame, FRONTIER) for frame in frames]).filter(pl.col("l1").is_finite())


def _edits(target: Target, threat: Threat, chosen: Tensor, result: AttackResult) -> pl.DataFrame:
    """Return one row for each charted value that an example changes (`frames.EDITS`)."""
    schema = schema_of("edits.parquet", target.dataset.features.names)
    samples, names = chosen.cpu().numpy(), np.array(target.dataset.features.names)
    frames = [pl.DataFrame(schema=schema)]
    for kind in KINDS:
        edits = threat.edits(chosen, result.found(kind))
        if edits is not None:
            row, feature = edits["row"].to_numpy(), edits["feature"].to_numpy()
            named = edits.with_columns(
                sample=pl.Series(samples[row]), kind=pl.lit(kind), feature=pl.Series(names[feature])
            )
            frames.append(typed(named, schema))
    return pl.concat(frames)


def _singles(target: Target, chosen: Tensor, predicted: Tensor, singles: Singles | None) -> pl.DataFrame:
    """Return one row for each sample and feature (`frames.SINGLES`)."""
    names = target.dataset.features.names
    schema = schema_of("singles.parquet", names)
    if singles is None:
        return pl.DataFrame(schema=dict(schema))
    mean, std = (np.tile(x, len(chosen)) for x in (target.dataset.scaling.mean, target.dataset.scaling.std))
    hour = singles.hour.long().clamp_min(0)
    original = target.dataset.tensors.values[chosen].gather(1, hour[:, None])[:, 0]
    turned, told = (one.cpu().numpy().ravel() for one in (singles.hour >= 0, singles.peak >= 0))
    delta = singles.change.cpu().numpy().ravel()
    about = _about(target, chosen, predicted)
    columns: dict[str, Any] = {
        "feature": list(names) * len(chosen),
        "changeable": singles.changeable.cpu().numpy().ravel(),
        "saliency": singles.saliency.cpu().numpy().ravel(),
        "peak_hour": _where(told, singles.peak.flatten()),
        "hour": _where(turned, singles.hour.flatten()),
        "delta": _where(turned, singles.change.flatten()),
        "original_clinical": _only(turned, original.cpu().numpy().ravel() * std + mean),
        "delta_clinical": _only(turned, delta * std),
    }
    rows = about[np.repeat(np.arange(len(about)), len(names))]
    return typed(rows.with_columns(**{name: pl.Series(made) for name, made in columns.items()}), schema)


def _where(success: np.ndarray[tuple[int], np.dtype[np.bool_]], values: Tensor) -> pl.Series:
    """Return ``values`` as a column that is null where the attack failed."""
    return _only(success, values.cpu().numpy())


def _only(known: np.ndarray[tuple[int], np.dtype[np.bool_]], values: np.ndarray[Any, Any]) -> pl.Series:
    """Return ``values`` as a column that is null where they are not ``known``."""
    return pl.DataFrame({"value": values}).select(pl.when(pl.Series(known)).then("value"))["value"]


def _perturbations(target: Target, chosen: Tensor, result: AttackResult) -> pl.DataFrame:
    """Return one row for each changed cell of each example (`frames.PERTURBATIONS`)."""
    dataset = target.dataset
    mean, std = (np.array(x) for x in (dataset.scaling.mean, dataset.scaling.std))
    frames = []
    for kind in KINDS:
        found = result.found(kind)
        cells = found.cells
        row, hour, feature = (column.cpu().numpy() for column in cells.T)
        delta = found.changes.cpu().numpy()
        sample = chosen[cells[:, 0]]
        original = dataset.tensors.values[sample, cells[:, 1], cells[:, 2]].cpu().numpy()
        columns = {
            "sample": chosen.cpu().numpy()[row],
            "kind": np.full(len(row), kind),
            "hour": hour,
            "feature": np.array(dataset.features.names)[feature],
            "observed": dataset.tensors.observed[sample, cells[:, 1], cells[:, 2]].cpu().numpy(),
            "delta": delta,
            "original_clinical": original * std[feature] + mean[feature],
            "delta_clinical": delta * std[feature],
        }
        frames.append(typed(pl.DataFrame(columns), schema_of("perturbations.parquet", dataset.features.names)))
    return pl.concat(frames)


STAGE = Stage(name="attack", makes="examples", takes=("dataset", "model"), may_take=("attack-settings",), run=run)
