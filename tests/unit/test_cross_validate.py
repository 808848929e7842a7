"""Cross-validation: every patient is held out once, and what is held out has no say in what is fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_adversarial_attack.cross_validate.core import Plan, Predicted, Task, ensemble
from lstm_adversarial_attack.cross_validate.folds import folds, held_back, in_units_of
from lstm_adversarial_attack.cross_validate.result import LSTM, summarise, table
from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.metrics import best_f1_threshold
from lstm_adversarial_attack.settings import Execution


def cohort(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, 120, 200)
    return (generator.random(200) < 0.3).astype(np.int64), patients


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_every_sample_is_held_out_once_and_no_patient_is_on_both_sides(seed: int, count: int) -> None:
    labels, patients = cohort(seed)
    parts = folds(labels, patients, count, seed)
    assert sorted(np.concatenate([part.test for part in parts]).tolist()) == list(range(200))
    for part in parts:
        assert not set(patients[part.train]) & set(patients[part.test])
        for member in range(6):
            train, validation = held_back(labels, patients, part, member, seed)
            assert sorted([*train, *validation]) == sorted(part.train)
            assert not set(patients[train]) & set(patients[validation])
            assert 0 < labels[validation].mean() < 1


def test_five_networks_are_stopped_by_all_training_patients_together() -> None:
    labels, patients = cohort(1)
    part = folds(labels, patients, 5, 0)[2]
    stopped_by = np.concatenate([held_back(labels, patients, part, member, 0)[1] for member in range(5)])
    assert sorted(stopped_by) == sorted(part.train)
    assert held_back(labels, patients, part, 5, 0)[1].tolist() == held_back(labels, patients, part, 0, 0)[1].tolist()


def test_too_few_deaths_are_told() -> None:
    labels, patients = np.zeros(50, np.int64), np.arange(50)
    labels[:3] = 1
    with pytest.raises(UserError, match=r"only 3 patients died, too few for 5 folds"):
        folds(labels, patients, 5, 0)


def test_units_are_those_of_the_training_samples_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    values = 3 * torch.randn(60, 8, 2, generator=generator) + 5
    observed = torch.rand(60, 8, 2, generator=generator) < 0.5
    static = torch.stack([torch.randn(60, generator=generator) + 7, (torch.arange(60) % 2).float()], dim=1)
    tensors = Tensors(values, observed, torch.zeros(60, dtype=torch.int64), static, torch.ones(60, 2, dtype=torch.bool))
    train = torch.arange(40)
    found = in_units_of(tensors, train)
    for feature in range(2):
        measured = found.values[train][..., feature][observed[train][..., feature]].double()
        assert float(measured.mean()) == pytest.approx(0, abs=1e-5)
        assert float(measured.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert float(found.static[train, 0].mean()) == pytest.approx(0, abs=1e-5)
    assert torch.equal(found.static[:, 1], static[:, 1])
    poisoned = values.clone()
    poisoned[40:] = torch.nan
    other = in_units_of(Tensors(poisoned, observed, tensors.labels, static, tensors.static_observed), train)
    assert torch.equal(other.values[train], found.values[train])


def test_an_ensemble_is_the_mean_of_log_odds() -> None:
    members = [np.array([0.2, 0.5]), np.array([0.8, 0.9])]
    np.testing.assert_allclose(ensemble(members), [0.5, 0.75])


def test_figures_by_hand(tmp_path: object) -> None:
    """Two folds of a method that is always right, and of one that knows nothing."""
    labels, patients = np.tile([0, 1], 20), np.arange(40)
    plan = Plan(dataset=tmp_path, folds=2, seed=3, methods={}, execution=Execution())  # type: ignore[arg-type]
    results = {}
    for fold in folds(labels, patients, 2, 3):
        right = np.where(labels[fold.test] == 1, 0.9, 0.1)
        validation = np.where(labels[held_back(labels, patients, fold, 0, 3)[1]] == 1, 0.9, 0.1)
        results[Task(LSTM, fold.number, 0)] = Predicted(right.tolist(), validation.tolist(), 7)
        results[Task("coin", fold.number, 0)] = Predicted([0.5] * len(fold.test))
    found, held_out = summarise(plan, results, labels, patients, resamples=50)
    best, coin = found.methods[LSTM], found.methods["coin"]
    assert (best.ensemble["auroc"].mean, best.ensemble["auprc"].mean) == (1.0, 1.0)
    assert best.ensemble["brier"].mean == pytest.approx(0.01)
    assert best.f1 is not None
    assert best.f1.folds == [1.0, 1.0]
    assert best.epochs_mean == 7
    assert coin.ensemble["auroc"].mean == 0.5
    assert coin.f1 is None
    assert found.differences["coin"]["auroc"].value == 0.5
    assert best_f1_threshold(labels, held_out[LSTM]) == pytest.approx(0.5)
    assert [line.split()[0] for line in table(found)[2:4]] == [LSTM, "coin"]
