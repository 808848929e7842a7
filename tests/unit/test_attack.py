"""The attack on models whose smallest perturbation is known in closed form."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.attack import METHODS, AttackResult, attack
from lstm_adversarial_attack.attack.methods.waiting import Waiting
from lstm_adversarial_attack.models import Decision, LstmClassifier

HOURS, FEATURES = 8, 5
KINDS = ("first", "sparsest", "smallest")


class Scored(nn.Module):
    """Logits (-s/2, s/2) of a score s of the values: label 0 where s is negative."""

    def __init__(self, score: Any) -> None:
        super().__init__()
        self.score = score

    def forward(self, values: Tensor, *context: Tensor) -> Tensor:
        score = self.score(values, *context) / 2
        return torch.stack([-score, score], dim=1)


def linear(weights: Tensor, bias: float) -> Scored:
    return Scored(lambda values: (values * weights).flatten(1).sum(dim=1) - bias)


#: Methods that find the sparsest example of simple models, and those that find the smallest to half a per cent.
SPARSE = ("frontier", "greedy", "ista", "sigma-zero", "fmn")
EXACT = ("frontier",)


@pytest.mark.parametrize("method", SPARSE)
@pytest.mark.parametrize("samples", [1, 3, 64])
@pytest.mark.parametrize("label", [0, 1])
def test_linear_model_flips_by_its_strongest_cell(samples: int, label: int, method: str) -> None:
    generator = torch.Generator().manual_seed(samples)
    weights = torch.rand(HOURS, FEATURES, generator=generator) * 0.5
    weights[2, 3] = 2.0
    # Distance to the boundary along the strongest cell: |s| / 2.
    distance = torch.linspace(0.5, 3.0, samples)
    values = torch.zeros(samples, HOURS, FEATURES)
    values[:, 0, 0] = (2 * distance * (1 if label else -1)) / weights[0, 0]
    result = attack(linear(weights, 0.0), values, torch.full((samples,), label), method=method)
    assert result.success.all()
    assert result.sparsest.l0.tolist() == [1] * samples
    assert (result.delta("sparsest")[:, 2, 3] != 0).all()
    assert (result.smallest.l1 >= distance * (1 - 1e-5)).all()
    if method in EXACT:
        assert (result.smallest.l1 <= 1.005 * distance).all()
        assert (result.frontier["l1"].at_most[:, 0] <= 1.005 * distance).all()


@pytest.mark.parametrize("method", SPARSE)
def test_two_cells_are_needed_when_one_meets_its_bound(method: str) -> None:
    weights = torch.zeros(HOURS, FEATURES)
    weights[1, 1], weights[4, 2] = 1.0, 0.9
    values, labels = torch.zeros(4, HOURS, FEATURES), torch.zeros(4, dtype=torch.int64)
    result = attack(linear(weights, 1.5), values, labels, method=method, lower=-1.0, upper=1.0)
    assert result.sparsest.l0.tolist() == [2] * 4
    if method in EXACT:
        assert result.smallest.l1.tolist() == pytest.approx([1 + 0.5 / 0.9] * 4, rel=0.005)
        assert result.frontier["l1"].sizes[:, 0].tolist() == [torch.inf] * 4
        assert result.frontier["l1"].sizes[:, 1].tolist() == pytest.approx([1 + 0.5 / 0.9] * 4, rel=0.005)
        # The least largest change has both cells move alike.
        assert result.frontier["linf"].sizes[:, 1].tolist() == pytest.approx([1.5 / 1.9] * 4, rel=0.02)


@pytest.mark.parametrize("method", ["frontier", "greedy"])
def test_the_larger_of_two_needs_one(method: str) -> None:
    score = Scored(lambda v: torch.maximum(v[:, 0, 0], v[:, 5, 4]) - 1.0)
    values = torch.zeros(2, HOURS, FEATURES)
    values[0, 0, 0] = values[1, 5, 4] = 0.2  # at a tie the gradient points along both, for ever
    result = attack(score, values, torch.zeros(2, dtype=torch.int64), method=method)
    assert result.success.all()
    assert result.sparsest.l0.tolist() == [1, 1]
    assert result.smallest.l1.tolist() == pytest.approx([0.8, 0.8], rel=0.005)


def test_a_saturating_model_is_turned_by_its_smallest_change() -> None:
    weights = torch.zeros(HOURS, FEATURES)
    weights[3, 1], weights[6, 0] = 1.0, 0.4
    # Far from the boundary the score hardly changes: its slope at 0 is 1 / cosh(4)^2 of that at the boundary.
    score = Scored(lambda v: torch.tanh((v * weights).flatten(1).sum(dim=1) - 4.0))
    values, labels = torch.zeros(3, HOURS, FEATURES), torch.zeros(3, dtype=torch.int64)
    result = attack(score, values, labels, lower=-10.0, upper=10.0)
    assert result.sparsest.l0.tolist() == [1] * 3
    assert result.smallest.l1.tolist() == pytest.approx([4.0] * 3, rel=0.005)


def test_a_masked_gradient_fools_all_but_forward_passes() -> None:
    score = Scored(lambda v: (v[:, 2, 2] > 0.5).float() - 0.5 + 0 * v.flatten(1).sum(dim=1))
    values, labels = torch.zeros(4, HOURS, FEATURES), torch.zeros(4, dtype=torch.int64)
    blind = attack(score, values, labels, lower=-1.0, upper=1.0, method="ista")
    assert not blind.success.any()
    seeing = attack(score, values, labels, lower=-1.0, upper=1.0, method="gradient-free")
    assert seeing.sparsest.l0.tolist() == [1] * 4


@pytest.mark.parametrize("method", METHODS)
def test_the_cheapest_is_what_costs_least(method: str) -> None:
    weights = torch.zeros(HOURS, FEATURES)
    weights[1, 1], weights[4, 2] = 1.0, 0.9
    cost = torch.ones(HOURS, FEATURES)
    cost[1, 1] = 4.0
    values, labels = torch.zeros(2, HOURS, FEATURES), torch.zeros(2, dtype=torch.int64)
    result = attack(linear(weights, 0.5), values, labels, cost=cost, method=method, lower=-1.0, upper=1.0)
    if method == "frontier":
        assert result.frontier["cost"].sizes[:, 0].tolist() == pytest.approx([0.5 / 0.9] * 2, rel=0.005)
        assert (result.frontier["cost"].delta(1)[:, 4, 2] > 0.5).all()
        assert (result.frontier["l1"].delta(1)[:, 1, 1] > 0.49).all()
    assert (result.frontier["cost"].sizes >= 0.5 / 0.9 * (1 - 1e-5)).all()


def test_an_unreachable_boundary_is_a_failure_with_nothing_in_it() -> None:
    weights = torch.ones(HOURS, FEATURES)
    result = attack(
        linear(weights, 1.0), torch.zeros(2, HOURS, FEATURES), torch.zeros(2, dtype=torch.int64), upper=0.01, steps=20
    )
    assert not result.success.any()
    for kind in KINDS:
        assert result.delta(kind).abs().max() == 0
        assert result.found(kind).iteration.tolist() == [0, 0]


def search_cost(result: AttackResult) -> Tensor:
    """Return gradient evaluations, and thirds for forward passes, but for the look before and for the verification."""
    verified = torch.stack([result.found(kind).success.int() for kind in KINDS]).sum(dim=0)
    for frontier in result.frontier.values():
        verified += frontier.sizes.isfinite().sum(dim=1)
    return result.gradients + (result.forwards - 1 - verified) / 3


class CudnnLike(nn.Module):
    """An LSTM that can only go backward when it is in train mode, as cuDNN's."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, 4, batch_first=True)
        self.output = nn.Linear(4, 2)

    def forward(self, values: Tensor) -> Tensor:
        if values.requires_grad and not self.lstm.training:
            raise RuntimeError("cudnn RNN backward can only be called in training mode")
        logits: Tensor = self.output(self.lstm(values)[0][:, -1])
        return logits


