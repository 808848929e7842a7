"""Where tensors live, and what makes the same work give the same bits."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import torch

from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.settings import Execution


def prepare(execution: Execution) -> torch.device:
    """Set threads and deterministic algorithms, and return the device.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    torch.set_num_threads(execution.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    return device_of(execution)


def device_of(execution: Execution) -> torch.device:
    """Return the device that is worked on here.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    if execution.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no GPU is visible here; use --device auto to fall back to the CPU")
    use_gpu = execution.device == "cuda" or (execution.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def is_mixed(execution: Execution, device: torch.device) -> bool:
    """Return whether training computes in mixed precision on ``device``."""
    return execution.precision == "mixed" or (execution.precision == "auto" and device.type == "cuda")


def describe(device: torch.device) -> str:
    """Return the device's name for a manifest."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def arithmetic(execution: Execution) -> dict[str, Any]:
    """Return what may change last bits here, and so tells one piece of unfinished work from another.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    device = device_of(execution)
    return {"device": describe(device), "mixed_precision": is_mixed(execution, device), "threads": execution.threads}


def derive_seed(*parts: int | str) -> int:
    """Return a seed that depends on all parts, so that independent parts of the work draw independently."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
