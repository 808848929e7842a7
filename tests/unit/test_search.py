"""Searching: a search that was killed and taken up again ends with the same trials; workers that share lose none."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from lstm_adversarial_attack.artifacts.contents import Search
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.search import START_UP_TRIALS, Attempt, Journal, Objective, Plan, search
from lstm_adversarial_attack.search.place import make_study
from lstm_adversarial_attack.search.trials import Clock, MedianSoFar, Retry, draw, try_again
from lstm_adversarial_attack.search.worker import work

TRIALS = 14


def parabola(attempt: Attempt) -> float:
    x = attempt.trial.suggest_float("x", -4, 4)
    for step in range(6):
        attempt.report(-(x**2) - 1 / (step + 1), step, may_prune=step > 2)
    return -(x**2)


class KilledError(BaseException):
    """Stands for a kill: not even Optuna's own handling may run."""


def killed_at(finished: int) -> Any:
    def objective(attempt: Attempt) -> float:
        if attempt.number == finished:
            attempt.report(attempt.trial.suggest_float("x", -4, 4), 0)
            raise KilledError
        return parabola(attempt)

    return objective


def run(journal: Path, objective: Objective = parabola, *, seed: int = 3, **of_plan: Any) -> Search:
    plan = Plan(**{"name": "test", "trials": TRIALS, "seed": seed, **of_plan})
    return search(lambda: objective, plan, Journal(journal), objective="height")


# --- one worker: the same trials whatever happens ---------------------------------------------------------------


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
    assert len(found.trials) == TRIALS


