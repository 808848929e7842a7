"""What is searched of each method of attack."""

from __future__ import annotations

import inspect
from typing import Any

import optuna

from lstm_adversarial_attack.attack.methods import METHODS

#: What is searched of each method: ranges of numbers, "log" where they are drawn on a scale of logarithms, or choices.
SPACES: dict[str, dict[str, tuple[Any, ...]]] = {
    "frontier": {"width": (2, 24), "descent": (0.1, 0.6)},
    "greedy": {"width": (2, 48)},
    "ista": {"lr": (0.003, 1.0, "log"), "sparsity": (0.05, 0.95), "acceleration": ("none", "fista", "adam")},
    "sigma-zero": {"lr": (0.1, 3.0, "log"), "sigma": (1e-5, 1e-1, "log")},
    "fmn": {"lr": (0.1, 10.0, "log")},
    "reference": {
        "lr": (1e-5, 1.0, "log"),
        "weight": (1e-7, 1.0, "log"),
        "optimizer": ("adam", "rmsprop", "sgd"),
    },
}


def suggest(trial: optuna.Trial, method: str) -> dict[str, Any]:
    """Draw the settings of ``method`` for a trial, fields of `AttackSettings`."""
    drawn: dict[str, Any] = {}
    for name, (low, high, *more) in SPACES[method].items():
        if isinstance(low, str):
            drawn[name] = trial.suggest_categorical(name, (low, high, *more))
        elif isinstance(low, int):
            drawn[name] = trial.suggest_int(name, low, high)
        else:
            drawn[name] = trial.suggest_float(name, low, high, log="log" in more)
    return drawn


def defaults(method: str) -> dict[str, Any]:
    """Return the method's own defaults of what is searched."""
    known = inspect.signature(METHODS[method]).parameters
    return {name: known[name].default for name in SPACES[method]}
