"""The model of a ``model`` artifact, logged and registered."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Architecture, ModelCard
from lstm_adversarial_attack.tracking.code import copy_needed_code

#: The model's name in the registry.
REGISTERED = "lstm-adversarial-attack"
ALIAS = "champion"
#: The tag by which the version made from an artifact is found.
DIGEST_TAG = "digest"
#: What the model's code imports, beside MLflow.
_NEEDED = ("msgspec", "numpy", "polars", "pyyaml", "safetensors", "scikit-learn", "torch")
_EXAMPLE_HOURS = 48


def log_model(artifact: Artifact, run_id: str) -> None:
    """Log the classifier in ``run_id`` and register it as a new version, with its digests as tags.

    It is a pyfunc from code, and not of MLflow's flavour for PyTorch, whose exported programs take a single array
    where this classifier takes values, masks and static data.
    """
    import mlflow
    from mlflow.models import Model

    architecture = artifact.json("model.json", ModelCard).architecture
    signature, example = signature_and_example(architecture)
    script = Path(__file__).with_name("classifier.py")
    inputs = {f"input.{kind}": digest for kind, digest in artifact.manifest.inputs.items()}
    with TemporaryDirectory() as folder:
        Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            name="model",
            run_id=run_id,
            registered_model_name=REGISTERED,
            await_registration_for=0,
            tags={DIGEST_TAG: artifact.digest, **inputs},
            python_model=str(script),
            artifacts={
                "weights": artifact.file("weights.safetensors").as_uri(),
                "card": artifact.file("model.json").as_uri(),
            },
            code_paths=[str(copy_needed_code(script, Path(folder)))],
            pip_requirements=[
                f"mlflow=={mlflow.__version__}",  # also where its client alone is installed, which is called otherwise
                *(f"{name}=={version(name).partition('+')[0]}" for name in _NEEDED),
            ],
            signature=signature,
            input_example=example,
        )


def signature_and_example(architecture: Architecture) -> tuple[Any, dict[str, Any]]:
    """Return names, shapes and types of inputs and predictions, and an example of zeros: no patient's data."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    features, columns = architecture.features, architecture.static_columns
    shapes: dict[str, tuple[type[Any], tuple[int, ...]]] = {
        "values": (np.float32, (-1, -1, features)),
        "observed": (np.bool_, (-1, -1, features)),
    }
    if columns:
        shapes |= {"static": (np.float32, (-1, columns)), "static_observed": (np.bool_, (-1, columns))}
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(kind), shape, name) for name, (kind, shape) in shapes.items()
    ]
    outputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(np.float32), (-1, 2), "logits"),
        TensorSpec(np.dtype(np.float64), (-1,), "probability"),
        TensorSpec(np.dtype(np.float64), (-1,), "calibrated"),
    ]
    example = {
        name: np.zeros((1, *(_EXAMPLE_HOURS if size == -1 else size for size in shape[1:])), kind)
        for name, (kind, shape) in shapes.items()
    }
    return ModelSignature(Schema(inputs), Schema(outputs)), example


def crown(client: Any, digest: str, *, passed: bool) -> bool:
    """Tell the registry how the model of this digest was judged; where it passed, it becomes the champion.

    Returns:
        Whether a version with the digest was found.
    """
    versions = [
        found for found in client.search_model_versions(f"name='{REGISTERED}'") if found.tags.get(DIGEST_TAG) == digest
    ]
    if not versions:
        return False
    latest = max(versions, key=lambda found: int(found.version))
    client.set_model_version_tag(REGISTERED, latest.version, "gate", "passed" if passed else "not passed")
    if passed:
        client.set_registered_model_alias(REGISTERED, ALIAS, latest.version)
    return True
