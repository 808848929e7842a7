"""Other attacks on the same samples, and the examples shown to other models: does what was found hold?

What the field asks of an evaluation by attack (Carlini et al. 2019, "On evaluating adversarial robustness"): twice the
steps find nothing better, chance and an attack without gradients do worse, other methods agree, and examples are shown
to other models. What is compared is always of the same samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import AttackCard, TransferCard
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.evaluate.attack_results import needed, of_kind
from lstm_adversarial_attack.evaluate.inputs import DIRECTIONS, Direction, EvaluationInputs, OtherAttack, Transfer
from lstm_adversarial_attack.evaluate.results import quantiles
from lstm_adversarial_attack.evaluate.sturdy import RANKS_SCHEMA
from lstm_adversarial_attack.frames import EXAMPLES, PERTURBATIONS, TRANSFERS, with_features
from lstm_adversarial_attack.metrics import Estimate, estimate_of, patient_shares, resampled_ratios, spearman

#: Settings that say how an attack was carried out, not what it was.
_WAYS = ("max_samples", "misclassified", "chunk_size", "shard")
#: Settings of training that change no weight.
_NOT_OF_WEIGHTS = ("baselines", "resamples", "calibration")
_MOST_NAMED = 3
THIS = "this attack"

_SHARES = ("success", "sparser", "this_sparser")
ATTACKS_SCHEMA = {
    "direction": pl.String,
    "attack": pl.String,
    "same_model": pl.Boolean,
    "samples": pl.Int64,
    **{f"{name}{end}": pl.Float64 for name in _SHARES for end in ("", "_low", "_high")},
    "this_success": pl.Float64,
    **{f"{whose}{norm}_median": pl.Float64 for whose in ("", "this_") for norm in ("l0", "l1")},
    "evaluations": pl.Float64,  # gradients and a third of the forward passes, mean per sample
    "this_evaluations": pl.Float64,
}
CURVES_SCHEMA = {"direction": pl.String, "attack": pl.String, "budget": pl.Float64, "share": pl.Float64}
TRANSFER_SCHEMA = {
    "direction": pl.String,
    "kind": pl.String,
    "attacked": pl.String,
    "judging": pl.String,
    "examples": pl.Int64,  # found, and called right by the judging model while unperturbed
    "turned": pl.Float64,
    "turned_low": pl.Float64,
    "turned_high": pl.Float64,
}


def other_attacks(
    inputs: Mapping[str, Artifact], features: tuple[str, ...]
) -> tuple[tuple[OtherAttack, ...], tuple[Transfer, ...]]:
    """Return what the artifacts ``other-examples/N`` and ``transfers/N`` hold, named by what sets them apart.

    Raises:
        UserError: one is of another dataset, of a shard, or a transfer of examples that are not among those given.
    """
    base = inputs["examples"]
    card = base.json("attack.json", AttackCard)
    known = {base.digest: THIS}
    attacks, transfers = [], []
    for name in sorted(inputs):
        artifact = inputs[name]
        if not name.startswith(("other-examples/", "transfers/")):
            continue
        if artifact.manifest.inputs.get("dataset") != base.manifest.inputs.get("dataset"):
            raise UserError(f"{artifact.path}: of another dataset than {base.path}; nothing could be compared")
        if name.startswith("other-examples/"):
            attack = _attack(artifact, base, card, features)
            if artifact.digest in known:
                raise UserError(f"{artifact.path}: holds the same examples as another that was given")
            if attack.name in known.values():
                attack = replace(attack, name=f"{attack.name} ({artifact.digest[:8]})")
            known[artifact.digest] = attack.name
            attacks.append(attack)
        else:
            transfers.append((artifact, artifact.json("transfer.json", TransferCard)))
    strange = [artifact.path for artifact, _ in transfers if artifact.manifest.inputs.get("examples") not in known]
    if strange:
        raise UserError(f"{strange[0]}: of examples that were not given; give them with --other-examples")
    named = [
        Transfer(
            attacked=model_name(card.model, transfer.attacked),
            judging=model_name(card.model, transfer.judging),
            threshold=transfer.threshold,
            rows=artifact.frame("transfer.parquet", TRANSFERS),
        )
        for artifact, transfer in transfers
    ]
    return tuple(attacks), tuple(named)


def model_name(this: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return a name of the ``other`` model by what sets its training apart from that of ``this``."""
    differing = _differing(this, other, _NOT_OF_WEIGHTS)
    if len(differing) > _MOST_NAMED:
        return f"model of {len(differing)} other settings"
    return f"model with {', '.join(differing)}" if differing else "this model"


