"""Fitting: it learns, it stops, and a fit that was cut off ends with the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.models import death_probability, predict_logits
from lstm_adversarial_attack.models.lstm import LstmClassifier, Read
from lstm_adversarial_attack.models.training import DivergedError, Epoch, Fit, fit
from lstm_adversarial_attack.settings import TrainSettings

#: The LSTM alone: the toy's signal lies in every hour, measured or not.
PLAIN = TrainSettings(
    inputs="masks",
    encoding_bins=0,
    projection_units=0,
    shortcut_units=0,
    hours_per_step=1,
    hidden_units=8,
    batch_size=16,
    lr=0.01,
)
SETTINGS = replace(PLAIN, max_epochs=6, patience=6)
#: Everything that a checkpoint has to keep.
EVERYTHING = TrainSettings(
    hidden_units=4,
    layers=2,
    decay=True,
    encoding_bins=3,
    projection_units=6,
    shortcut_units=5,
    input_dropout=0.2,
    weight_averaging=0.9,
    schedule="one-cycle",
    class_weight=2.0,
    max_epochs=6,
    patience=6,
    batch_size=32,
)


def samples(n: int, seed: int) -> Tensors:
    """Make samples whose label shows in the mean of one feature."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, 10, 3, generator=generator)
    labels = (values[:, :, 1].mean(dim=1) + 0.1 * torch.randn(n, generator=generator) > 0.25).long()
    return Tensors(values, torch.rand(n, 10, 3, generator=generator) < 0.5, labels)


TRAIN, VALIDATION = samples(300, 0), samples(150, 1)


def same_weights(a: Fit, b: Fit) -> bool:
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_it_learns_what_there_is_to_learn() -> None:
    fitted = fit(TRAIN, VALIDATION, replace(PLAIN, max_epochs=25))
    assert fitted.best.validation_auroc is not None
    assert fitted.best.validation_auroc > 0.9
    assert fitted.history[-1].train_loss < 0.7 * fitted.history[0].train_loss


def test_the_best_epochs_weights_are_kept() -> None:
    fitted = fit(TRAIN, VALIDATION, SETTINGS)
    assert fitted.best.score == max(epoch.score for epoch in fitted.history)
    loss = torch.nn.functional.cross_entropy(predict_logits(fitted.model, VALIDATION), VALIDATION.labels)
    assert float(loss) == fitted.best.validation_loss


def test_without_validation_all_epochs_are_made_and_the_last_weights_kept() -> None:
    told: list[Epoch] = []
    done = fit(TRAIN, None, SETTINGS, on_epoch=told.append)
    assert [epoch.epoch for epoch in told] == [1, 2, 3, 4, 5, 6]
    assert done.best == told[-1]
    assert all(epoch.validation_loss is None and epoch.validation_auprc is None for epoch in told)
    judged = fit(TRAIN, TRAIN, SETTINGS)  # is best in the last epoch, as it is judged by what it learns
    assert judged.best.epoch == SETTINGS.max_epochs
    assert [epoch.train_loss for epoch in judged.history] == [epoch.train_loss for epoch in told]
    assert all(torch.equal(a, b) for a, b in zip(done.model.parameters(), judged.model.parameters(), strict=True))


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    first, again = fit(TRAIN, VALIDATION, SETTINGS), fit(TRAIN, VALIDATION, SETTINGS)
    assert same_weights(first, again)
    assert first.history == again.history
    other = replace(SETTINGS, seed=1)
    assert not same_weights(first, fit(TRAIN, VALIDATION, other))


class CutOffError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2, 5])
@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        EVERYTHING,
        replace(SETTINGS, optimizer="sgd"),
        replace(SETTINGS, optimizer="rmsprop"),
        replace(SETTINGS, optimizer="adam"),
    ],
    ids=lambda settings: f"{settings.inputs}-{settings.optimizer}",
)
def test_a_fit_that_was_cut_off_ends_with_the_same_bits(tmp_path: Path, settings: TrainSettings, after: int) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    torch.manual_seed(after)  # what the process drew before must not matter

    def cut_off(epoch: Epoch) -> None:
        if epoch.epoch == after:
            raise CutOffError

    with pytest.raises(CutOffError):
        fit(TRAIN, VALIDATION, settings, checkpoint=checkpoint, on_epoch=cut_off)
    epochs: list[int] = []
    resumed = fit(TRAIN, VALIDATION, settings, checkpoint=checkpoint, on_epoch=lambda e: epochs.append(e.epoch))
    whole = fit(TRAIN, VALIDATION, settings)
    assert epochs == list(range(after + 1, 7))
    assert resumed.history == whole.history
    assert same_weights(resumed, whole)


def test_it_stops_when_validation_gets_no_better() -> None:
    noise = Tensors(VALIDATION.values, VALIDATION.observed, VALIDATION.labels[torch.randperm(150)])
    settings = replace(PLAIN, max_epochs=50, patience=3)
    fitted = fit(TRAIN, noise, settings)
    assert len(fitted.history) < 50
    assert len(fitted.history) - fitted.best.epoch == 3


def test_a_validation_split_of_one_class_falls_back_to_the_loss() -> None:
    survivors = VALIDATION[(VALIDATION.labels == 0).nonzero().flatten()]
    fitted = fit(TRAIN, survivors, SETTINGS)
    assert fitted.best.validation_auprc is None
    assert fitted.best.validation_loss == min(epoch.validation_loss for epoch in fitted.history)


def test_divergence_is_told() -> None:
    with pytest.raises(DivergedError, match=r"diverged in epoch 1.*lower --lr"):
        fit(TRAIN, VALIDATION, replace(PLAIN, max_epochs=2, lr=1e6, weight_decay=1e5))


@pytest.mark.parametrize(("lr", "logit"), [(1e6, 0.0), (0.01, 3e38)], ids=["loss of training", "loss of validation"])
def test_a_loss_that_is_no_number_is_told_though_the_outputs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lr: float, logit: float
) -> None:
    """A checkpoint could not hold it: JSON knows no such number."""

    decide = LstmClassifier.decide

    def outputs(model: LstmClassifier, read: Read) -> torch.Tensor:
        if model.training:
            return decide(model, read)
        return torch.tensor([logit, -logit]).expand(len(read.steps), 2)

    monkeypatch.setattr(LstmClassifier, "decide", outputs)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(DivergedError, match=r"diverged in epoch 1: its loss is no number; lower --lr"):
        fit(TRAIN, VALIDATION, replace(PLAIN, max_epochs=2, lr=lr, weight_decay=lr / 10), checkpoint=checkpoint)
    assert not checkpoint.exists()


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    logits = torch.randn(20, 2)
    np.testing.assert_allclose(death_probability(logits), logits.double().softmax(dim=1)[:, 1], rtol=1e-12)
