"""What differs between runs: settings, digests, code and libraries; what is the same is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from lstm_adversarial_attack.artifacts import Manifest
from lstm_adversarial_attack.compare.runs import ANCESTORS, Run

_DIGITS = 12
#: What stands for a setting that a run's version of a stage does not have.
_NONE = "none"
_STAGES = {
    "events": "extract",
    "dataset": "preprocess",
    "hyperparameters": "tune",
    "model": "train",
    "attack-settings": "attack-tune",
    "examples": "attack",
    "report": "evaluate",
}


class Differing(msgspec.Struct, frozen=True):
    """Something that is not the same in all runs; a value, in the order of the runs, is None where it is not known."""

    group: str
    item: str
    values: tuple[str | None, ...]


def differing(runs: Sequence[Run]) -> tuple[Differing, ...]:
    """Return what is known of two runs at least and not the same in all of which it is known."""
    rows = (*_digests(runs), *_settings(runs), *_environments(runs))
    return tuple(row for row in rows if len({value for value in row.values if value is not None}) > 1)


def unknown_stages(run: Run) -> tuple[str, ...]:
    """Return the stages whose settings are not known, because their artifact is not beside the report."""
    inputs = {kind for manifest in run.manifests.values() for kind in manifest.inputs}
    return tuple(_STAGES[kind] for kind in ANCESTORS if kind in inputs and kind not in run.manifests)


def _digests(runs: Sequence[Run]) -> Iterator[Differing]:
    for kind in ANCESTORS:
        yield Differing("digest", kind, tuple(_digest(run, kind) for run in runs))


def _digest(run: Run, kind: str) -> str | None:
    for manifest in run.manifests.values():
        if kind in manifest.inputs:
            return manifest.inputs[kind][:_DIGITS]
    return None


def _settings(runs: Sequence[Run]) -> Iterator[Differing]:
    for kind, stage in _STAGES.items():
        names = dict.fromkeys(name for run in runs for name in sorted(run.settings.get(kind, {})))
        for name in names:
            values = tuple(_shown(run.settings[kind].get(name)) if kind in run.settings else None for run in runs)
            yield Differing("setting", f"{stage}.{name}", values)


def _environments(runs: Sequence[Run]) -> Iterator[Differing]:
    every = [list(run.manifests.values()) for run in runs]
    yield Differing("code", "package", tuple(_one("package", manifests) for manifests in every))
    yield Differing("code", "source of the package", tuple(_one("code", manifests) for manifests in every))
    yield Differing("code", "python", tuple(_one("python", manifests) for manifests in every))
    yield Differing("code", "device", tuple(_one("device", manifests) for manifests in every))
    libraries = [_libraries(manifests) for manifests in every]
    for name in sorted({name for found in libraries for name in found}):
        yield Differing("code", name, tuple(found.get(name) for found in libraries))


def _one(name: str, manifests: list[Manifest]) -> str | None:
    """Return what the manifests of a run say of ``name``: one thing, or all things there are."""
    values = {str(manifest.environment[name]) for manifest in manifests if manifest.environment.get(name)}
    return ", ".join(sorted(value[:_DIGITS] if name == "code" else value for value in values)) or None


def _libraries(manifests: list[Manifest]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, version in manifest.environment.get("libraries", {}).items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _shown(value: object) -> str:
    if value is None or value == "":
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
