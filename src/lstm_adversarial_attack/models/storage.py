"""Weights on disk, as safetensors."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import ModelCard
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.models.lstm import Ensemble, LstmClassifier, build


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights of ``model``, on whatever device they are."""
    save_file({name: weight.detach().cpu().contiguous() for name, weight in model.state_dict().items()}, path)


def load_model(artifact: Artifact) -> tuple[LstmClassifier | Ensemble, ModelCard]:
    """Build the classifier of a ``model`` artifact, in eval mode on the CPU.

    Raises:
        UserError: the weights do not fit the architecture.
    """
    card = artifact.json("model.json", ModelCard)
    model = build(card.architecture)
    path = artifact.file("weights.safetensors")
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise UserError(f"{path}: the weights do not fit the architecture in model.json; train again") from error
    return model.eval(), card
