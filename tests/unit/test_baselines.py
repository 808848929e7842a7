"""Baselines: their summaries are those of pandas, and no second target knows its own patient's label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.models import death_probability, predict_logits
from lstm_adversarial_attack.models.baselines import BASELINES, fit_baseline, lesson, summaries

HOURS, FEATURES = 12, 3


def samples(n: int, seed: int, signal: float = 2.0) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, HOURS, FEATURES, generator=generator)
    observed = torch.rand(n, HOURS, FEATURES, generator=generator) < 0.6
    labels = (signal * values[:, -1, 1] + torch.randn(n, generator=generator) > 1.5).long()
    static = torch.randn(n, 2, generator=generator)
    return Tensors(values, observed, labels, static, torch.rand(n, 2, generator=generator) < 0.8)


def test_summaries_are_those_of_pandas() -> None:
    given = samples(5, 3)
    found = summaries(given.values, *given.context)
    assert found.shape == (5, 13 * FEATURES + 2)
    for sample in range(5):
        measured = pd.DataFrame(
            np.where(given.observed[sample].numpy(), given.values[sample].numpy().astype(float), np.nan)
        )
        last_hour = [column.last_valid_index() for _, column in measured.items()]
        first, last = measured.bfill().iloc[0], measured.ffill().iloc[-1]
        expected = [
            *(measured.min(), measured.max(), measured.mean(), measured.std(ddof=0)),
            *(measured.iloc[:6].mean(), measured.iloc[6:].mean(), measured.iloc[-2:].mean(), measured.iloc[:2].mean()),
            *(first, last, last - first, measured.notna().sum()),
            pd.Series([np.nan if hour is None else HOURS - 1 - hour for hour in last_hour]),
            pd.Series(np.where(given.static_observed[sample], given.static[sample], np.nan)),
        ]
        np.testing.assert_allclose(found[sample], pd.concat(expected).astype(float), atol=1e-6)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_learns_and_answers_like_a_classifier(name: str) -> None:
    train, test = samples(400, 0), samples(200, 1)
    baseline = fit_baseline(name, train, np.arange(400))
    logits = predict_logits(baseline, test)
    assert logits.shape == (200, 2)
    assert roc_auc_score(test.labels, death_probability(logits)) > 0.75
    again = fit_baseline(name, train, np.arange(400))
    torch.testing.assert_close(predict_logits(again, test), logits, rtol=0, atol=1e-12)


def test_a_second_target_has_not_seen_the_patients_own_label() -> None:
    once = samples(150, 4, signal=0.0)  # nothing tells the label but having seen it
    twice = once[torch.arange(150).repeat(2)]
    labels = twice.labels.numpy()
    by_patient = lesson(twice, np.tile(np.arange(150), 2)).numpy()
    leaking = lesson(twice, np.arange(300)).numpy()
    assert roc_auc_score(labels, leaking) > 0.8
    assert roc_auc_score(labels, by_patient) < 0.65


def test_too_few_deaths_for_folds_give_the_share_of_deaths() -> None:
    given = samples(40, 5)
    labels = torch.zeros(40, dtype=torch.int64)
    labels[7] = 1
    one_death = Tensors(given.values, given.observed, labels, given.static, given.static_observed)
    assert lesson(one_death, np.arange(40)).unique().tolist() == pytest.approx([1 / 40])


@pytest.mark.parametrize("name", BASELINES)
def test_a_feature_never_measured_in_training_is_left_out(name: str) -> None:
    train, test = samples(200, 8), samples(50, 9)
    train.observed[:, :, 2] = False
    logits = predict_logits(fit_baseline(name, train, np.arange(200)), test)
    assert logits.isfinite().all()
    test.values[:, :, 2] += 100
    torch.testing.assert_close(predict_logits(fit_baseline(name, train, np.arange(200)), test), logits)