def _attack(artifact: Artifact, base: Artifact, this: AttackCard, features: tuple[str, ...]) -> OtherAttack:
    if artifact.manifest.settings.get("shard"):
        raise UserError(f"{artifact.path}: holds a shard of the samples; join all shards first")
    card = artifact.json("attack.json", AttackCard)
    same = artifact.manifest.inputs.get("model") == base.manifest.inputs.get("model")
    words = [] if same else [model_name(this.model, card.model)]
    if card.settings["split"] != this.settings["split"]:
        raise UserError(
            f"{artifact.path}: of the {card.settings['split']} split, and {base.path} of the {this.settings['split']} "
            "split; nothing could be compared"
        )
    words += _differing(this.settings, card.settings, _WAYS)
    examples = artifact.frame("examples.parquet", EXAMPLES)
    wrong = examples.filter(pl.col("label") != pl.col("predicted")).select("sample").unique()
    cells = artifact.frame("perturbations.parquet", with_features(PERTURBATIONS, features))
    return OtherAttack(
        name=", ".join(words) or f"again ({artifact.digest[:8]})",
        same_model=same,
        threat=card.settings["threat"],
        examples=examples.join(wrong, on="sample", how="anti"),
        perturbations=cells.join(wrong, on="sample", how="anti"),
    )


def _differing(this: Mapping[str, Any], other: Mapping[str, Any], without: tuple[str, ...]) -> list[str]:
    """Return the settings that ``other`` was given and that differ, in words, such as ``method random``."""
    names = [n for n, value in other.items() if n not in without and value is not None and this.get(n) != value]
    names.sort(key=lambda name: name != "method")
    return [f"{name.replace('_', ' ')} {_shown(other[name])}" for name in names]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def attacks_table(inputs: EvaluationInputs, *, resamples: int, seed: int) -> pl.DataFrame:
    """Return each other attack beside this one, a row for each direction, `ATTACKS_SCHEMA`.

    Of the same model both are over the samples that both attacked; of another model each is over its own.
    ``sparser`` is the share of samples for which the other found an example with fewer cells, ``this_sparser`` that
    for which this attack did.
    """
    rows = []
    for other in inputs.others:
        for direction in DIRECTIONS:
            ours, theirs = _paired(inputs, other, direction)
            if not theirs.height:
                continue
            l0 = [needed(frame, "l0") for frame in (theirs, ours)]
            success = np.isfinite(l0[0])
            marked = np.column_stack([success, l0[0] < l0[1], l0[1] < l0[0]] if other.same_model else [success])
            shares = patient_shares(marked, theirs["subject_id"], resamples=resamples, seed=seed)
            shares += [Estimate(None, None, None)] * (3 - len(shares))
            rows.append(
                (
                    direction.key,
                    other.name,
                    other.same_model,
                    theirs.height,
                    *(end for estimate in shares for end in (estimate.value, estimate.low, estimate.high)),
                    float(np.isfinite(l0[1]).mean()) if l0[1].size else None,
                    quantiles(l0[0]).median,
                    quantiles(_smallest(direction, other.examples, theirs)).median,
                    quantiles(l0[1]).median,
                    quantiles(_smallest(direction, inputs.examples, ours)).median,
                    _evaluations(theirs),
                    _evaluations(ours),
                )
            )
    return pl.DataFrame(rows, schema=ATTACKS_SCHEMA, orient="row")


def attack_comparison_curves(inputs: EvaluationInputs) -> pl.DataFrame:
    """Return success against changed cells of every attack on this model, over the samples that all attacked.

    An attack on none of these samples is left out.
    """
    others = [other for other in inputs.others if other.same_model and other.threat == inputs.threat]
    rows = []
    for direction in DIRECTIONS if others else ():
        frames = {THIS: of_kind(inputs.examples, direction, "sparsest")}
        frames |= {other.name: of_kind(other.examples, direction, "sparsest") for other in others}
        common = frames[THIS].select("sample")
        for name in list(frames):
            shared = common.join(frames[name], on="sample", how="semi")
            if shared.height:
                common = shared
            else:
                del frames[name]  # of none of these samples
        if len(frames) == 1:
            continue
        for name, frame in frames.items():
            cells = needed(frame.join(common, on="sample", how="semi"), "l0")
            budgets = [0.0, *np.unique(cells[np.isfinite(cells)]).tolist()] if cells.size else []
            rows += [(direction.key, name, budget, float((cells <= budget).mean())) for budget in budgets]
    return pl.DataFrame(rows, schema=CURVES_SCHEMA, orient="row")


