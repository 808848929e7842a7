"""Prediction on real patients: the LSTM beside what a reviewer asks for, by cross-validation over patients.

Set-a of the Challenge 2012 (4,000 ICU stays), features icu-19 and icu-extended with their static data, five folds.
Everything that learns from a fold sees its training patients alone: the units of the tensors, the edges of the
encoding, the second target, and the choice between `CANDIDATES`, which is made anew in each fold by AUPRC on held-back
training patients. Then networks of the chosen settings are fitted from several seeds on all of the fold's training
patients, and their mean is judged on its test patients. Below stands what each idea buys, added one after another,
each fitted once a fold and stopped by held-back patients. Finished fits are kept in --work, so that a run that was
stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from lstm_adversarial_attack.artifacts import open_artifact
from lstm_adversarial_attack.artifacts.manifest import code_fingerprint
from lstm_adversarial_attack.cross_validate.core import Plan, Predicted, Task, carry_out, labels_and_patients, tasks_of
from lstm_adversarial_attack.cross_validate.folds import folds, held_back
from lstm_adversarial_attack.cross_validate.result import LSTM, CrossValidation, summarise, table
from lstm_adversarial_attack.cross_validate.settings import REFERENCE
from lstm_adversarial_attack.datasets import load_dataset
from lstm_adversarial_attack.models.baselines import BASELINES
from lstm_adversarial_attack.progress import Reporter, StageProgress
from lstm_adversarial_attack.settings import Execution, ExtractSettings, PreprocessSettings, TrainSettings
from lstm_adversarial_attack.sources import open_source
from lstm_adversarial_attack.stage import carry_out as carry_out_stage
from lstm_adversarial_attack.stage import load_stage

SOURCE = "challenge2012:../shared/data/challenge-2012/set-a.tar.gz"
#: AUROC and AUPRC to reach, what gradient boosting on simple summaries reached in a quick trial.
GOALS = {"icu-19": (0.835, 0.485), "icu-extended": (0.870, 0.545)}

#: The defaults, taught by other methods.
STRONG = TrainSettings(distillation=0.7, max_epochs=25)
CANDIDATES: dict[str, TrainSettings] = {
    "candidate-regular": STRONG,
    "candidate-more-decay": replace(STRONG, weight_decay=0.3),
}

_PLAIN = replace(
    STRONG,
    inputs="time-since",
    static=False,
    encoding_bins=0,
    projection_units=0,
    shortcut_units=0,
    hours_per_step=1,
    input_dropout=0.0,
    schedule="cosine",
    weight_averaging=0.0,
    distillation=0.0,
)


def ladder() -> dict[str, TrainSettings]:
    """Return settings that add one idea after another, from a plain LSTM to `STRONG`."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("plain: values, masks, time since", {}),
        ("+ static data", {"static": True}),
        ("+ running summaries, a step in 4 h", {"inputs": "summaries", "hours_per_step": 4, "projection_units": 48}),
        ("+ shortcut past the LSTM", {"shortcut_units": 64}),
        ("+ piecewise linear encoding of it", {"encoding_bins": 8}),
        ("+ dropout of inputs", {"input_dropout": 0.2}),
        ("+ one-cycle, averaged weights", {"schedule": "one-cycle", "weight_averaging": 0.99}),
        ("+ distillation from boosting, trees, regression", {"distillation": STRONG.distillation}),
    ]
    settings, found = _PLAIN, {}
    for name, more in steps:
        settings = replace(settings, **more)
        found[name] = settings
    return found


def dataset_of(features: str, source: str, work: Path, reporter: Reporter) -> Path:
    """Extract and preprocess ``features``, where that is not done yet."""
    events, dataset = work / features / "events", work / features / "dataset"
    with closing(open_source(source)) as opened:
        settings = ExtractSettings(features=features)
        carry_out_stage(
            load_stage("extract"), settings=settings, inputs={}, out=events, reporter=reporter, source=opened
        )
    preprocess = load_stage("preprocess")
    carry_out_stage(
        preprocess, settings=PreprocessSettings(), inputs={"events": events}, out=dataset, reporter=reporter
    )
    return dataset


