"""What the examples of one model do to another: a ``dataset``, the other ``model`` and ``examples`` in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from lstm_adversarial_attack.artifacts.contents import AttackCard, ModelCard, TransferCard
from lstm_adversarial_attack.attack.tables import CARD_FILE, schema_of
from lstm_adversarial_attack.attack.target import Target, load_target
from lstm_adversarial_attack.attack.threats import Threat, threat_of
from lstm_adversarial_attack.devices import describe, prepare
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import EXAMPLE_KINDS, EXAMPLES, TRANSFERS, typed
from lstm_adversarial_attack.settings import AttackSettings
from lstm_adversarial_attack.stage import Context, Stage

#: Samples judged at once.
_AT_ONCE = 512


@dataclass(frozen=True)
class TransferSettings:
    """Nothing can be set."""


def run(context: Context) -> None:
    """Judge every found example by the other model."""
    dataset, model, examples = (context.inputs[kind] for kind in ("dataset", "model", "examples"))
    if examples.manifest.inputs.get("dataset") != dataset.digest:
        raise UserError(f"{examples.path}: the attack was made on another dataset than {dataset.path}")
    if examples.manifest.inputs.get("model") == model.digest:
        raise UserError(f"{examples.path}: the attack was made on this model ({model.path}); give another model")
    device = prepare(context.execution)
    target = load_target(dataset, model, device)
    card = examples.json(CARD_FILE, AttackCard)
    threat = threat_of(target, AttackSettings(**card.settings))
    found = examples.frame("examples.parquet", EXAMPLES).filter("success")
    schema = schema_of("perturbations.parquet", target.dataset.features.names)
    cells = examples.frame("perturbations.parquet", schema)
    context.progress.start("examples", found.height)
    frames, done = [pl.DataFrame(schema=dict(TRANSFERS))], 0
    for kind in EXAMPLE_KINDS:
        of_kind = found.filter(pl.col("kind").cast(pl.String) == kind).sort("sample")
        changed = cells.filter(pl.col("kind").cast(pl.String) == kind)
        for part in of_kind.iter_slices(_AT_ONCE):
            frames.append(_judged(target, threat, part, changed))
            done += part.height
            context.progress.reach(done)
    context.draft.write_frame("transfer.parquet", pl.concat(frames).sort("sample", "kind").rechunk(), TRANSFERS)
    judging = model.json("model.json", ModelCard)
    context.draft.write_json("transfer.json", TransferCard(judging.threshold, card.model, judging.settings))
    context.draft.environment |= {"device": describe(device), "threads": context.execution.threads}


def _judged(target: Target, threat: Threat, part: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    """Return what the other model says of some examples of one kind, `frames.TRANSFERS`."""
    index = torch.from_numpy(part["sample"].to_numpy().astype(np.int64)).to(target.device)
    delta = _dense(target, part, cells)
    clean = target.death_probability(index)
    turned = target.death_probability(index, threat.perturbed(index, delta))
    judged = part.with_columns(
        clean_probability=pl.Series(clean.cpu().numpy()), probability=pl.Series(turned.cpu().numpy())
    )
    return typed(judged, TRANSFERS)


def _dense(target: Target, part: pl.DataFrame, cells: pl.DataFrame) -> Tensor:
    """Return the perturbations of some examples, [example, hour, feature] in model units."""
    rows = part.select("sample").with_row_index("row")
    here = cells.join(rows, on="sample", how="inner")
    delta = torch.zeros(part.height, *target.dataset.tensors.values.shape[1:], device=target.device)
    place = tuple(
        torch.from_numpy(column.to_numpy().astype(np.int64)).to(target.device)
        for column in (here["row"], here["hour"], here["feature"].to_physical())
    )
    delta[place] = torch.from_numpy(here["delta"].to_numpy().copy()).to(target.device)
    return delta


STAGE = Stage(name="transfer", makes="transfer", takes=("dataset", "model", "examples"), run=run)