def test_every_batch_can_go_backward_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.nn.Parameter.is_cuda", True, raising=False)
    torch.manual_seed(0)
    model, values = CudnnLike(), torch.randn(7, HOURS, FEATURES)
    labels = model(values).argmax(dim=1)
    modes = []
    model.lstm.register_forward_hook(lambda module, _inputs, _outputs: modes.append(module.training))
    attack(model, values, labels, steps=20, batch_size=3)
    assert not modes[-1], "verified in eval mode"
    assert model.lstm.training, "left as it was"


@pytest.mark.parametrize("step", [None, 0.002])
def test_the_default_turns_no_fewer_than_its_parts(step: float | None) -> None:
    """Samples that need many cells, because each may move by little."""
    torch.manual_seed(11)
    model = Decision(lstm(11), 0.5).eval()
    values = torch.randn(24, HOURS, FEATURES)
    observed = torch.rand(24, HOURS, FEATURES) < 0.5
    labels = model(values, observed).argmax(dim=1)

    def turned(method: str) -> int:
        zeros = torch.zeros_like(values)

        class Changed(nn.Module):
            def forward(self, change: Tensor, values: Tensor, observed: Tensor) -> Tensor:
                return model(values + change, observed)

        bounds = {"lower": -0.6, "upper": 0.6, "step": step}
        result = attack(Changed(), zeros, labels, context=(values, observed), method=method, **bounds)
        assert float(search_cost(result).max()) <= 300
        return int(result.success.sum())

    others = [turned(method) for method in ("greedy", "ista", "gradient-free")]
    assert max(others) > 0
    assert turned("frontier") >= max(others)