def transfer_table(inputs: EvaluationInputs, *, resamples: int, seed: int) -> pl.DataFrame:
    """Return what share of the found examples turns the judging model's prediction too, `TRANSFER_SCHEMA`."""
    rows = []
    for transfer in inputs.transfers:
        called = (pl.col("clean_probability") >= transfer.threshold).cast(pl.Int8)
        right = transfer.rows.filter(pl.col("label") == pl.col("predicted"), called == pl.col("label"))
        for direction in DIRECTIONS:
            for kind in ("first", "sparsest", "smallest"):
                part = right.filter(pl.col("label") == direction.label, pl.col("kind").cast(pl.String) == kind)
                if part.height:
                    turned = ((part["probability"] >= transfer.threshold) != (part["label"] == 1)).to_numpy()
                    (share,) = patient_shares(turned[:, None], part["subject_id"], resamples=resamples, seed=seed)
                    ends = (share.value, share.low, share.high)
                    rows.append((direction.key, kind, transfer.attacked, transfer.judging, part.height, *ends))
    return pl.DataFrame(rows, schema=TRANSFER_SCHEMA, orient="row")


def rank_agreement_of_others(inputs: EvaluationInputs, *, resamples: int, seed: int) -> pl.DataFrame:
    """Return how far the measurements' ranking agrees with that of each other attack: rows as `sturdy` has them.

    Rankings are by the sparsest examples of the samples that both have turned.
    """
    rows = []
    for other in inputs.others:
        for direction in DIRECTIONS:
            ours, theirs = (
                of_kind(frame, direction, "sparsest").filter("success").select("sample", "subject_id").sort("sample")
                for frame in (inputs.examples, other.examples)
            )
            both = ours.join(theirs, on="sample", how="semi")
            if not both.height:
                continue
            hits = np.hstack([_hits(inputs, both, cells) for cells in (inputs.perturbations, other.perturbations)])
            shares = resampled_ratios(hits, np.ones(hits.shape), both["subject_id"], resamples=resamples, seed=seed)
            columns = len(inputs.features)
            found = spearman(shares[:, :columns], shares[:, columns:])
            estimate = estimate_of(found, both["subject_id"].n_unique())
            ends = (estimate.value, estimate.low, estimate.high)
            rows.append((direction.key, "sparsest", other.name, both.height, *ends))
    return pl.DataFrame(rows, schema=RANKS_SCHEMA, orient="row")


def _paired(inputs: EvaluationInputs, other: OtherAttack, direction: Direction) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the sparsest examples of this attack and of the other; of one model, over the samples of both."""
    ours = of_kind(inputs.examples, direction, "sparsest").sort("sample")
    theirs = of_kind(other.examples, direction, "sparsest").sort("sample")
    if other.same_model:
        ours, theirs = ours.join(theirs, on="sample", how="semi"), theirs.join(ours, on="sample", how="semi")
    return ours, theirs


def _smallest(direction: Direction, examples: pl.DataFrame, of: pl.DataFrame) -> npt.NDArray[np.float64]:
    smallest = of_kind(examples, direction, "smallest").join(of, on="sample", how="semi")
    return needed(smallest, "l1")


def _evaluations(examples: pl.DataFrame) -> float | None:
    spent = examples.select((pl.col("gradients") + pl.col("forwards") / 3).mean()).item()
    return None if spent is None else float(spent)


def _hits(inputs: EvaluationInputs, samples: pl.DataFrame, cells: pl.DataFrame) -> npt.NDArray[np.float64]:
    """Return which measurements the sparsest examples of ``samples`` change, [sample, measurement]."""
    here = cells.filter(pl.col("kind").cast(pl.String) == "sparsest").join(
        samples.select("sample").with_row_index("row"), on="sample", how="inner"
    )
    hits = np.zeros((samples.height, len(inputs.features)))
    hits[here["row"].to_numpy(), here["feature"].to_physical().to_numpy()] = 1
    return hits
