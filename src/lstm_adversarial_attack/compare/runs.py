"""The runs that are compared: their reports, and what lies beside these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from lstm_adversarial_attack.artifacts import Artifact, Manifest, local_folder, open_artifact, read_manifest
from lstm_adversarial_attack.artifacts.manifest import MANIFEST_NAME
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.evaluate.results import Metrics
from lstm_adversarial_attack.frames import PREDICTIONS

#: The kinds of artifact that a report comes from, in the order in which they are made.
ANCESTORS = ("events", "dataset", "hyperparameters", "model", "attack-settings", "examples")
#: Where the settings stand that were used, what a search had found included.
_CARDS = {"model": "model.json", "examples": "attack.json"}
#: So many runs have a line each that can be told from the others.
MOST_RUNS = 12


class _Card(msgspec.Struct):
    settings: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        label: what it is called on the page.
        report: its report.
        metrics: the report's numbers.
        manifests: of the report and of the artifacts that it was made from, by kind; those that are not there lack.
        settings: those used, by kind of artifact.
        predictions: `frames.PREDICTIONS` of its model, None where the model is not there.
    """

    label: str
    report: Artifact
    metrics: Metrics
    manifests: dict[str, Manifest]
    settings: dict[str, dict[str, Any]]
    predictions: pl.DataFrame | None

    @property
    def dataset(self) -> str:
        """Digest of the dataset."""
        return self.report.manifest.inputs["dataset"]

    def table(self, name: str) -> pl.DataFrame:
        """Return a table of the report."""
        return pl.read_parquet(self.report.file(f"{name}.parquet"))


def open_runs(addresses: Sequence[str], labels: Sequence[str] | None = None) -> list[Run]:
    """Open the runs at ``addresses``, each the folder of a run or of a report.

    Args:
        addresses: two or more.
        labels: one for each; without them, the names of the folders.

    Raises:
        UserError: there are too few or too many, one holds no report that this package reads, two are the same, or the
            labels do not fit.
    """
    if not 2 <= len(addresses) <= MOST_RUNS:
        raise UserError(f"compare: {len(addresses)} given; give the folders of 2 to {MOST_RUNS} runs or reports")
    reports = [_open_report(address) for address in addresses]
    for number, report in enumerate(reports):
        for other in reports[:number]:
            if report.path.resolve() == other.path.resolve():
                raise UserError(f"{report.path}: given twice; give each run once")
            if report.digest == other.digest:
                raise UserError(
                    f"{report.path}: the same report as {other.path} (digest {report.digest[:12]}): nothing to compare"
                )
    names = _checked_labels(labels, len(reports)) if labels else _names([_folder(report) for report in reports])
    return [_run(label, report) for label, report in zip(names, reports, strict=True)]


def _open_report(address: str) -> Artifact:
    folder = local_folder(address)
    if not folder.is_dir():
        raise UserError(f"{address}: no such folder; give that of a run or of a report")
    for place in (folder, folder / "report"):
        if (place / MANIFEST_NAME).is_file():
            return open_artifact(place, "report")
    raise UserError(
        f"{address}: neither a run nor a report (no {MANIFEST_NAME}, no folder 'report'); a run that was cut off goes "
        "on with lstm-aa run, and lstm-aa evaluate writes a report"
    )


def _folder(report: Artifact) -> Path:
    """Return the folder that names a run: of the report, or around it where it is called no more than that."""
    return report.path.parent if report.path.name == "report" else report.path


def _names(folders: list[Path]) -> list[str]:
    """Return the names of folders, each with as many of those around it as it takes to tell them apart."""
    for depth in range(1, max(len(folder.parts) for folder in folders)):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def _checked_labels(labels: Sequence[str], runs: int) -> list[str]:
    if len(labels) != runs:
        raise UserError(f"--labels: {len(labels)} given for {runs} runs; give one for each, in their order")
    plain = [label.strip() for label in labels]
    if "" in plain or len(set(plain)) < runs:
        raise UserError(f"--labels {' '.join(labels)}: one is empty or stands twice; give each run its own")
    return plain


def _run(label: str, report: Artifact) -> Run:
    manifests = _ancestors(report)
    opened = {kind: open_artifact(report.path.parent / kind, kind) for kind in _CARDS if kind in manifests}
    settings = {kind: manifest.settings for kind, manifest in manifests.items()}
    for kind, artifact in opened.items():
        settings[kind] = settings[kind] | artifact.json(_CARDS[kind], _Card).settings
    return Run(
        label=label,
        report=report,
        metrics=report.json("metrics.json", Metrics),
        manifests=manifests,
        settings=settings,
        predictions=opened["model"].frame("predictions.parquet", PREDICTIONS) if "model" in opened else None,
    )


def _ancestors(report: Artifact) -> dict[str, Manifest]:
    """Return the manifests of the report and of those artifacts beside it that it was made from."""
    found = {"report": report.manifest}
    for kind in reversed(ANCESTORS):
        wanted = {manifest.inputs[kind] for manifest in found.values() if kind in manifest.inputs}
        try:
            there = read_manifest(report.path.parent / kind, kind)
        except UserError:  # a report can be compared without what it was made from; the page says what is not there
            continue
        if wanted == {there.digest}:
            found[kind] = there
    return {kind: found[kind] for kind in (*ANCESTORS, "report") if kind in found}