def lstm(seed: int, hidden: int = 8) -> LstmClassifier:
    torch.manual_seed(seed)
    return LstmClassifier(Architecture(FEATURES, hidden, 1, True, 0.3))


def attacked_lstm(seed: int, samples: int, **options: Any) -> tuple[nn.Module, Tensor, Tensor, Tensor, AttackResult]:
    model = Decision(lstm(seed), 0.5).eval()
    values = torch.randn(samples, HOURS, FEATURES)
    observed = torch.rand(samples, HOURS, FEATURES) < 0.5
    labels = model(values, observed).argmax(dim=1)
    return model, values, observed, labels, attack(model, values, labels, context=(observed,), **options)


@given(
    seed=st.integers(0, 1000),
    samples=st.integers(1, 6),
    low=st.floats(-2, 0.5),
    width=st.floats(0.1, 4),
    method=st.sampled_from(list(METHODS)),
)
@settings(max_examples=60, deadline=None)
def test_examples_keep_to_bounds_and_cells_and_do_turn(
    seed: int, samples: int, low: float, width: float, method: str
) -> None:
    torch.manual_seed(seed)
    editable = torch.rand(HOURS, FEATURES) < 0.7
    lower, upper = torch.full((FEATURES,), low), torch.full((FEATURES,), low + width)
    model, values, observed, labels, result = attacked_lstm(
        seed, samples, lower=lower, upper=upper, editable=editable, steps=40, method=method
    )
    for kind in KINDS:
        perturbed = values + result.delta(kind)
        assert (perturbed >= torch.minimum(lower, values) - 1e-5).all()
        assert (perturbed <= torch.maximum(upper, values) + 1e-5).all()
        assert (result.delta(kind)[:, ~editable] == 0).all()
        turned = model(perturbed, observed).argmax(dim=1) != labels
        assert (turned == result.success).all()
    frontier = result.frontier["l1"]
    for count in range(1, frontier.sizes.shape[1] + 1):
        there = frontier.sizes[:, count - 1].isfinite()
        delta = frontier.delta(count)[there]
        assert ((delta != 0).flatten(1).sum(dim=1) == count).all()
        torch.testing.assert_close(delta.abs().flatten(1).sum(dim=1), frontier.sizes[there, count - 1])
        assert (model(values[there] + delta, observed[there]).argmax(dim=1) != labels[there]).all()
    assert (result.sparsest.l0 <= result.smallest.l0).all()
    assert (result.smallest.l1 <= result.first.l1 + 1e-5).all()
    assert (result.first.iteration <= result.sparsest.iteration).all()


@given(
    seed=st.integers(0, 1000),
    samples=st.integers(1, 5),
    step=st.floats(0.01, 1.5),
    offset=st.floats(-0.4, 0.4),
    low=st.floats(-3, 0),
    high=st.floats(0, 3),
    method=st.sampled_from(["frontier", "greedy", "ista"]),
)
@settings(max_examples=40, deadline=None)
def test_examples_keep_to_steps(
    seed: int, samples: int, step: float, offset: float, low: float, high: float, method: str
) -> None:
    torch.manual_seed(seed)
    model = Decision(lstm(seed), 0.5).eval()
    values, changes = torch.randn(samples, HOURS, FEATURES), torch.zeros(samples, HOURS, FEATURES)
    observed = torch.ones_like(values, dtype=torch.bool)

    class Changed(nn.Module):
        def forward(self, change: Tensor, values: Tensor, observed: Tensor) -> Tensor:
            return model(values + change, observed)

    labels = model(values, observed).argmax(dim=1)
    result = attack(
        Changed(),
        changes,
        labels,
        context=(values, observed),
        lower=low,
        upper=high,
        step=torch.tensor(step),
        offset=torch.tensor(offset * step),
        steps=40,
        method=method,
    )
    for kind in KINDS:
        delta = result.delta(kind)
        assert (delta >= low - 1e-5).all()
        assert (delta <= high + 1e-5).all()
        steps = (delta[delta != 0] - offset * step) / step
        torch.testing.assert_close(steps, steps.round(), atol=2e-3, rtol=0)
        turned = model(values + delta, observed).argmax(dim=1) != labels
        assert (turned == result.success).all()
    assert float(search_cost(result).max()) <= 40
    frontier = result.frontier["l1"]
    for count in range(1, frontier.sizes.shape[1] + 1):
        there = frontier.sizes[:, count - 1].isfinite()
        assert ((frontier.delta(count)[there] != 0).flatten(1).sum(dim=1) == count).all()


