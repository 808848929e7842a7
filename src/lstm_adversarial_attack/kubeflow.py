"""A stage as a task of Kubeflow Pipelines: what the executor input says, and the executor output it asks for.

A component gives every option a value, in the form ``--name=value``, and the executor input after
``--executor-input``. Without Kubeflow there is no such option, and nothing here is used. kfp is not imported.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lstm_adversarial_attack.artifacts import Artifact, open_artifact
from lstm_adversarial_attack.artifacts.manifest import MANIFEST_NAME
from lstm_adversarial_attack.errors import UserError

OPTION = "--executor-input"
_OUT = "--out"
_OWN, _OF_TOOLS = "LSTM_AA_S3_", "AWS_"
#: Where Kubeflow's launcher keeps the objects of a bucket while a container runs.
_MOUNTS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}


class _Held(msgspec.Struct, rename="camel"):
    """An artifact as Kubeflow names it; ``type`` is handed back as it came."""

    name: str = ""
    uri: str = ""
    type: Any = None
    metadata: dict[str, Any] = {}
    custom_path: str = ""

    @property
    def path(self) -> Path:
        """Where it lies in the container."""
        if self.custom_path:
            return Path(self.custom_path)
        for scheme, mount in _MOUNTS.items():
            if self.uri.startswith(scheme):
                return Path(mount + self.uri.removeprefix(scheme))
        return Path(self.uri)


class _Several(msgspec.Struct):
    artifacts: list[_Held] = []


class _Inputs(msgspec.Struct):
    artifacts: dict[str, _Several] = {}


class _Outputs(msgspec.Struct, rename="camel"):
    artifacts: dict[str, _Several] = {}
    output_file: str = ""


class _ExecutorInput(msgspec.Struct):
    inputs: _Inputs = msgspec.field(default_factory=_Inputs)
    outputs: _Outputs = msgspec.field(default_factory=_Outputs)


@dataclass(frozen=True)
class Task:
    """What Kubeflow wants to be told of a task that has succeeded."""

    out: Path | None
    outputs: Mapping[str, _Held]
    output_file: Path | None

    def finish(self) -> None:
        """Check the outputs, fill in those that the UI draws, and write the executor output.

        Raises:
            UserError: an output is missing, or Kubeflow asks for one that the stage does not have.
        """
        if self.output_file is None:
            return
        artifact = _opened(self.out) if self.out else None
        written = {}
        for name, held in self.outputs.items():
            metadata = self._fill(name, held, artifact)
            if not held.path.exists():
                raise UserError(f"output {name}: nothing at {held.path}")
            entry = {"name": held.name, "uri": held.uri, "type": held.type, "metadata": held.metadata | metadata}
            written[name] = {"artifacts": [entry]}
        self.output_file.parent.mkdir(parents=True, exist_ok=True)
        # Kubeflow reads it with Go, which takes neither NaN nor Infinity.
        text = json.dumps({"artifacts": written}, allow_nan=False)
        draft = self.output_file.with_name(f".{self.output_file.name}")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.output_file)

    def _fill(self, name: str, held: _Held, artifact: Artifact | None) -> dict[str, Any]:
        if artifact is None:
            raise UserError(f"output {name}: the command writes no artifact")
        if held.path == self.out:
            return described(artifact)
        view = VIEWS.get(artifact.manifest.kind, {}).get(name)
        if view is None:
            known = ", ".join(VIEWS.get(artifact.manifest.kind, {})) or "none"
            raise UserError(f"output {name}: no view of {artifact.manifest.kind}, which has {known}")
        held.path.parent.mkdir(parents=True, exist_ok=True)
        return view(artifact, held.path)


def _opened(path: Path) -> Artifact:
    manifest = json.loads((path / MANIFEST_NAME).read_bytes())
    return open_artifact(path, manifest["kind"])


def described(artifact: Artifact) -> dict[str, Any]:
    """Return what the UI shows of an artifact: kind, digests, versions, settings, row counts; nothing of a patient.

    It is short: the metadata of all inputs of a task, such as 32 shards, go into one argument of 128 KiB.
    """
    manifest = artifact.manifest
    environment = {name: manifest.environment.get(name) for name in ("package", "code", "image_digest", "device")}
    seconds = manifest.environment.get("seconds")
    libraries = manifest.environment.get("libraries", {})
    said = {
        "kind": manifest.kind,
        "schema_version": manifest.schema_version,
        "digest": manifest.digest,
        "stage": manifest.stage,
        "seed": manifest.seed,
        **{f"input_{name}": digest for name, digest in manifest.inputs.items()},
        **{f"rows_{name}": rows for name, rows in manifest.rows.items()},
        **environment,
        "seconds": seconds,
        "torch": libraries.get("torch"),
        "settings": json.dumps(manifest.settings, sort_keys=True),
    }
    return {name: value for name, value in said.items() if value is not None}


def _copied(file: str) -> Callable[[Artifact, Path], dict[str, Any]]:
    def copy(artifact: Artifact, to: Path) -> dict[str, Any]:
        shutil.copyfile(artifact.file(file), to)
        return {}

    return copy


def _told(file: str) -> Callable[[Artifact, Path], dict[str, Any]]:
    """Return a view whose numbers are the artifact's metadata; the file lies at its address as well."""

    def tell(artifact: Artifact, to: Path) -> dict[str, Any]:
        shutil.copyfile(artifact.file(file), to)
        told: dict[str, Any] = json.loads(artifact.file(file).read_bytes())
        return told

    return tell


