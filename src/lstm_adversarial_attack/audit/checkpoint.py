"""What a fold's training needs to go on after a kill, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


class EpochScore(msgspec.Struct, frozen=True):
    """What is known after an epoch: the score that chooses, and what it hides.

    ``loss`` is the mean over the draws of the epoch, ``reference_f1`` the F1 of the training fold seen through the
    class-balancing sampler. ``held_out_f1`` and ``held_out_auroc`` are looked at alone and choose nothing.
    """

    epoch: int
    loss: float
    reference_f1: float
    held_out_f1: float
    held_out_auroc: float


def save(
    path: Path,
    weights: Mapping[str, Tensor],
    best: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    history: list[EpochScore],
) -> None:
    """Write everything under another name first, so that a kill leaves the last checkpoint whole."""
    tensors = {f"weights.{name}": tensor for name, tensor in weights.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    partial = path.with_suffix(".partial")
    save_file(plain, partial, {"history": msgspec.json.encode(history).decode()})
    partial.replace(path)


def load(
    path: Path, optimizer: torch.optim.Optimizer, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Tensor], list[EpochScore]]:
    """Return weights, best weights and history, and put the optimizer's state back."""
    with safe_open(path, framework="pt", device=str(device)) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        history = msgspec.json.decode(file.metadata()["history"], type=list[EpochScore])
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, "optimizer.").items():
        index, _, key = name.partition(".")
        states.setdefault(int(index), {})[key] = value.cpu() if key == "step" else value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return _below(tensors, "weights."), _below(tensors, "best."), history


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
