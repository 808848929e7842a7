"""The artifact layer of ``attack-tune``: a ``dataset`` and a ``model`` in, ``attack-settings`` out."""

from __future__ import annotations

from functools import partial

import msgspec

from lstm_adversarial_attack.artifacts import Artifact
from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.attack.target import load_target
from lstm_adversarial_attack.attack.threats import threat_of
from lstm_adversarial_attack.attack_tune.objectives import OBJECTIVES
from lstm_adversarial_attack.attack_tune.space import SPACES, defaults, suggest
from lstm_adversarial_attack.devices import describe, prepare
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search import JOURNAL, Attempt, Objective, Plan, place_of, search, workers_of
from lstm_adversarial_attack.settings import AttackSettings, AttackTuneSettings, Execution
from lstm_adversarial_attack.stage import Context, Stage


def run(context: Context) -> None:
    """Search on correctly classified validation samples; test samples are never looked at."""
    settings: AttackTuneSettings = context.settings
    execution, progress = context.execution, context.progress
    if settings.method not in SPACES:
        raise UserError(f"method {settings.method} is a control and has nothing to search; give another --method")

    prepare_one = partial(objective_of, dict(context.inputs), settings, execution)
    ready = prepare_one()  # what cannot be attacked is told before a study is begun

    def tell(so_far: Search) -> None:
        context.checkpoints.put(JOURNAL)
        best = f"best {settings.objective} {so_far.best_value:.4g}" if so_far.best else ""
        progress.reach(len(so_far.trials), best)

    found = search(
        (lambda: ready) if workers_of(execution) == 1 else prepare_one,
        Plan(
            name=f"attack-tune-{context.draft.work.name}",
            trials=settings.trials,
            seed=settings.seed,
            first=defaults(settings.method),
        ),
        place_of(execution, context.draft.work),
        objective=settings.objective,
        workers=workers_of(execution),
        on_start=lambda done: progress.start("trials", settings.trials, done),
        on_trial=tell,
        say=progress.say,
    )
    best = {"method": settings.method, **found.best}
    context.draft.write_json("search.json", msgspec.structs.replace(found, best=best, threat=settings.threat))
    context.draft.rows["trials"] = len(found.trials)
    context.draft.environment["device"] = describe(prepare(execution))
    progress.say(f"best of {len(found.trials)} trials: {settings.objective} {found.best_value:.4g}")


def objective_of(inputs: dict[str, Artifact], settings: AttackTuneSettings, execution: Execution) -> Objective:
    """Return the score of a trial: how well an attack with its settings does on validation samples.

    Raises:
        UserError: the model classifies none of them correctly.
    """
    target = load_target(inputs["dataset"], inputs["model"], prepare(execution))
    chosen, predicted = target.chosen("validation", settings.max_samples)
    if len(chosen) == 0:
        raise UserError(
            "the model classifies no validation sample correctly, so there is nothing to attack; train a better model"
        )
    batch_size = target.batch_size()

    def objective(attempt: Attempt) -> float:
        drawn = suggest(attempt.trial, settings.method)
        tried = AttackSettings(threat=settings.threat, method=settings.method, steps=settings.steps, **drawn)
        threat = threat_of(target, tried)
        return OBJECTIVES[settings.objective](threat.attack(chosen, predicted, batch_size), settings.max_cells)

    return objective


STAGE = Stage(name="attack-tune", makes="attack-settings", takes=("dataset", "model"), run=run)
