"""Searching: a search that was killed and taken up again ends with the same trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileOpenLock

from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search import search


def parabola(trial: optuna.Trial, _number: int) -> float:
    x = trial.suggest_float("x", -4, 4)
    for step in range(6):
        trial.report(-(x**2) - 1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return -(x**2)


class KilledError(BaseException):
    """Stands for a kill: not even Optuna's own handling may run."""


def killed_at(finished: int) -> Any:
    def objective(trial: optuna.Trial, number: int) -> float:
        if number == finished:
            trial.report(trial.suggest_float("x", -4, 4), 0)
            raise KilledError
        return parabola(trial, number)

    return objective


def run(journal: Path, objective: Any = parabola, **options: Any) -> Search:
    return search(objective, name="test", journal=journal, trials=14, seed=options.pop("seed", 3), **options)


def test_the_trials_do_not_depend_on_kills(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.log", first={"x": 3.5})
    for finished in (0, 1, 6, 13):
        journal = tmp_path / f"killed-{finished}.log"
        for _ in range(2):
            with pytest.raises(KilledError):
                run(journal, killed_at(finished), first={"x": 3.5})
        assert run(journal, first={"x": 3.5}) == whole


def test_the_first_trial_is_the_one_given_and_the_best_is_no_worse(tmp_path: Path) -> None:
    found = run(tmp_path / "journal.log", first={"x": 0.25})
    assert found.trials[0].settings == {"x": 0.25}
    assert found.best_value >= -(0.25**2)
    assert len(found.trials) == 14


def test_a_line_cut_off_anywhere_is_dropped(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.log")
    content = (tmp_path / "whole.log").read_bytes()
    for place in range(7, len(content), len(content) // 25):
        journal = tmp_path / f"cut-{place}.log"
        journal.write_bytes(content[:place])
        assert run(journal) == whole


def test_the_lock_of_who_was_killed_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KilledError):
        run(tmp_path / "journal.log", killed_at(3))
    lock = tmp_path / "journal.log.lock"
    lock.touch()
    acquire = JournalFileOpenLock.acquire
    there: list[bool] = []

    def noted(self: JournalFileOpenLock) -> bool:
        there.append(lock.exists())
        lock.unlink(missing_ok=True)  # Optuna by itself waits 30 s for it to be given back
        return acquire(self)

    monkeypatch.setattr(JournalFileOpenLock, "acquire", noted)
    run(tmp_path / "journal.log")
    assert set(there) == {False}


def test_a_search_without_a_complete_trial_is_an_error(tmp_path: Path) -> None:
    def pruned(_trial: optuna.Trial, _number: int) -> float:
        raise optuna.TrialPruned

    with pytest.raises(UserError, match="none of 14 trials"):
        run(tmp_path / "journal.log", pruned)


def test_seeds_draw_differently(tmp_path: Path) -> None:
    settings = [[trial.settings for trial in run(tmp_path / f"{seed}.log", seed=seed).trials] for seed in (1, 2)]
    assert settings[0] != settings[1]


def test_pruned_trials_count_as_finished_but_are_never_best(tmp_path: Path) -> None:
    found = run(tmp_path / "journal.log")
    assert {trial.state for trial in found.trials} == {"COMPLETE", "PRUNED"}
    assert found.best_value == max(t.value for t in found.trials if t.state == "COMPLETE" and t.value is not None)


def test_a_finished_search_runs_no_more_trials(tmp_path: Path) -> None:
    whole = run(tmp_path / "journal.log")
    assert run(tmp_path / "journal.log", killed_at(14)) == whole
