"""The artifact layer of ``attack``: a ``dataset`` and a ``model`` (and ``attack-settings``) in, ``examples`` out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lstm_adversarial_attack.artifacts.contents import AttackCard, Search
from lstm_adversarial_attack.attack.keeper import KINDS, SIZES
from lstm_adversarial_attack.attack.result import AttackResult, Found, Frontier, joined
from lstm_adversarial_attack.attack.target import Target, load_target
from lstm_adversarial_attack.attack.threats import Threat, threat_of
from lstm_adversarial_attack.devices import describe, prepare
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import EDITS, EXAMPLES, FRONTIER, PERTURBATIONS, typed, with_features
from lstm_adversarial_attack.settings import AttackSettings, as_manifest, with_found
from lstm_adversarial_attack.stage import Context, Stage


def run(context: Context) -> None:
    """Attack the correctly classified samples of a split, chunk by chunk."""
    settings: AttackSettings = context.settings
    if "attack-settings" in context.inputs:
        settings = with_found(settings, context.inputs["attack-settings"].json("search.json", Search).best)
    device = prepare(context.execution)
    target = load_target(context.inputs["dataset"], context.inputs["model"], device)
    threat = threat_of(target, settings, context.inputs.get("events"))
    chosen, predicted = target.chosen(settings.split, settings.max_samples, misclassified=settings.misclassified)
    if len(chosen) == 0:
        raise UserError(
            f"the model classifies no sample of the {settings.split} split correctly, so there is nothing to "
            "attack; train a better model or choose another --split"
        )
    if settings.threat == "charted" and "events" not in context.inputs:
        context.progress.say("without --events, an hour counts as one charted value, its mean")
    progress, draft = context.progress, context.draft
    chunks = list(
        zip(torch.split(chosen, settings.chunk_size), torch.split(predicted, settings.chunk_size), strict=True)
    )
    files = [draft.work / f"chunk-{number:06}.safetensors" for number in range(len(chunks))]
    done = sum(len(chunk) for (chunk, _), file in zip(chunks, files, strict=True) if file.is_file())
    progress.start("samples", len(chosen), done)
    results, turned = [], 0
    for (chunk, labels), file in zip(chunks, files, strict=True):
        known = file.is_file()
        results.append(_load(file, device) if known else threat.attack(chunk, labels))
        turned += int(results[-1].success.sum())
        if not known:
            _save(results[-1], file)
            progress.advance(len(chunk), f"{turned} turned")
    result = joined(results)
    names = target.dataset.features.names
    examples = _examples(target, threat, chosen, predicted, result)
    draft.write_frame("examples.parquet", examples, EXAMPLES)
    draft.write_frame("frontier.parquet", _frontier(target, chosen, predicted, result), FRONTIER)
    perturbations = _perturbations(target, chosen, result)
    draft.write_frame("perturbations.parquet", perturbations, with_features(PERTURBATIONS, names))
    edits = _edits(target, threat, chosen, result)
    draft.write_frame("edits.parquet", edits, with_features(EDITS, names))
    draft.write_json("attack.json", AttackCard(as_manifest(settings)))
    draft.environment["device"] = describe(device)
    progress.say(_summary(examples))


def _save(result: AttackResult, path: Path) -> None:
    tensors = {"gradients": result.gradients, "forwards": result.forwards}
    for kind in KINDS:
        found = result.found(kind)
        tensors |= {f"{kind}.{name}": getattr(found, name) for name in ("cells", "changes", "iteration")}
    for size, frontier in result.frontier.items():
        tensors |= {f"frontier.{size}.{name}": getattr(frontier, name) for name in ("sizes", "cells", "changes")}
    tensors["shape"] = torch.tensor(result.first.shape)
    partial = path.with_suffix(".partial")
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, partial)
    partial.replace(path)


def _load(path: Path, device: torch.device) -> AttackResult:
    tensors = load_file(path, device=str(device))
    samples, hours, features = tensors["shape"].tolist()
    shape = (samples, hours, features)
    found = {
        kind: Found(shape, *(tensors[f"{kind}.{name}"] for name in ("cells", "changes", "iteration"))) for kind in KINDS
    }
    frontier = {
        size: Frontier(shape, *(tensors[f"frontier.{size}.{name}"] for name in ("sizes", "cells", "changes")))
        for size in SIZES
    }
    return AttackResult(**found, frontier=frontier, gradients=tensors["gradients"], forwards=tensors["forwards"])


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
    return pl.concat(frames).sort("sample", "kind")


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
    found = pl.concat([typed(frame, FRONTIER) for frame in frames]).filter(pl.col("l1").is_finite())
    return found.sort("sample", "cells")


def _edits(target: Target, threat: Threat, chosen: Tensor, result: AttackResult) -> pl.DataFrame:
    """Return one row for each charted value that an example changes (`frames.EDITS`)."""
    schema = with_features(EDITS, target.dataset.features.names)
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
    return pl.concat(frames).sort("sample", "kind", "minute", "feature", "value")


def _where(success: np.ndarray[tuple[int], np.dtype[np.bool_]], values: Tensor) -> pl.Series:
    """Return ``values`` as a column that is null where the attack failed."""
    column = pl.Series(values.cpu().numpy())
    return column.to_frame("value").select(pl.when(pl.Series(success)).then("value"))["value"]


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
        frames.append(typed(pl.DataFrame(columns), with_features(PERTURBATIONS, dataset.features.names)))
    return pl.concat(frames).sort("sample", "kind", "hour", "feature")


def _summary(examples: pl.DataFrame) -> str:
    sparsest = examples.filter(pl.col("kind") == "sparsest")
    parts = []
    for label, name in ((0, "0 -> 1"), (1, "1 -> 0")):
        part = sparsest.filter(pl.col("predicted") == label)
        cells = part["l0"].drop_nulls().to_numpy()
        shown = f" (median {np.median(cells):g} changed cells)" if len(cells) else ""
        parts.append(f"{name}: {part['success'].sum()} of {len(part)} turned{shown}")
    return "; ".join(parts)


STAGE = Stage(
    name="attack", makes="examples", takes=("dataset", "model"), may_take=("events", "attack-settings"), run=run
)
