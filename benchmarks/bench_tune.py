"""A fixed budget of trials with two workers against one: trials/s, with a journal file and in PostgreSQL.

Every trial does the same work: a fit of a fixed number of epochs at fixed settings, without pruning. What is timed is
the search from the first trial's begin to the last one's end, without the start of the workers' processes.

Run it on a quiet machine with two cores at least:
    OMP_NUM_THREADS=1 python benchmarks/bench_tune.py
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.devices import derive_seed, prepare
from lstm_adversarial_attack.models.training import Epoch, fit
from lstm_adversarial_attack.search import Attempt, Journal, Objective, Place, Plan, search
from lstm_adversarial_attack.search.database import Database
from lstm_adversarial_attack.settings import Execution, TrainSettings
from postgres_server import Server, running_postgres

HOURS, FEATURES = 48, 19
GOAL = 1.6


@dataclass(frozen=True)
class Work:
    """What one trial does."""

    samples: int
    epochs: int


def tensors(samples: int, seed: int) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(samples, HOURS, FEATURES, generator=generator)
    observed = torch.rand(samples, HOURS, FEATURES, generator=generator) < 0.3
    return Tensors(values, observed, (values[:, -6:, 0].mean(dim=1) > 0.5).long())


def prepared(work: Work) -> Objective:
    """Return an objective whose trials are equal but for a parameter that changes nothing."""
    prepare(Execution(device="cpu"))
    train, validation = tensors(work.samples, 0), tensors(work.samples // 4, 1)

    def objective(attempt: Attempt) -> float:
        attempt.trial.suggest_float("nothing", 0, 1)
        settings = TrainSettings(
            max_epochs=work.epochs, patience=work.epochs, seed=derive_seed("bench", attempt.number), hidden_units=64
        )

        def report(epoch: Epoch) -> None:
            attempt.report(epoch.score, epoch.epoch, may_prune=False)

        return fit(train, validation, settings, on_epoch=report).best.score

    return objective


def seconds(place: Place, name: str, work: Work, trials: int, workers: int) -> float:
    """Return the time from the first trial's begin to the last one's end."""
    search(partial(prepared, work), Plan(name, trials, 0), place, objective="auprc", workers=workers)
    done = place.open(name).get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert len(done) == trials
    return (max(t.datetime_complete for t in done) - min(t.datetime_start for t in done)).total_seconds()


def measure(
    kind: str, place_of: Callable[[str, int], Place], work: Work, trials: int, repeats: int
) -> list[tuple[int, float]]:
    """Return the best trials/s of each number of workers; they take turns, so that both meet the same machine."""
    best = {1: 0.0, 2: 0.0}
    for repeat in range(repeats):
        for workers in best:
            name = f"{kind}-{repeat}-{workers}"
            taken = seconds(place_of(name, workers), name, work, trials, workers)
            best[workers] = max(best[workers], trials / taken)
    return list(best.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--samples", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    work = Work(given.samples, given.epochs)
    print(f"{given.trials} trials of {work.epochs} epochs over {work.samples} samples, {os.cpu_count()} cores")
    print(f"{'study in':<12}{'workers':>8}{'trials/s':>10}{'times':>8}")
    with tempfile.TemporaryDirectory() as folder, running_postgres() as server:
        os.environ["PGPASSWORD"] = server.password
        make_database(server)
        places: dict[str, Callable[[str, int], Place]] = {
            "journal": lambda name, workers: Journal(Path(folder) / f"{name}.log", alone=workers == 1),
            "postgresql": lambda _name, _workers: Database(server.address("studies")),
        }
        for kind, place_of in places.items():
            rates = measure(kind, place_of, work, given.trials, given.repeats)
            for workers, rate in rates:
                print(f"{kind:<12}{workers:>8}{rate:>10.3f}{rate / rates[0][1]:>8.2f}")
            gain = rates[1][1] / rates[0][1]
            print(
                f"target tune-workers-{kind}: {gain:.2f} times (at least {GOAL}) {'met' if gain >= GOAL else 'missed'}"
            )


def make_database(server: Server) -> None:
    with closing(server.as_admin("postgres")) as admin, admin.cursor() as cursor:
        cursor.execute(f"create database studies owner {server.user}")


if __name__ == "__main__":
    main()