class Bench:
    """One feature set: its folds, and the fits made so far."""

    def __init__(self, dataset: Path, work: Path, arguments: argparse.Namespace, progress: StageProgress) -> None:
        methods = {**CANDIDATES, "reference-network": REFERENCE, **_named(ladder())}
        self.plan = Plan(dataset, arguments.folds, arguments.seed, methods, Execution(device=arguments.device))
        loaded = load_dataset(open_artifact(dataset, "dataset"), torch.device("cpu"))
        self.labels, self.patients = labels_and_patients(loaded)
        self._workers, self._progress = arguments.workers, progress
        # Fits of other settings, data or code are none of these.
        key = [code_fingerprint(), open_artifact(dataset, "dataset").digest, repr(self.plan)]
        self._work = work / f"fits-{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}"

    def fits(self, step: str, tasks: list[Task]) -> dict[Task, Predicted]:
        """Carry out ``tasks``; their networks are stopped by held-back training patients."""
        return self._carry_out(step, self.plan, tasks, self._work)

    def refits(self, step: str, tasks: list[Task]) -> dict[Task, Predicted]:
        """Carry out ``tasks``; their networks learn from all training patients."""
        return self._carry_out(step, replace(self.plan, refit=True), tasks, self._work / "refit")

    def _carry_out(self, step: str, plan: Plan, tasks: list[Task], work: Path) -> dict[Task, Predicted]:
        work.mkdir(parents=True, exist_ok=True)
        return carry_out(
            plan,
            tasks,
            work=work,
            workers=self._workers,
            on_start=lambda done: self._progress.start(step, len(tasks), done),
            on_task=lambda task: self._progress.advance(1, f"fold {task.fold + 1}, {task.method}"),
        )

    def chosen(self) -> dict[int, str]:
        """Return the candidate that is best on held-back training patients of each fold; test patients have no say."""
        fits = self.fits("choice of settings", tasks_of(self.plan, dict.fromkeys(CANDIDATES, 1)))
        best = {}
        for fold in folds(self.labels, self.patients, self.plan.folds, self.plan.seed):
            y = self.labels[held_back(self.labels, self.patients, fold, 0, self.plan.seed)[1]]
            scores = {
                name: average_precision_score(y, fits[Task(name, fold.number, 0)].validation) for name in CANDIDATES
            }
            best[fold.number] = max(scores, key=lambda name: scores[name])
        return best

    def compared(self, seeds: int) -> tuple[CrossValidation, dict[int, str]]:
        """Return the LSTM beside the baselines and the reference's network."""
        chosen = self.chosen()
        tasks = [Task(name, fold, member) for fold, name in chosen.items() for member in range(seeds)]
        fits = {Task(LSTM, task.fold, task.member): done for task, done in self.refits("LSTM", tasks).items()}
        others = dict.fromkeys((*BASELINES, "reference-network"), 1)
        fits |= self.fits("others", tasks_of(self.plan, others))
        return self._summary(fits), chosen

    def ideas(self) -> CrossValidation:
        """Return what each step of the ladder reaches, one fit a fold."""
        return self._summary(self.fits("ideas", tasks_of(self.plan, dict.fromkeys(_named(ladder()), 1))))

    def _summary(self, fits: Mapping[Task, Predicted]) -> CrossValidation:
        return summarise(self.plan, fits, self.labels, self.patients, resamples=1000)[0]


def _named(steps: Mapping[str, TrainSettings]) -> dict[str, TrainSettings]:
    """Return the ladder's settings under names that can be part of a file's."""
    return {f"idea-{number}": settings for number, settings in enumerate(steps.values())}


def show_ideas(found: CrossValidation) -> None:
    """Print the ladder."""
    print(f"{'what each idea buys, one network a fold':<42} {'AUROC':>15} {'AUPRC':>15}")
    for name, method in zip(ladder(), found.methods.values(), strict=True):
        auroc, auprc = (method.single[figure] for figure in ("auroc", "auprc"))
        print(f"{name:<42} {auroc.mean:.4f} ({auroc.sd:.4f}) {auprc.mean:.4f} ({auprc.sd:.4f})")


def show_targets(features: str, found: CrossValidation) -> None:
    """Print a line for each target."""
    for figure, goal in zip(("auroc", "auprc"), GOALS.get(features, ()), strict=False):
        value = found.methods[LSTM].ensemble[figure].mean
        verdict = "met" if value >= goal else "missed"
        print(f"target {features} {figure.upper()} of the LSTM: {value:.4f} (>= {goal}) {verdict}")


def main() -> None:
    """Print the tables and the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=SOURCE)
    parser.add_argument("--features", nargs="+", default=list(GOALS))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="networks a fold")
    parser.add_argument("--seed", type=int, default=0, help="of the folds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--work", type=Path, default=Path("runs/bench-prediction"))
    parser.add_argument("--ideas", action=argparse.BooleanOptionalAction, default=True, help="the second table")
    arguments = parser.parse_args()
    reporter = Reporter()
    targets = []
    for features in arguments.features:
        started = time.monotonic()
        dataset = dataset_of(features, arguments.source, arguments.work, reporter)
        with reporter.stage("bench") as progress:
            bench = Bench(dataset, arguments.work / features, arguments, progress)
            found, chosen = bench.compared(arguments.seeds)
            ideas = bench.ideas() if arguments.ideas else None
        print(f"\n{features}")
        print(*table(found), sep="\n")
        counts = {name: int(np.sum([name == picked for picked in chosen.values()])) for name in CANDIDATES}
        print("chosen in folds: " + ", ".join(f"{name.removeprefix('candidate-')} {n}" for name, n in counts.items()))
        if ideas:
            show_ideas(ideas)
        seconds = time.monotonic() - started
        print(f"{seconds:.0f} s with {arguments.workers} workers (finished fits of an earlier run are kept)")
        targets.append((features, found))
    for features, found in targets:
        show_targets(features, found)


if __name__ == "__main__":
    main()