def _held_out_figures(artifact: Artifact, to: Path) -> dict[str, Any]:
    """Return the figures of a model on each split, by flat names such as ``test_auroc``."""
    metrics = json.loads(artifact.file("metrics.json").read_bytes())
    figures = {
        f"{split}_{name}": round(estimate["value"], 6)
        for split, estimates in metrics.items()
        if split in ("validation", "test")
        for name, estimate in estimates.items()
        if isinstance(estimate, dict) and estimate.get("value") is not None
    }
    to.write_text(json.dumps(figures, allow_nan=False), encoding="utf-8")
    return figures


#: What the UI draws of each kind of artifact: the output's name, and what makes its file and its metadata.
VIEWS: dict[str, dict[str, Callable[[Artifact, Path], dict[str, Any]]]] = {
    "dataset": {"card": _copied("card.html")},
    "model": {"metrics": _held_out_figures},
    "report": {
        "page": _copied("report.html"),
        "summary": _copied("summary.md"),
        "metrics": _told("kubeflow/metrics.json"),
        "clean": _told("kubeflow/classification_metrics_clean.json"),
        "attacked": _told("kubeflow/classification_metrics_attacked.json"),
    },
}


def take_own_store(environ: MutableMapping[str, str]) -> None:
    """Let ``LSTM_AA_S3_ENDPOINT_URL`` and the like stand for ``AWS_ENDPOINT_URL`` and the like in this process.

    On Kubeflow the launcher runs in the same container, and would take the latter for the store of all artifacts.
    """
    for name in [name for name in environ if name.startswith(_OWN)]:
        environ[_OF_TOOLS + name.removeprefix(_OWN)] = environ[name]


def as_task(line: Sequence[str], defaults: Callable[[str], Mapping[str, Any]]) -> tuple[list[str], Task | None]:
    """Return a command line as it would be typed, and the task that it is of; None where it is of none.

    Options of the form ``--name=value`` that have their default, or no value, are taken away, since a component gives
    all of them: so a protocol, and what a search has found, come before them, and a value that is the default cannot be
    insisted on. Input artifacts that the line does not
    name, such as optional ones and lists, are added from the executor input.

    Args:
        line: the arguments, the command first.
        defaults: returns the defaults of a command's options by their names, such as ``--max-epochs``.

    Raises:
        UserError: there is no executor input after the option, or it is not JSON of that form.
    """
    if OPTION not in line:
        return list(line), None
    at = line.index(OPTION)
    if at + 1 == len(line):
        raise UserError(f"{OPTION}: expected the executor input, as JSON, after it")
    try:
        given = msgspec.json.decode(line[at + 1], type=_ExecutorInput)
    except msgspec.DecodeError as error:
        raise UserError(f"{OPTION}: {error}") from error
    rest = [*line[:at], *line[at + 2 :]]
    known = defaults(rest[0]) if rest else {}
    kept = [token for token in rest if not _says_nothing(token, known)]
    named = {token.partition("=")[0] for token in kept}
    for name, several in given.inputs.artifacts.items():
        option = f"--{name.replace('_', '-')}"
        if option not in named and several.artifacts:
            kept += [option, *(str(held.path) for held in several.artifacts)]
    outputs = {name: several.artifacts[0] for name, several in given.outputs.artifacts.items() if several.artifacts}
    file = given.outputs.output_file
    return kept, Task(_after(kept, _OUT), outputs, Path(file) if file else None)


def _says_nothing(token: str, defaults: Mapping[str, Any]) -> bool:
    option, equals, value = token.partition("=")
    return bool(option.startswith("--") and equals) and (not value or _is_default(value, defaults.get(option)))


def _is_default(value: str, default: Any) -> bool:
    """Return whether text says the same as a default; a number may be written in several ways, as 1e-02 and 0.01."""
    if isinstance(default, bool):
        return value.lower() == str(default).lower()
    if not isinstance(default, (int, float)):
        return bool(value == default)
    try:
        return float(value) == float(default)
    except ValueError:
        return False


def _after(line: Sequence[str], option: str) -> Path | None:
    """Return the value of an option of a command line."""
    for number, token in enumerate(line):
        name, equals, value = token.partition("=")
        if name == option:
            return Path(value) if equals else Path(line[number + 1]) if number + 1 < len(line) else None
    return None
