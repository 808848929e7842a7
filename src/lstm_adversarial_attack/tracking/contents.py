"""What is logged of an artifact: names and numbers, never a row of a patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.artifacts.manifest import MANIFEST_NAME, Manifest

#: Longest value of a parameter that every server takes.
_LONGEST = 500
_HISTORY = "history.parquet"
_SEARCHES = "search.json"
_METRICS = "metrics.json"
_MODEL = "model.json"
_PAGES = ("report.html", "summary.md")
#: ROC curve and confusion matrix, clean and attacked.
_CLASSIFICATION = "kubeflow/classification_metrics_"

Curve = list[tuple[int, dict[str, float]]]


def sealed(path: Path) -> Artifact:
    """Return the artifact that was sealed a moment ago, without reading its files again to verify them."""
    return Artifact(path, msgspec.json.decode((path / MANIFEST_NAME).read_bytes(), type=Manifest))


def parameters(artifact: Artifact) -> dict[str, str]:
    """Return the settings, each with its stage's name before it, as in ``train.hidden_units``.

    Of a model they are those it was trained with, which a search may have found; of a search, what it found stands
    beside its own settings, as in ``tune.best.lr``.
    """
    manifest = artifact.manifest
    settings = dict(manifest.settings)
    if _MODEL in manifest.files:
        settings |= artifact.json(_MODEL, _Settings).settings
    if _SEARCHES in manifest.files:
        best = artifact.json(_SEARCHES, Search).best
        settings |= {f"best.{name}": value for name, value in best.items()}
    return {f"{manifest.stage}.{name}": str(value)[:_LONGEST] for name, value in settings.items()}


def tags(artifact: Artifact) -> dict[str, str]:
    """Return the digests that tell where the artifact stands in its lineage, as in ``train.digest``."""
    manifest = artifact.manifest
    inputs = {f"{manifest.stage}.input.{kind}": digest for kind, digest in manifest.inputs.items()}
    return {f"{manifest.stage}.digest": artifact.digest, **inputs}


def final_metrics(artifact: Artifact) -> dict[str, float]:
    """Return the figures of ``metrics.json``, the best value of a search, row counts and the time it took.

    An estimate with an interval becomes three, as in ``train/test/auroc``, ``train/test/auroc/low`` and ``.../high``.
    Lists, of which there are long ones, are left to the report.
    """
    manifest = artifact.manifest
    found: dict[str, float] = {f"rows/{name}": float(count) for name, count in manifest.rows.items()}
    seconds = manifest.environment.get("seconds")
    if isinstance(seconds, int | float):
        found["seconds"] = float(seconds)
    if _METRICS in manifest.files:
        found |= dict(_numbers(artifact.json(_METRICS, dict[str, Any])))
    if _SEARCHES in manifest.files:
        found["best_value"] = artifact.json(_SEARCHES, Search).best_value
    return {f"{manifest.stage}/{name}": value for name, value in found.items()}


def shown(artifact: Artifact) -> list[str]:
    """Return the files of a report that are there to be looked at; its tables and SVG figures stay where they are."""
    names = artifact.manifest.files
    return [name for name in names if name in _PAGES or name.endswith(".png") or name.startswith(_CLASSIFICATION)]


def curves(artifact: Artifact) -> Curve:
    """Return the curves that the artifact holds, by step: of training by epoch, of a search by trial."""
    manifest = artifact.manifest
    if _HISTORY in manifest.files:
        rows = pl.read_parquet(artifact.file(_HISTORY)).to_dicts()
        return [(step, values) for values, step in map(epoch_metrics, rows)]
    if _SEARCHES in manifest.files:
        trials = artifact.json(_SEARCHES, Search).trials
        return [(trial.number, {"value": trial.value}) for trial in trials if trial.value is not None]
    return []


def epoch_metrics(row: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """Return the figures of an epoch (`frames.HISTORY`) by their names, and its number.

    Figures that are undefined are left out. Networks of an ensemble after the first have names of their own, as in
    ``member-1/train_loss``.
    """
    prefix = f"member-{row['member']}/" if row["member"] else ""
    figures = {name: value for name, value in row.items() if name not in ("member", "epoch") and value is not None}
    return {f"{prefix}{name}": float(value) for name, value in figures.items()}, row["epoch"]


class _Settings(msgspec.Struct):
    settings: dict[str, Any]


def _numbers(value: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, float]]:
    for name, item in value.items():
        path = above if name == "value" and above else (*above, name)
        if isinstance(item, dict):
            yield from _numbers(item, (*above, name))
        elif isinstance(item, bool | int | float):
            yield "/".join(path), float(item)
