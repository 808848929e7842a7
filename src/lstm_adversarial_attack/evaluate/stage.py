"""The artifact layer of ``evaluate``: ``dataset``, ``model`` and ``examples`` in, a ``report`` out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from safetensors.numpy import load_file

from lstm_adversarial_attack import __version__
from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import AttackCard, CohortStep, ModelCard, Scaling
from lstm_adversarial_attack.catalogue import FeatureSet
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.evaluate.analysis import EvaluationInputs, evaluate
from lstm_adversarial_attack.evaluate.checks import other_attacks
from lstm_adversarial_attack.evaluate.explorer import explorer_of
from lstm_adversarial_attack.evaluate.outputs import outputs
from lstm_adversarial_attack.evaluate.study import searches_of
from lstm_adversarial_attack.frames import (
    BASELINE_PREDICTIONS,
    EXAMPLES,
    FRONTIER,
    HISTORY,
    PERTURBATIONS,
    PREDICTIONS,
    SAMPLES,
    SINGLES,
    with_features,
)
from lstm_adversarial_attack.settings import EvaluateSettings
from lstm_adversarial_attack.stage import Context, Stage


def run(context: Context) -> None:
    """Evaluate prediction and attack."""
    settings: EvaluateSettings = context.settings
    progress, draft = context.progress, context.draft
    _check_lineage(context.inputs["dataset"], context.inputs["model"], context.inputs["examples"])
    dataset, examples = context.inputs["dataset"], context.inputs["examples"]
    others, transfers = other_attacks(context.inputs, dataset.json("features.json", FeatureSet).names)
    inputs = replace(
        inputs_of(dataset, context.inputs["model"], examples),
        searches=searches_of(context.inputs),
        others=others,
        transfers=transfers,
    )
    evaluation = evaluate(
        inputs,
        settings,
        explorer=explorer_of(dataset, examples, inputs, settings, progress.say),
        on_progress=lambda step, _done, _steps: progress.start(step),
    )
    (draft.path / "report.html").write_text(evaluation.report_html, encoding="utf-8")
    draft.write_json("metrics.json", evaluation.metrics)
    for name, table in evaluation.tables.items():
        draft.write_frame(f"{name}.parquet", table, table.schema)
        table.write_csv(draft.path / f"{name}.csv")
    progress.start("figures")
    for name, content in outputs(inputs, evaluation).items():
        draft.write_bytes(name, content)
    reasons = "; ".join(evaluation.gate.reasons)
    progress.say("quality gate passed" if evaluation.gate.passed else f"quality gate not passed: {reasons}")


def _check_lineage(dataset: Artifact, model: Artifact, examples: Artifact) -> None:
    shard = examples.manifest.settings.get("shard")
    if shard:
        raise UserError(
            f"{examples.path}: holds shard {shard} of the samples; join all shards first, with lstm-aa merge-examples"
        )
    made_from = examples.manifest.inputs
    for name, artifact in (("dataset", dataset), ("model", model)):
        if made_from.get(name) != artifact.digest:
            raise UserError(
                f"{examples.path}: the attack was made on another {name} than {artifact.path}; "
                "give the artifacts that belong together"
            )


def inputs_of(dataset: Artifact, model: Artifact, examples: Artifact) -> EvaluationInputs:
    """Read what the evaluation needs of three artifacts that belong together."""
    features = dataset.json("features.json", FeatureSet)
    scaling = dataset.json("scaling.json", Scaling)
    samples = dataset.frame("samples.parquet", SAMPLES)
    observed = load_file(dataset.file("tensors.safetensors"))["observed"]
    training = (samples["split"] == "train").to_numpy()
    card = model.json("model.json", ModelCard)
    attack = examples.json("attack.json", AttackCard).settings
    tables = _attack_tables(examples, features.names)
    # What was attacked although the model gets it wrong already has no place in figures of success.
    wrong = tables["examples"].filter(pl.col("label") != pl.col("predicted")).select("sample").unique()
    tables = {name: table.join(wrong, on="sample", how="anti") for name, table in tables.items()}
    return EvaluationInputs(
        cohort_flow=tuple(dataset.json("cohort_flow.json", list[CohortStep])),
        features=features.features,
        hours=observed.shape[1],
        feature_stds=np.array(scaling.std),
        samples=samples,
        observed_rate=observed[training].mean(axis=0),
        observed_hours=observed.sum(axis=1),
        predictions=model.frame("predictions.parquet", PREDICTIONS),
        threshold=card.threshold,
        calibration=card.calibration.method,
        baselines=model.frame("baselines.parquet", BASELINE_PREDICTIONS),
        history=model.frame("history.parquet", HISTORY),
        examples=tables["examples"],
        perturbations=tables["perturbations"],
        frontier=tables["frontier"],
        singles=tables["singles"],
        attacked_split=attack["split"],
        threat=attack["threat"],
        misclassified=len(wrong),
        provenance=_provenance(dataset, model, examples, features),
    )


def _attack_tables(examples: Artifact, features: tuple[str, ...]) -> dict[str, pl.DataFrame]:
    schemas = {"examples": EXAMPLES, "frontier": FRONTIER}
    schemas |= {"perturbations": with_features(PERTURBATIONS, features), "singles": with_features(SINGLES, features)}
    return {name: examples.frame(f"{name}.parquet", schema) for name, schema in schemas.items()}


def _provenance(dataset: Artifact, model: Artifact, examples: Artifact, features: FeatureSet) -> dict[str, str]:
    """Return what the figures rest on; machine and library versions stand in the manifests, not in the report."""
    made = {"dataset": dataset, "model": model, "examples": examples}
    return {
        "package": __version__,
        "feature set": features.name,
        "events digest": dataset.manifest.inputs["events"],
        **{f"{kind} digest": artifact.digest for kind, artifact in made.items()},
        "training settings": _as_words(model.json("model.json", ModelCard).settings),
        "attack settings": _as_words(examples.json("attack.json", AttackCard).settings),
    }


def _as_words(settings: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(settings.items()))


STAGE = Stage(
    name="evaluate",
    makes="report",
    takes=("dataset", "model", "examples"),
    may_take=("hyperparameters", "attack-settings"),
    may_take_many={"other-examples": "examples", "transfers": "transfer"},
    run=run,
    on_device=False,
)
