"""The artifact layer of the audit: a ``dataset`` made under protocol `reference` in, an ``audit`` out.

The audit is none of the seven stages, but goes through the same door: it is skipped where it is up to date, and goes
on after a kill.
"""

from __future__ import annotations

import numpy as np
from safetensors.torch import save_file

from lstm_adversarial_attack.artifacts import Artifact, digest_of
from lstm_adversarial_attack.artifacts.contents import CohortStep
from lstm_adversarial_attack.audit.checkpoint import EpochScore
from lstm_adversarial_attack.audit.conclude import headline, limits_of, steps_between, table
from lstm_adversarial_attack.audit.findings import Counts, Findings, Fold
from lstm_adversarial_attack.audit.folds import Integers, Mask, patient_folds
from lstm_adversarial_attack.audit.page import page
from lstm_adversarial_attack.audit.recipe import FoldFit, train_fold
from lstm_adversarial_attack.audit.settings import AuditSettings, architecture_of
from lstm_adversarial_attack.audit.views import KINDS, Judged, view
from lstm_adversarial_attack.datasets import LoadedDataset, load_dataset
from lstm_adversarial_attack.devices import derive_seed, describe, is_mixed, prepare
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.extract.cohort import sample_of
from lstm_adversarial_attack.protocols import load_protocol
from lstm_adversarial_attack.settings import as_manifest
from lstm_adversarial_attack.stage import Context, Stage

#: What of the preprocessing the recipe stands on.
_OF_THE_PROTOCOL = ("imputation", "scaling", "statistics")


def run(context: Context) -> None:
    """Train the recipe on every fold and judge its weights in every way."""
    settings: AuditSettings = context.settings
    check_protocol(context.inputs["dataset"])
    device = prepare(context.execution)
    dataset = load_dataset(context.inputs["dataset"], device)
    labels = dataset.samples["label"].to_numpy().astype(np.int64)
    patients = dataset.samples["subject_id"].to_numpy()
    fold_of = patient_folds(labels, patients, folds=settings.folds, seed=settings.seed)
    fits = [_fit(context, dataset, fold_of == fold, fold) for fold in range(settings.folds)]
    context.progress.start("intervals")
    judged = [
        Judged(labels, patients, fit.probability, fold_of == fold, fit.drawn, derive_seed(settings.seed, "judge", fold))
        for fold, fit in enumerate(fits)
    ]
    views = {name: view(name, judged, resamples=settings.resamples, seed=settings.seed) for name in KINDS}
    steps, limits = steps_between(views), limits_of(views, float(labels.mean()))
    findings = Findings(
        headline=headline(views, steps, limits, settings.folds),
        dataset=context.inputs["dataset"].digest,
        features=dataset.features.names,
        hours=dataset.tensors.values.shape[1],
        cohort=_counts(labels, patients, np.ones(labels.size, bool)),
        settings=as_manifest(settings),
        architecture=architecture_of(settings, dataset.tensors.values.shape[2]),
        views=list(views.values()),
        steps=steps,
        limits=limits,
        folds=[_fold(number, one, fit) for number, (one, fit) in enumerate(zip(judged, fits, strict=True))],
    )
    draft = context.draft
    draft.write_json("audit.json", findings)
    (draft.path / "audit.html").write_text(page(findings), encoding="utf-8")
    save_file(
        {
            f"fold-{number}.{name}": weight.detach().cpu().contiguous()
            for number, fit in enumerate(fits)
            for name, weight in fit.model.state_dict().items()
        },
        draft.path / "weights.safetensors",
    )
    draft.environment["device"] = describe(device)


def check_protocol(dataset: Artifact) -> None:
    """See that the dataset was prepared as the recipe expects it.

    Raises:
        UserError: it was made under another protocol, on which the score would not be the reference system's.
    """
    protocol = load_protocol("reference")
    expected = {name: protocol["preprocess"][name] for name in _OF_THE_PROTOCOL}
    expected["sample"] = protocol["extract"]["sample"]
    made = dataset.manifest.settings | {"sample": sample_of(dataset.json("cohort_flow.json", list[CohortStep]))}
    for name in expected:
        if made.get(name) != expected[name]:
            raise UserError(
                f"{dataset.path}: made with {name} {made.get(name)}, where the recipe that is audited has "
                f"{expected[name]}; extract and preprocess with --protocol reference, or give --source in place of it"
            )


def summary(findings: Findings) -> str:
    """Return what the command line prints: the table and the sentences."""
    return "\n".join((*table(findings.views), "", *findings.headline))


def _fit(context: Context, dataset: LoadedDataset, held_out: Mask, fold: int) -> FoldFit:
    settings, progress = context.settings, context.progress
    checkpoint = context.draft.work / f"fold-{fold}.safetensors"

    def start(done: int) -> None:
        progress.start(f"fold {fold + 1} of {settings.folds}, epochs", settings.epochs, done)

    def tell(epoch: EpochScore) -> None:
        context.checkpoints.put(checkpoint.name)
        progress.advance(1, f"F1 {epoch.reference_f1:.3f} the reference's way, {epoch.held_out_f1:.3f} held out")

    return train_fold(
        dataset.tensors,
        held_out,
        settings,
        fold,
        mixed_precision=is_mixed(context.execution, dataset.tensors.labels.device),
        checkpoint=checkpoint,
        on_start=start,
        on_epoch=tell,
    )


def _fold(number: int, judged: Judged, fit: FoldFit) -> Fold:
    weights = {name: weight.detach().cpu().numpy().tobytes().hex() for name, weight in fit.model.state_dict().items()}
    return Fold(
        fold=number + 1,
        training=_counts(judged.labels, judged.patients, ~judged.held_out),
        held_out=_counts(judged.labels, judged.patients, judged.held_out),
        best_epoch=fit.best_epoch,
        thresholds=judged.thresholds,
        weights=digest_of(weights),
        history=fit.history,
    )


def _counts(labels: Integers, patients: Integers, chosen: Mask) -> Counts:
    return Counts(int(chosen.sum()), int(np.unique(patients[chosen]).size), int(labels[chosen].sum()))


STAGE = Stage(name="audit", makes="audit", takes=("dataset",), run=run)
