"""The smallest single edit of each measurement, on models whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lstm_adversarial_attack.attack.engine import single_edits
from lstm_adversarial_attack.attack.problem import Grid, Problem
from lstm_adversarial_attack.attack.singles import singles_of

HOURS, FEATURES = 5, 3


def problem(weights: Tensor, bias: float, bound: float, step: float | None = None, samples: int = 2) -> Problem:
    """A linear model that needs ``bias`` more to turn, cells that move by ``bound`` at most."""

    def model(values: Tensor) -> Tensor:
        score = ((values * weights).flatten(1).sum(dim=1) - bias) / 2
        return torch.stack([-score, score], dim=1)

    zeros = torch.zeros(samples, HOURS * FEATURES)
    grid = None if step is None else Grid(torch.full_like(zeros, step), torch.zeros_like(zeros))
    counts = torch.zeros(samples, dtype=torch.int32)
    return Problem(
        model=model,
        values=zeros.view(samples, HOURS, FEATURES),
        labels=torch.zeros(samples, dtype=torch.int64),
        context=(),
        low=zeros - bound,
        high=zeros + bound,
        weight=torch.ones_like(zeros),
        grid=grid,
        kappa=0.0,
        batch=7,
        rows=torch.arange(samples),
        gradients=counts,
        forwards=counts.clone(),
    )


@pytest.mark.parametrize("step", [None, 0.25])
def test_a_linear_model_has_one_smallest_edit_of_each_measurement(step: float | None) -> None:
    weights = torch.zeros(HOURS, FEATURES)
    weights[1, 0], weights[3, 0], weights[4, 1], weights[2, 2] = 1.0, 2.0, -1.0, 0.1
    found = singles_of(problem(weights, 1.1, 3.0, step))
    # Hour 3 of the first measurement needs 0.55, hour 4 of the second -1.1, hour 2 of the third 11: too far.
    wanted = [0.55, -1.1, 0.0] if step is None else [0.75, -1.25, 0.0]
    for sample in range(2):
        assert found.change[sample].tolist() == pytest.approx(wanted, rel=0.02)
        assert found.hour[sample].tolist() == [3, 4, -1]
        assert found.peak[sample].tolist() == [3, 4, 2]
        assert found.saliency[sample].tolist() == pytest.approx([3.0, 1.0, 0.1])
        assert found.changeable[sample].tolist() == [HOURS] * FEATURES


def test_a_cell_without_a_bound_goes_as_far_as_it_takes() -> None:
    weights = torch.zeros(HOURS, FEATURES)
    weights[0, 0], weights[1, 2] = 1.0, -0.5
    found = singles_of(problem(weights, 2.0, torch.inf, 0.25))
    assert found.change[0].tolist() == pytest.approx([2.25, 0.0, -4.25])  # beyond the boundary by a step
    assert found.peak[0].tolist() == [0, -1, 1]


@pytest.mark.parametrize(("offset", "wanted"), [(0.4, 0.4), (-0.4, 0.6), (0.2, 1.2)])
def test_the_first_of_steps_with_an_offset_is_found(offset: float, wanted: float) -> None:
    weights = torch.zeros(HOURS, FEATURES)
    weights[2, 1] = 1.0
    asked = problem(weights, 0.35, 5.0, 1.0)
    asked = replace(asked, grid=Grid(asked.grid.step, torch.full_like(asked.low, offset)))
    asked = replace(asked, high=asked.grid.inward(asked.high), low=asked.grid.inward(asked.low))
    assert singles_of(asked).change[:, 1].tolist() == pytest.approx([wanted, wanted])


def test_costs_are_counted_and_nobody_is_turned_who_cannot_be() -> None:
    asked = problem(torch.ones(HOURS, FEATURES), 10.0, 1.0)
    found = singles_of(asked)
    assert (found.change == 0).all()
    assert (found.hour == -1).all()
    assert (asked.gradients == 1).all()
    assert (asked.forwards > 0).all()


def test_who_is_called_wrongly_already_has_no_edit() -> None:
    found = singles_of(problem(torch.ones(HOURS, FEATURES), -1.0, 3.0))
    assert (found.hour == -1).all()


def test_against_every_cell_and_step_of_a_small_lstm() -> None:
    torch.manual_seed(0)
    lstm, head = torch.nn.LSTM(FEATURES, 6, batch_first=True), torch.nn.Linear(6, 2, bias=False)
    for weight in lstm.parameters():
        weight.data *= 2.5

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head, self.shift = lstm, head, torch.zeros(2)

        def forward(self, values: Tensor) -> Tensor:
            logits: Tensor = self.head(self.lstm(values)[0][:, -1]) - self.shift
            return logits

    # Centred, so that either class is near.
    model, values = Model().eval(), torch.randn(24, HOURS, FEATURES) / 2
    model.shift = model(values).detach().median(dim=0).values
    labels = model(values).argmax(dim=1)
    found = single_edits(model, values, labels, lower=values - 3, upper=values + 3, step=0.25, batch_size=5)
    steps = [k * 0.25 for k in range(-12, 13) if k]
    least = torch.full((24, FEATURES), torch.inf)
    for hour in range(HOURS):
        for feature in range(FEATURES):
            for size in steps:
                tried = values.clone()
                tried[:, hour, feature] += size
                turns = model(tried).argmax(dim=1) != labels
                least[:, feature] = torch.where(turns, least[:, feature].clamp_max(abs(size)), least[:, feature])
    there = found.hour >= 0
    assert 10 <= there.sum() < there.numel()  # some turn and some do not
    assert (least[there] <= found.change[there].abs()).all()  # none is smaller than the smallest there is
    assert (found.change[there].abs() <= least[there] + 0.25 + 1e-6).float().mean() >= 0.9
    assert (there == least.isfinite()).float().mean() >= 0.85  # few are missed
    rows, columns = there.nonzero(as_tuple=True)
    edited = values[rows].clone()
    edited[torch.arange(len(rows)), found.hour[rows, columns].long(), columns] += found.change[rows, columns]
    assert (model(edited).argmax(dim=1) != labels[rows]).all()