def test_the_fewest_steps_are_found() -> None:
    # 1.1 of the strongest cell alone would do; in steps of 0.5 it takes three of them, and two with one of the weaker.
    weights = torch.zeros(HOURS, FEATURES)
    weights[1, 1], weights[4, 2] = 1.0, 0.3
    values, labels = torch.zeros(2, HOURS, FEATURES), torch.zeros(2, dtype=torch.int64)
    result = attack(linear(weights, 1.1), values, labels, step=torch.tensor(0.5), lower=-5.0, upper=5.0)
    assert result.sparsest.l0.tolist() == [1, 1]
    assert result.l1.tolist() == pytest.approx([1.5, 1.5])
    # An offset makes it 1.2 in two steps.
    moved = attack(
        linear(weights, 1.1),
        values,
        labels,
        step=torch.tensor(0.5),
        offset=torch.tensor(0.2),
        lower=-5.0,
        upper=5.0,
    )
    assert moved.l1.tolist() == pytest.approx([1.2, 1.2])


@pytest.fixture(scope="module", params=[0, 1])
def trained(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A small LSTM that has learned a rule, with samples that it gets right, half of them of each class.

    An LSTM with random weights and cells without bounds turns by dozens of standard deviations or not at all, and
    descents from different starts then end at different places for ever.
    """
    torch.manual_seed(request.param)
    model = LstmClassifier(Architecture(FEATURES, 8, 1, True, 0.0))
    values, observed = torch.randn(512, HOURS, FEATURES).clamp(-3, 3), torch.rand(512, HOURS, FEATURES) < 0.5
    score = 2.8 * values[:, :, 0].mean(dim=1) + values[:, -1, 1] - 0.5 * values[:, :, 2].amax(dim=1)
    score = score + values[:, -2:, 3].mean(dim=1) * values[:, -2:, 4].mean(dim=1)
    labels = (score > score.quantile(0.7)).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(values, observed), labels).backward()
        optimizer.step()
    decision = Decision(model, 0.5).eval()
    with torch.no_grad():
        right = decision(values, observed).argmax(dim=1) == labels
    chosen = torch.cat([(right & (labels == label)).nonzero()[:16, 0] for label in (0, 1)])
    return decision, values[chosen], observed[chosen], labels[chosen]


def test_more_steps_turn_no_fewer_and_end_no_larger(trained: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    model, values, observed, labels = trained
    results = [
        attack(model, values, labels, context=(observed,), lower=-3.0, upper=3.0, steps=steps)
        for steps in (2, 10, 50, 300, 600)
    ]
    rates = [float(result.success.float().mean()) for result in results]
    assert rates == sorted(rates)
    assert rates[-2:] == [1.0, 1.0]
    medians = [float(result.l1.median()) for result in results]
    assert medians[-1] == pytest.approx(medians[-2], rel=0.02)
    assert results[-1].l0.median() == results[-2].l0.median()


@pytest.mark.parametrize(("method", "share"), [("ista", 0.6), ("sigma-zero", 0.4)])
def test_samples_that_make_no_progress_cost_less(
    trained: tuple[nn.Module, Tensor, Tensor, Tensor], method: str, share: float
) -> None:
    model, values, observed, labels = trained
    result = attack(model, values, labels, context=(observed,), lower=-3.0, upper=3.0, steps=300, method=method)
    assert result.success.all()
    assert float(result.gradients.float().mean()) <= share * 300
    if method == "ista":
        whole = attack(
            model, values, labels, context=(observed,), lower=-3.0, upper=3.0, steps=300, method=method, tolerance=0.0
        )
        assert set(whole.gradients.tolist()) == {300}
        assert float(result.l1.median()) <= 1.02 * float(whole.l1.median())


def test_waiting_ends_where_nothing_falls_and_something_was_found() -> None:
    waiting = Waiting(torch.full((4,), torch.inf), 0.1, 300, tolerance=0.01)
    assert [step for step in range(12) if waiting.looks(step)] == [4, 9]
    done = torch.zeros(4, dtype=torch.int64)
    for step in range(4, 200, 5):
        # Found at once and left as it is; falling by half a per cent alone; halved all the time; never found.
        size = torch.tensor([1.0, 0.995 if step > 10 else 1.0, 0.9**step, torch.inf])
        over = waiting.done(step, size)
        done = torch.where(over & (done == 0), step, done)
    assert done.tolist() == [34, 34, 0, 0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steps", [1, 7, 60, 300])
def test_no_method_costs_more_than_its_budget(method: str, steps: int) -> None:
    result = attacked_lstm(4, 24, steps=steps, method=method)[-1]
    assert float(search_cost(result).max()) <= steps


def test_the_margin_asked_for_is_reached() -> None:
    model, values, observed, labels, result = attacked_lstm(5, 16, kappa=0.2)
    logits = model(values + result.delta("smallest"), observed)
    gap = logits.gather(1, 1 - labels[:, None]) - logits.gather(1, labels[:, None])
    assert result.success.all()
    assert (gap >= 0.2 - 1e-5).all()


def test_samples_do_not_depend_on_their_batch() -> None:
    model, values, observed, labels, together = attacked_lstm(7, 6)
    for i in range(6):
        alone = attack(model, values[i : i + 1], labels[i : i + 1], context=(observed[i : i + 1],))
        assert alone.sparsest.l0.item() == together.sparsest.l0[i].item()
        assert alone.l1.item() == pytest.approx(together.l1[i].item(), rel=5e-3)


def test_the_model_is_left_as_it_was() -> None:
    model = lstm(1)
    model.train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    values, observed = torch.randn(4, HOURS, FEATURES), torch.ones(4, HOURS, FEATURES, dtype=torch.bool)
    attack(model, values, torch.zeros(4, dtype=torch.int64), context=(observed,), steps=5)
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_costs_are_counted() -> None:
    calls = 0

    def score(values: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return values.flatten(1).sum(dim=1) - 1

    values, labels = torch.zeros(1, HOURS, FEATURES), torch.zeros(1, dtype=torch.int64)
    result = attack(Scored(score), values, labels, steps=30, method="ista", batch_size=1)
    assert result.gradients.tolist() == [30]
    assert (result.gradients + result.forwards).tolist() == [calls]


@pytest.mark.parametrize(
    ("values", "labels", "options", "said"),
    [
        (torch.zeros(2, 3), torch.zeros(2), {}, "sample, hour, feature"),
        (torch.zeros(2, 3, 4), torch.zeros(3), {}, "labels"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"steps": 0}, "steps"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"method": "none"}, "frontier, greedy"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"sparsity": 0.5}, "no option sparsity"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"cost": torch.zeros(4)}, "cost"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"step": torch.zeros(4)}, "step"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"offset": 0.1}, "no step"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"upper": float("nan")}, "NaN"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"most_cells": 0}, "most_cells"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"batch_size": -1}, "batch_size"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"editable": torch.ones(5)}, "editable"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"problem": None}, "no option problem"),
        (torch.zeros(2, 3, 4), torch.full((2,), 2), {}, "0 or 1"),
        (torch.zeros(2, 3, 4, dtype=torch.float64), torch.zeros(2), {}, "float32"),
        (torch.zeros(2, 3, 4), torch.zeros(2), {"lower": 1.0, "upper": -1.0}, "lower"),
    ],
)
def test_bad_arguments_are_refused(values: Tensor, labels: Tensor, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        attack(linear(torch.ones(3, 4), 0.0), values, labels.long(), **options)


def test_a_model_of_three_classes_is_refused() -> None:
    three = nn.Sequential(nn.Flatten(), nn.Linear(HOURS * FEATURES, 3))
    with pytest.raises(ValueError, match=r"logits \[sample, 2\]"):
        attack(three, torch.zeros(2, HOURS, FEATURES), torch.zeros(2, dtype=torch.int64))


def test_a_threshold_moves_the_decision() -> None:
    model = lstm(2)
    values, observed = torch.randn(64, HOURS, FEATURES), torch.ones(64, HOURS, FEATURES, dtype=torch.bool)
    probability = model.eval()(values, observed).softmax(dim=1)[:, 1].detach()
    threshold = float(probability.median())
    decided = Decision(model, threshold)(values, observed).argmax(dim=1)
    near = (probability - threshold).abs() < 1e-6
    assert ((decided == 1) == (probability >= threshold))[~near].all()
