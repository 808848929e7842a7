"""From a finished run to its report with checks: more attacks, models of other seeds and architecture, transfer.

What is checked is what Carlini et al. (2019, "On evaluating adversarial robustness") ask for: twice the steps, chance
and an attack without gradients, other methods, and the examples shown to other models and theirs to this one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lstm_adversarial_attack.artifacts import Artifact, local_folder, open_artifact
from lstm_adversarial_attack.artifacts.contents import AttackCard, ModelCard
from lstm_adversarial_attack.check_attack.settings import CheckAttackSettings
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.settings import AttackSettings, EvaluateSettings, Execution, TrainSettings
from lstm_adversarial_attack.stage import Stage, carry_out, load_stage, numbered

_RUN = ("dataset", "model", "examples")
#: Searches, and what is made with what they found.
_SEARCHES = {"hyperparameters": "model", "attack-settings": "examples"}
#: A plain network: one direction, values and masks of every hour, its last state.
_PLAIN: dict[str, Any] = {
    "inputs": "masks",
    "bidirectional": False,
    "pooling": "last",
    "hours_per_step": 1,
    "projection_units": 0,
    "shortcut_units": 0,
    "encoding_bins": 0,
    "static": False,
    "hidden_units": 64,
}


@dataclass(frozen=True)
class _Checks:
    """A run, what its own attack and model were made with, and how to carry out more."""

    run: Mapping[str, Artifact]
    attack: AttackSettings
    train: TrainSettings
    settings: CheckAttackSettings
    out: Path
    execution: Execution
    reporter: Reporter

    def carry_out(self, stage: Stage, name: str, settings: Any, inputs: Mapping[str, str | Path]) -> Path:
        """Carry out a stage, unless it is up to date, and return its artifact's folder ``name`` below ``out``."""
        return carry_out(
            stage,
            settings=settings,
            inputs=inputs,
            out=self.out / name,
            execution=self.execution,
            reporter=self.reporter,
        ).artifact.path

    @property
    def few(self) -> AttackSettings:
        """The run's own attack, on so many samples as a check is made on."""
        return replace(self.attack, max_samples=self.settings.max_samples, misclassified=False, chunk_size=0)

    def attacks(self) -> Iterator[tuple[str, AttackSettings]]:
        """Yield the other attacks on this model, by the name of their folder."""
        few = self.few
        yield "examples-steps-doubled", replace(few, steps=2 * few.steps)
        for method in dict.fromkeys(self.settings.methods):
            if method != self.attack.method:
                yield (
                    f"examples-{method}",
                    AttackSettings(
                        method=method,
                        threat=few.threat,
                        split=few.split,
                        steps=few.steps,
                        kappa=few.kappa,
                        max_rate=few.max_rate,
                        max_samples=few.max_samples,
                        seed=few.seed,
                    ),
                )

    def models(self) -> Iterator[tuple[str, TrainSettings]]:
        """Yield the other models, by what ends the names of their folders."""
        without = replace(self.train, baselines=False)
        for number in range(1, self.settings.seeds + 1):
            yield f"seed-{number}", replace(without, seed=self.train.seed + number)
        if self.settings.plain:
            yield "plain", replace(without, **_PLAIN)


def check_attack(
    run: Path,
    out: Path | None,
    settings: CheckAttackSettings,
    evaluate: EvaluateSettings,
    execution: Execution,
    reporter: Reporter,
) -> Path:
    """Carry out what is not up to date below ``out``, and return the path of the report.

    Args:
        run: folder of a finished run.
        out: folder of the new artifacts; ``checks`` in the run where None.
        settings: which checks.
        evaluate: of the report.
        execution: device and threads.
        reporter: where progress goes.

    Raises:
        UserError: ``run`` is not finished, or its attack has nothing to compare with.
    """
    artifacts = {kind: open_artifact(run / kind, kind) for kind in _RUN}
    card = artifacts["examples"].json("attack.json", AttackCard)
    if card.settings["threat"] == "data-entry":
        raise UserError(f"{run}: threat model data-entry tries everything; there is no search to check")
    if card.settings["shard"]:
        raise UserError(
            f"{run}: its examples are shard {card.settings['shard']} of the samples; join all of them first, with "
            "lstm-aa merge-examples"
        )
    if artifacts["examples"].manifest.inputs["model"] != artifacts["model"].digest:
        raise UserError(f"{run}: its examples are of another model; finish the run first")
    trained = artifacts["model"].json("model.json", ModelCard).settings
    checks = _Checks(
        run=artifacts,
        attack=AttackSettings(**card.settings),
        train=TrainSettings(**trained),
        settings=settings,
        out=local_folder(out or run / "checks"),
        execution=execution,
        reporter=reporter,
    )
    here = {kind: artifact.path for kind, artifact in artifacts.items()}
    attack = load_stage("attack")
    made_on = {"dataset": here["dataset"], "model": here["model"]}
    others = [checks.carry_out(attack, name, given, made_on) for name, given in checks.attacks()]
    transfers = []
    for name, given in checks.models():
        more, moved = _on_model(checks, here, attack, name, given)
        others.append(more)
        transfers += moved
    inputs = {
        **here,
        **_searches(run, artifacts),
        **numbered("other-examples", others),
        **numbered("transfers", transfers),
    }
    return checks.carry_out(load_stage("evaluate"), "report", evaluate, inputs) / "report.html"


def _on_model(
    checks: _Checks, here: Mapping[str, Path], attack: Stage, name: str, given: TrainSettings
) -> tuple[Path, list[Path]]:
    """Train another model, attack it, show the examples of each model to the other; return examples and transfers."""
    from lstm_adversarial_attack.attack.transfer import STAGE, TransferSettings

    model = checks.carry_out(load_stage("train"), f"model-{name}", given, {"dataset": here["dataset"]})
    examples = checks.carry_out(attack, f"examples-{name}", checks.few, {"dataset": here["dataset"], "model": model})
    pairs = {f"transfer-to-{name}": (model, here["examples"]), f"transfer-from-{name}": (here["model"], examples)}
    moved = [
        checks.carry_out(
            STAGE, folder, TransferSettings(), {"dataset": here["dataset"], "model": judging, "examples": shown}
        )
        for folder, (judging, shown) in pairs.items()
    ]
    return examples, moved


def _searches(run: Path, artifacts: Mapping[str, Artifact]) -> dict[str, Path]:
    """Return the folders of the searches that model and examples were made with, where the run still has them."""
    found = {}
    for kind, user in _SEARCHES.items():
        wanted = artifacts[user].manifest.inputs.get(kind)
        if wanted and (run / kind).is_dir() and open_artifact(run / kind, kind).digest == wanted:
            found[kind] = run / kind
    return found
