"""What a search draws from, as fields of `TrainSettings`.

Every range reaches to the field's default, so that the first trial can be the defaults themselves.
"""

from __future__ import annotations

from typing import Any

import optuna

from lstm_adversarial_attack.settings import TrainSettings

_DEFAULT = TrainSettings()
_WIDTHS = (0, 32, 128)

#: Fields whose values `suggest` may draw, by space.
SPACES: dict[str, tuple[str, ...]] = {
    "default": (
        "hidden_units",
        "layers",
        "bidirectional",
        "pooling",
        "state_activation",
        "head_units",
        "head_activation",
        "dropout",
        "input_dropout",
        "optimizer",
        "lr",
        "weight_decay",
        "class_weight",
        "distillation",
        "batch_size",
    ),
    "reference": (
        "hidden_units",
        "state_activation",
        "head_units",
        "head_activation",
        "dropout",
        "optimizer",
        "lr",
        "batch_size",
    ),
}


def suggest(trial: optuna.Trial, space: str) -> dict[str, Any]:
    """Draw the hyperparameters of a trial, fields of `TrainSettings`."""
    if space == "reference":
        _suggest_reference(trial)
    else:
        _suggest_default(trial)
    return as_settings(trial.params)


def as_settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return a trial's parameters, or some of them, as fields of `TrainSettings`."""
    settings: dict[str, Any] = {}
    for name, value in parameters.items():
        if name.startswith("log2_"):
            settings[name.removeprefix("log2_")] = 2**value
        else:
            settings["lr" if name == "sgd_lr" else name] = value
    if settings.get("optimizer", "adamw") != "adamw":
        settings.setdefault("weight_decay", 0.0)
    return settings


def defaults(space: str) -> dict[str, Any]:
    """Return the defaults of `TrainSettings` as parameters of a trial, so far as the space has them."""
    found: dict[str, Any] = {}
    for field in SPACES[space]:
        value = getattr(_DEFAULT, field)
        if space == "default":
            found["sgd_lr" if field == "lr" and _DEFAULT.optimizer == "sgd" else field] = value
        elif field in _POWERS:
            low, high = _POWERS[field]
            if value in [2**power for power in range(low, high + 1)]:
                found[f"log2_{field}"] = value.bit_length() - 1
        elif field in _REFERENCE_CHOICES:
            if value in _REFERENCE_CHOICES[field]:
                found[field] = value
        elif _REFERENCE_RANGES[field][0] <= value <= _REFERENCE_RANGES[field][1]:
            found[field] = value
    return found


def _suggest_default(trial: optuna.Trial) -> None:
    _whole(trial, "hidden_units", 16, 128)
    _whole(trial, "batch_size", 32, 256)
    layers = (1, 2)
    trial.suggest_int("layers", min(*layers, _DEFAULT.layers), max(*layers, _DEFAULT.layers))
    _choice(trial, "bidirectional", (True, False))
    _choice(trial, "pooling", ("all", "attention", "mean", "max", "last"))
    _choice(trial, "state_activation", ("none", "relu", "tanh"))
    if _choice(trial, "head_units", _WIDTHS):
        _choice(trial, "head_activation", ("relu", "tanh"))
    _number(trial, "dropout", 0.0, 0.6)
    _number(trial, "input_dropout", 0.0, 0.5)
    _number(trial, "distillation", 0.0, 0.9)
    _number(trial, "class_weight", 1.0, 5.0, log=True)
    optimizer = _choice(trial, "optimizer", ("adamw", "adam", "rmsprop", "sgd"))
    if optimizer == "sgd":  # its steps are not divided by the gradient's size
        _number(trial, "lr", 1e-2, 1.0, log=True, name="sgd_lr", widen=_DEFAULT.optimizer == "sgd")
    else:
        _number(trial, "lr", 5e-4, 1e-2, log=True, widen=_DEFAULT.optimizer != "sgd")
    if optimizer == "adamw":  # that of the others is no decay, but a penalty of another size
        _number(trial, "weight_decay", 1e-4, 1e-1, log=True)


#: The published reference system's space; whole numbers as exponents of two.
_POWERS = {"hidden_units": (5, 7), "head_units": (4, 8), "batch_size": (5, 8)}
_REFERENCE_CHOICES = {
    "state_activation": ("relu", "tanh"),
    "head_activation": ("relu", "tanh"),
    "optimizer": ("adam", "rmsprop", "sgd"),
}
_REFERENCE_RANGES = {"dropout": (0.0, 0.5), "lr": (1e-5, 1e-1)}


def _suggest_reference(trial: optuna.Trial) -> None:
    for field, (lowest, highest) in _POWERS.items():
        trial.suggest_int(f"log2_{field}", lowest, highest)
    for field, choices in _REFERENCE_CHOICES.items():
        trial.suggest_categorical(field, choices)
    for field, (low, high) in _REFERENCE_RANGES.items():
        trial.suggest_float(field, low, high, log=field == "lr")


def _whole(trial: optuna.Trial, field: str, low: int, high: int) -> None:
    default = getattr(_DEFAULT, field)
    trial.suggest_int(field, min(low, default), max(high, default), log=True)


def _number(
    trial: optuna.Trial,
    field: str,
    low: float,
    high: float,
    *,
    log: bool = False,
    name: str = "",
    widen: bool = True,
) -> None:
    default = getattr(_DEFAULT, field) if widen else low
    trial.suggest_float(name or field, min(low, default), max(high, default), log=log)


def _choice(trial: optuna.Trial, field: str, choices: tuple[Any, ...]) -> Any:
    default = getattr(_DEFAULT, field)
    return trial.suggest_categorical(field, choices if default in choices else (*choices, default))
