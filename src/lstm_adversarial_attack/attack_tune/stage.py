"""The artifact layer of ``attack-tune``: a ``dataset`` and a ``model`` in, ``attack-settings`` out."""

from __future__ import annotations

import inspect
from typing import Any

import optuna
import torch

from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.attack import AttackResult
from lstm_adversarial_attack.attack.methods import METHODS
from lstm_adversarial_attack.attack.target import load_target
from lstm_adversarial_attack.attack.threats import threat_of
from lstm_adversarial_attack.devices import describe, prepare
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search import Attempt, Journal, Plan, search
from lstm_adversarial_attack.settings import AttackSettings, AttackTuneSettings
from lstm_adversarial_attack.stage import Context, Stage


def area(result: AttackResult, max_cells: int) -> float:
    """Return the area under success against number of changed cells, from 0 to ``max_cells``, as a share.

    1 would mean that every prediction turns without a change, 0 that none turns within ``max_cells``. Unlike
    a sum over successes it does not reward samples that lie on the boundary anyway above all others.
    """
    cells = torch.where(result.success, result.sparsest.l0, max_cells).clamp_max(max_cells)
    return float((1 - cells.double() / max_cells).mean())


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


def run(context: Context) -> None:
    """Search on correctly classified validation samples; test samples are never looked at."""
    settings: AttackTuneSettings = context.settings
    if settings.method not in SPACES:
        raise UserError(f"method {settings.method} is a control and has nothing to search; give another --method")
    device = prepare(context.execution)
    target = load_target(context.inputs["dataset"], context.inputs["model"], device)
    chosen, predicted = target.chosen("validation", settings.max_samples)
    if len(chosen) == 0:
        raise UserError(
            "the model classifies no validation sample correctly, so there is nothing to attack; train a better model"
        )
    progress = context.progress

    def objective(attempt: Attempt) -> float:
        drawn = suggest(attempt.trial, settings.method)
        chosen_settings = AttackSettings(threat=settings.threat, method=settings.method, steps=settings.steps, **drawn)
        threat = threat_of(target, chosen_settings, context.inputs.get("events"))
        return area(threat.attack(chosen, predicted), settings.max_cells)

    def tell(so_far: Search) -> None:
        progress.advance(1, f"best area {so_far.best_value:.3f}")

    found = search(
        lambda: objective,
        Plan(
            name=f"attack-tune-{context.draft.work.name}",
            trials=settings.trials,
            seed=settings.seed,
            first=defaults(settings.method),
        ),
        Journal(context.draft.work / "journal.log"),
        objective=settings.objective,
        on_start=lambda done: progress.start("trials", settings.trials, done),
        on_trial=tell,
    )
    context.draft.write_json("search.json", found)
    context.draft.rows["trials"] = len(found.trials)
    context.draft.environment["device"] = describe(device)
    progress.say(
        f"best of {len(found.trials)} trials on {len(chosen)} samples: {settings.objective} {found.best_value:.3f}"
    )


STAGE = Stage(name="attack-tune", makes="attack-settings", takes=("dataset", "model"), may_take=("events",), run=run)
