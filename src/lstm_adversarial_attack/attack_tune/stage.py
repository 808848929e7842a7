"""The artifact layer of ``attack-tune``: a ``dataset`` and a ``model`` in, ``attack-settings`` out."""

from __future__ import annotations

from typing import Any

import optuna
import torch

from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.attack import AttackResult
from lstm_adversarial_attack.attack.target import load_target
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


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Draw the attack's settings of a trial, fields of `AttackSettings`."""
    return {
        "lr": trial.suggest_float("lr", 0.1, 3.0, log=True),
        "sparsity": trial.suggest_float("sparsity", 0.05, 0.95),
    }


def run(context: Context) -> None:
    """Search on correctly classified validation samples; test samples are never looked at."""
    settings: AttackTuneSettings = context.settings
    device = prepare(context.execution)
    target = load_target(context.inputs["dataset"], context.inputs["model"], device)
    chosen = target.correct("validation", settings.max_samples)
    if len(chosen) == 0:
        raise UserError(
            "the model classifies no validation sample correctly, so there is nothing to attack; train a better model"
        )
    progress = context.progress

    def objective(attempt: Attempt) -> float:
        attack_settings = AttackSettings(steps=settings.steps, **suggest(attempt.trial))
        return area(target.attack(chosen, attack_settings), settings.max_cells)

    def tell(so_far: Search) -> None:
        progress.advance(1, f"best area {so_far.best_value:.3f}")

    found = search(
        lambda: objective,
        Plan(
            name=f"attack-tune-{context.draft.work.name}",
            trials=settings.trials,
            seed=settings.seed,
            first={"lr": AttackSettings().lr, "sparsity": AttackSettings().sparsity},
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


STAGE = Stage(name="attack-tune", makes="attack-settings", takes=("dataset", "model"), run=run)