def test_a_line_cut_off_anywhere_is_dropped(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.log")
    content = (tmp_path / "whole.log").read_bytes()
    for place in range(7, len(content), len(content) // 12):
        journal = tmp_path / f"cut-{place}.log"
        journal.write_bytes(content[:place])
        assert run(journal) == whole


def test_the_lock_of_who_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    """Optuna's own locks are files that stay behind: whoever comes next waits for who is dead."""
    holder, child = os.pipe()
    pid = os.fork()
    if pid == 0:
        with (tmp_path / "journal.lock").open("wb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            os.write(child, b"x")
            time.sleep(600)
    os.read(holder, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (tmp_path / "journal.lock").exists()

    assert len(run(tmp_path / "journal.log", trials=2).trials) == 2


def test_a_search_without_a_complete_trial_is_an_error(tmp_path: Path) -> None:
    def pruned(_attempt: Attempt) -> float:
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
    assert run(tmp_path / "journal.log", killed_at(TRIALS)) == whole


# --- what is drawn, pruned and said -----------------------------------------------------------------------------


def sphere(attempt: Attempt) -> float:
    """Depends on x alone."""
    values = [attempt.trial.suggest_float(name, -1, 1) for name in "xyzuv"]
    return -abs(values[0] - 0.4)


def test_trials_of_the_start_up_draw_a_share_of_the_parameters_anew(tmp_path: Path) -> None:
    first = dict.fromkeys("xyzuv", 0.125)

    found = run(tmp_path / "journal.log", sphere, first=first, vary=0.4)

    changed = [sum(value != 0.125 for value in trial.settings.values()) for trial in found.trials]
    assert changed[:START_UP_TRIALS] == [0, 2, 2, 2, 2]
    assert min(changed[START_UP_TRIALS:]) > 2


def test_importances_name_the_parameter_that_matters(tmp_path: Path) -> None:
    found = run(tmp_path / "journal.log", sphere, trials=40)

    assert max(found.importances, key=lambda name: found.importances[name]) == "x"
    assert sum(found.importances.values()) == pytest.approx(1, abs=1e-5)


def test_too_few_or_equal_trials_have_no_importances(tmp_path: Path) -> None:
    assert run(tmp_path / "few.log", sphere, trials=3).importances == {}
    assert run(tmp_path / "flat.log", lambda attempt: 0 * sphere(attempt)).importances == {}


def test_the_median_is_of_the_values_that_trials_had_reached_by_then() -> None:
    """Medians by hand: of trials that ended early, the last value counts."""
    study = make_study("test", optuna.storages.InMemoryStorage())
    for last_step, value in ((1, 0.1), (1, 0.2), (9, 0.3), (9, 0.4), (9, 0.9)):
        reached = dict.fromkeys(range(1, last_step + 1), value)
        study.add_trial(create_trial(value=value, intermediate_values=reached))

    def pruned(value: float, step: int) -> bool:
        trial = study.ask()
        trial.report(value, step)
        ended = trial.should_prune()
        study.tell(trial, state=TrialState.FAIL)
        return ended

    assert isinstance(study.pruner, MedianSoFar)
    assert [pruned(value, 8) for value in (0.29, 0.3, 0.31)] == [True, False, False]
    assert [pruned(0.29, step) for step in (0, 1)] == [False, True]


def test_no_trial_is_pruned_before_enough_are_complete() -> None:
    study = make_study("test", optuna.storages.InMemoryStorage())
    for _ in range(START_UP_TRIALS - 1):
        study.add_trial(create_trial(value=1.0, intermediate_values={1: 1.0}))
    trial = study.ask()
    trial.report(0.0, 1)
    assert not trial.should_prune()


# --- time -------------------------------------------------------------------------------------------------------


def endless(attempt: Attempt) -> float:
    """The first trial takes three steps, however little time there is; others never end by themselves."""
    attempt.trial.suggest_float("x", 0, 1)
    for step in range(3 if attempt.number == 0 else 10**6):
        attempt.report(0.5, step)
        time.sleep(0.01)
    return 0.5


def test_the_time_is_kept_but_for_one_complete_trial(tmp_path: Path) -> None:
    nothing_left = run(tmp_path / "one.log", endless, max_minutes=1e-9)
    assert [trial.state for trial in nothing_left.trials] == ["COMPLETE"]

    some_left = run(tmp_path / "cut.log", endless, max_minutes=0.5 / 60)
    assert [trial.state for trial in some_left.trials] == ["COMPLETE"], "the trial that was cut off is not a result"


# --- several workers on a journal -------------------------------------------------------------------------------


def prepared(folder: Path, *, deadly: int = 0, together: int = 1) -> Objective:
    """Return an objective that leaves a file for each trial it is at; the first ``deadly`` of them kill the worker.

    No trial ends before ``together`` workers are at one, however long another takes to start.
    """

    def objective(attempt: Attempt) -> float:
        x = attempt.trial.suggest_float("x", -4, 4)
        begun = next(number for number in count() if claimed(folder / str(number)))
        if begun < deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        deadline = time.monotonic() + 120
        while len(workers_of(folder)) < together:
            assert time.monotonic() < deadline, "the others never began"
            time.sleep(0.02)
        return -(x**2)

    return objective


def claimed(place: Path) -> bool:
    """Tell whether this worker is the first to leave its number here."""
    try:
        place.symlink_to(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def workers_of(folder: Path) -> set[Path]:
    """Return which workers have begun a trial."""
    return {place.readlink() for place in folder.iterdir()}


def run_crew(folder: Path, *, deadly: int = 0, together: int = 1, trials: int = 8) -> tuple[Search, list[str]]:
    begun = folder / "begun"
    begun.mkdir()
    said: list[str] = []
    found = search(
        partial(prepared, begun, deadly=deadly, together=together),
        Plan("test", trials, seed=0, first={"x": 1.0}),
        Journal(folder / "journal.log", alone=False),
        objective="height",
        workers=2,
        say=said.append,
    )
    return found, said


def trials_of(journal: Path) -> list[optuna.trial.FrozenTrial]:
    return Journal(journal, alone=False).open("test").get_trials()


def test_two_workers_finish_exactly_as_many_trials_as_asked_for(tmp_path: Path) -> None:
    found, said = run_crew(tmp_path, together=2)

    assert len(found.trials) == 8
    assert found.trials[0].settings == {"x": 1.0}
    assert len({trial.settings["x"] for trial in found.trials}) == 8, "no two workers drew the same"
    assert [trial.state for trial in trials_of(tmp_path / "journal.log")] == [TrialState.COMPLETE] * 8
    assert len(workers_of(tmp_path / "begun")) == 2, "both have worked"
    assert said == []


@pytest.mark.parametrize("look", range(1, 7))
def test_a_trial_of_another_worker_that_ends_between_two_looks_is_counted_once(
    look: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, plan = Journal(tmp_path / "journal.log", alone=False), Plan("test", 2, 0)
    study = place.open("test")
    study.add_trial(create_trial(value=0.0))
    other = study.ask()
    place.sign(other, "other")
    looks, usual = iter(range(1, 1000)), study.get_trials

    def looked(*arguments: Any, **options: Any) -> list[FrozenTrial]:
        if next(looks) == look:
            study.tell(other.number, 1.0)
        return usual(*arguments, **options)

    monkeypatch.setattr(study, "get_trials", looked)
    work(place, study, plan, parabola, worker="this", clock=Clock(plan))
    assert [trial.state for trial in usual()] == [TrialState.COMPLETE] * 2


def test_the_trial_of_a_killed_worker_is_tried_again_by_another(tmp_path: Path) -> None:
    found, said = run_crew(tmp_path, deadly=1)

    trials = trials_of(tmp_path / "journal.log")
    dropped = [trial for trial in trials if trial.state == TrialState.FAIL]
    again = [trial for trial in trials if trial.system_attrs.get("failed_trial") == dropped[0].number]
    assert len(found.trials) == 8
    assert len(dropped) == 1
    assert [(trial.state, trial.params) for trial in again] == [(TrialState.COMPLETE, dropped[0].params)]
    assert said == ["a worker was ended by signal 9; its trial is tried again"]


def drawn_in_turn(plan: Plan, *, number: int = 0, kills: int) -> list[dict[str, Any]]:
    """Return what is drawn as the trial ``number`` as often as it kills its worker."""
    study, found = make_study("test", optuna.storages.InMemoryStorage()), []
    for _ in range(kills):
        trial = draw(study, plan, number)
        found.append({name: trial.suggest_float(name, -1, 1) for name in "xyzuv"})
        try_again(study, study.get_trials()[trial.number], Retry())
    return found


@pytest.mark.parametrize("number", [0, 2, 7])
@pytest.mark.parametrize("first", [{}, dict.fromkeys("xyzuv", 0.125)], ids=["", "first"])
def test_another_trial_takes_the_place_of_one_that_always_kills_its_worker(number: int, first: dict[str, Any]) -> None:
    found = drawn_in_turn(Plan("test", 8, seed=0, first=first, vary=0.4), number=number, kills=12)

    assert [found.index(parameters) for parameters in found] == [0] * 4 + [4] * 4 + [8] * 4
    if number == 0 and first:
        assert found[0] == first


def test_what_is_drawn_without_trials_given_up_stays_as_it_was(tmp_path: Path) -> None:
    """Whatever was dropped before: the numbers are those of a journal of an earlier version."""
    with pytest.raises(KilledError):
        run(tmp_path / "journal.log", killed_at(6), first={"x": 3.5})
    found = run(tmp_path / "journal.log", first={"x": 3.5})
    drawn = [trial.settings["x"] for trial in found.trials[:START_UP_TRIALS]]
    assert drawn == pytest.approx([3.5, 2.588291, 2.128847, -2.93455, 1.473392], abs=1e-6)


def test_a_trial_that_another_has_taken_before_it_was_signed_is_left_to_them(tmp_path: Path) -> None:
    """As where a claim's connection broke, and who claimed next found a trial without a worker."""
    stolen: list[int] = []

    class Robbed(Journal):
        def sign(self, trial: optuna.Trial, worker: str) -> None:
            if not stolen:
                stolen.append(trial.number)
                study.tell(trial.number, state=TrialState.FAIL)
            super().sign(trial, worker)

    place, plan = Robbed(tmp_path / "journal.log", alone=False), Plan("test", 2, seed=0)
    study = place.open(plan.name)
    work(place, study, plan, parabola, worker="me", clock=Clock(plan))

    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, *[TrialState.COMPLETE] * 2]
    assert stolen == [0]


def test_workers_that_always_die_end_the_search_with_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="killed again and again"):
        run_crew(tmp_path, deadly=100)


def refused() -> Objective:
    raise UserError("no data here; bring some")


def test_what_a_worker_says_to_the_user_reaches_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data here; bring some"):
        search(refused, Plan("t", 2, 0), Journal(tmp_path / "j.log", alone=False), objective="o", workers=2)


def test_a_shared_search_goes_on_after_a_kill_of_all(tmp_path: Path) -> None:
    """What a killed command has left running is tried again."""
    study = Journal(tmp_path / "journal.log", alone=False).open("test")
    left = draw(study, Plan("test", 8, seed=0, first={"x": 1.0}), 0)
    left.suggest_float("x", -4, 4)
    left.set_user_attr("worker", "of a command that was killed")

    found, _ = run_crew(tmp_path)

    assert len(found.trials) == 8
    assert found.trials[0].settings == {"x": 1.0}
    assert not [t for t in trials_of(tmp_path / "journal.log") if t.state in (TrialState.RUNNING, TrialState.WAITING)]
