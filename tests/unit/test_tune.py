"""What a search for hyperparameters draws from and judges by, and how the report shows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
import torch
from torch import Tensor

from lstm_adversarial_attack.artifacts import Artifact, Manifest
from lstm_adversarial_attack.artifacts.contents import Search, Trial
from lstm_adversarial_attack.datasets import LoadedDataset, Tensors
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.evaluate.study import searches_of, studies, study_figures
from lstm_adversarial_attack.models.baselines import lesson
from lstm_adversarial_attack.models.training import Fit, fit
from lstm_adversarial_attack.search import Attempt, Journal, Plan, search
from lstm_adversarial_attack.settings import (
    TrainSettings,
    TuneExecution,
    TuneSettings,
    as_manifest,
    checked,
    with_found,
)
from lstm_adversarial_attack.tune.folds import folds_of
from lstm_adversarial_attack.tune.space import SPACES, as_settings, defaults, suggest
from lstm_adversarial_attack.tune.stage import mean_score, objective_of

SMALL = TrainSettings(hidden_units=2, inputs="values", max_epochs=2, patience=2, distillation=0.5, batch_size=16)


# --- the space --------------------------------------------------------------------------------------------------


def drawn(space: str, trials: int = 60) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [suggest(study.ask(), space) for _ in range(trials)]


@pytest.mark.parametrize("space", SPACES)
def test_what_is_drawn_are_settings_of_train(space: str) -> None:
    for settings in drawn(space):
        found = as_manifest(with_found(TrainSettings(), settings))
        assert {name: found[name] for name in settings} == settings
        assert set(settings) <= {*SPACES[space], "weight_decay"}
    assert {name for settings in drawn(space) for name in settings} >= set(SPACES[space])


def test_the_first_trial_of_the_default_space_is_the_defaults_of_train(tmp_path: Path) -> None:
    tried: list[TrainSettings] = []

    def objective(attempt: Attempt) -> float:
        tried.append(checked(TrainSettings(**suggest(attempt.trial, "default"))))
        return 0.0

    plan = Plan("test", trials=1, seed=0, first=defaults("default"))
    search(lambda: objective, plan, Journal(tmp_path / "j.log"), objective="o", settings_of=as_settings)

    assert tried == [TrainSettings()]


def test_the_reference_space_is_the_published_one() -> None:
    found = drawn("reference", 400)
    assert {settings["hidden_units"] for settings in found} == {32, 64, 128}
    assert {settings["head_units"] for settings in found} == {16, 32, 64, 128, 256}
    assert {settings["batch_size"] for settings in found} == {32, 64, 128, 256}
    assert {settings["optimizer"] for settings in found} == {"adam", "rmsprop", "sgd"}
    assert {(s["state_activation"], s["head_activation"]) for s in found} == {
        (state, head) for state in ("relu", "tanh") for head in ("relu", "tanh")
    }
    assert min(settings["lr"] for settings in found) < 1e-4 < 1e-2 < max(settings["lr"] for settings in found)
    assert all(1e-5 <= settings["lr"] <= 1e-1 and 0 <= settings["dropout"] <= 0.5 for settings in found)


# --- folds ------------------------------------------------------------------------------------------------------


def dataset(samples: int = 80, deaths: int = 20) -> LoadedDataset:
    """Two samples a patient; 60 of them for training, the rest for validation and test."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(samples, 4, 3, generator=generator)
    labels = torch.zeros(samples, dtype=torch.int64)
    labels[torch.linspace(0, samples - 1, deaths).long()] = 1
    splits = ["train"] * 60 + ["validation", "test"] * ((samples - 60) // 2)
    frame = pl.DataFrame({"subject_id": np.arange(samples) // 2, "split": splits})
    tensors = Tensors(values, torch.ones(samples, 4, 3, dtype=torch.bool), labels)
    return LoadedDataset(tensors, frame, features=None, scaling=None)  # type: ignore[arg-type]


def test_folds_part_the_patients_of_the_training_split() -> None:
    given = dataset()
    patients = torch.tensor(given.samples["subject_id"].to_list())

    folds = folds_of(given, 3, seed=0)

    assert torch.cat([fold.left_out for fold in folds]).sort().values.tolist() == list(range(60))
    for fold in folds:
        assert not set(patients[fold.fitted_on].tolist()) & set(patients[fold.left_out].tolist())
        assert sorted([*fold.fitted_on.tolist(), *fold.left_out.tolist()]) == list(range(60))
        assert 3 <= int(fold.validation.labels.sum()) <= 7, "about a third of the 15 deaths"


def test_without_folds_the_validation_split_judges() -> None:
    given = dataset()
    (fold,) = folds_of(given, 0, seed=0)
    assert torch.equal(fold.fitted_on, given.of_split("train"))
    assert torch.equal(fold.left_out, given.of_split("validation"))


def test_validation_and_test_samples_have_no_part_in_the_folds() -> None:
    """A number that is none would spread to every score that it touches."""
    given = dataset()
    poisoned = given.tensors.values.clone()
    poisoned[60:] = torch.nan
    told: dict[bool, list[tuple[float, int]]] = {False: [], True: []}

    def score(values: torch.Tensor, noted: list[tuple[float, int]]) -> float:
        tensors = Tensors(values, given.tensors.observed, given.tensors.labels)
        folds = folds_of(replace(given, tensors=tensors), 2, seed=0)
        return mean_score(folds, SMALL, lambda value, step, **_: noted.append((value, step)))

    assert score(given.tensors.values, told[False]) == score(poisoned, told[True])
    assert told[False] == told[True]
    assert [step for _, step in told[True]] == [1, 2, 3, 4]


def test_the_score_is_the_mean_of_the_best_of_each_fold() -> None:
    folds = folds_of(dataset(), 2, seed=0)
    alone = [mean_score([fold], SMALL, lambda *_, **__: None) for fold in folds]
    told: list[float] = []

    together = mean_score(folds, SMALL, lambda value, _step, **__: told.append(value))

    assert together == pytest.approx(sum(alone) / 2)
    assert told[1] == pytest.approx(alone[0])
    assert told[3] == pytest.approx(together)


def test_what_gradient_boosting_teaches_is_made_once_for_all_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(train: Tensors, *others: Any) -> Tensor:
        made.append(len(train))
        return lesson(train, *others)

    monkeypatch.setattr("lstm_adversarial_attack.tune.folds.lesson", counted)
    folds = folds_of(dataset(), 2, seed=0)
    for _ in range(3):
        mean_score(folds, SMALL, lambda *_, **__: None)
    assert made == [len(fold.fitted_on) for fold in folds]


@pytest.mark.parametrize(("precision", "mixed"), [("mixed", True), ("float32", False), ("auto", False)])
def test_a_trial_is_fitted_in_the_precision_that_training_would_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, precision: Any, mixed: bool
) -> None:
    """On the CPU, where auto is float32."""
    monkeypatch.setattr("lstm_adversarial_attack.tune.stage.load_dataset", lambda *_: dataset())
    told: list[bool] = []

    def noted(*given: Any, mixed_precision: bool, **others: Any) -> Fit:
        told.append(mixed_precision)
        return fit(*given, mixed_precision=mixed_precision, **others)

    monkeypatch.setattr("lstm_adversarial_attack.tune.stage.fit", noted)
    execution = TuneExecution(device="cpu", precision=precision)
    objective = objective_of(artifact("dataset", "d", {}), TuneSettings(folds=2, max_epochs=1), execution)
    search(lambda: objective, Plan("test", 1, 0), Journal(tmp_path / "j.log"), objective="o")

    assert told == [mixed] * 2


@pytest.mark.parametrize(("folds", "deaths", "said"), [(1, 20, "nothing to learn from"), (9, 4, "only 3 patients")])
def test_too_few_folds_or_patients_are_told(folds: int, deaths: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        folds_of(dataset(deaths=deaths), folds, seed=0)


# --- the report -------------------------------------------------------------------------------------------------


FOUND = Search(
    "validation_auprc",
    {"lr": 0.01, "layers": 2},
    0.5,
    [
        Trial(0, "COMPLETE", 0.4, {"lr": 0.001, "layers": 1}),
        Trial(1, "PRUNED", 0.2, {"lr": 0.1, "layers": 1, "head": "relu"}),
        Trial(2, "COMPLETE", 0.5, {"lr": 0.01, "layers": 2}),
        Trial(3, "COMPLETE", 0.3, {"lr": 0.002, "layers": 2}),
    ],
    {"lr": 0.75, "layers": 0.25},
)


def points(figure: Any, name: str) -> list[tuple[Any, Any]]:
    trace = next(trace for trace in figure.data if trace["name"] == name)
    return list(zip(trace["x"], trace["y"], strict=True))


def test_a_search_is_shown_by_history_importance_and_slices() -> None:
    figures = study_figures({"hyperparameters": FOUND})

    assert set(figures) == {"tune-history", "tune-importance", "tune-slice-lr", "tune-slice-layers"}
    assert points(figures["tune-history"], "best so far") == [(1, 0.4), (2, 0.4), (3, 0.5), (4, 0.5)]
    assert points(figures["tune-history"], "pruned") == [(2, 0.2)]
    assert points(figures["tune-history"], "complete") == [(1, 0.4), (3, 0.5), (4, 0.3)]
    importance = figures["tune-importance"].data[0]
    assert list(zip(importance["y"], importance["x"], strict=True)) == [("layers", 0.25), ("lr", 0.75)]
    assert points(figures["tune-slice-lr"], "complete") == [(0.001, 0.4), (0.01, 0.5), (0.002, 0.3)]
    assert figures["tune-slice-lr"].layout["xaxis"]["type"] == "log"
    assert points(figures["tune-slice-layers"], "pruned") == [("1", 0.2)]


def test_a_search_is_told_in_numbers() -> None:
    (study,) = studies({"hyperparameters": FOUND})
    assert (study.complete, study.pruned, study.best_value, study.best_trial) == (3, 1, 0.5, 3)
    assert [(s.name, s.best, s.tried, s.importance) for s in study.settings] == [
        ("lr", "0.01", "0.001 to 0.1", 0.75),
        ("layers", "2", "1 to 2", 0.25),
        ("head", "\N{EN DASH}", "relu", None),
    ]


def artifact(kind: str, digest: str, inputs: dict[str, str]) -> Artifact:
    manifest = Manifest(
        kind=kind,
        schema_version=1,
        stage="x",
        settings={},
        seed=0,
        inputs=inputs,
        files={},
        rows={},
        digest=digest,
        environment={},
    )
    return Artifact(Path(kind), manifest)


@pytest.mark.parametrize(("kind", "user"), [("hyperparameters", "model"), ("attack-settings", "examples")])
def test_a_search_that_the_model_or_the_attack_was_not_made_with_is_refused(kind: str, user: str) -> None:
    for inputs in ({kind: "another"}, {}):
        given = {kind: artifact(kind, "this", {}), user: artifact(user, "that", inputs)}
        with pytest.raises(UserError, match=f"{user} was made without this artifact"):
            searches_of(given)
