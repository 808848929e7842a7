"""What attack tuning maximises, on results made by hand."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
import torch
from torch import Tensor

from lstm_adversarial_attack.attack.result import AttackResult, Found
from lstm_adversarial_attack.attack_tune.objectives import OBJECTIVES, area
from lstm_adversarial_attack.attack_tune.space import SPACES, defaults
from lstm_adversarial_attack.settings import AttackMethod, AttackTuneSettings

HOURS, FEATURES = 5, 4
CELLS = HOURS * FEATURES


def found(*changes: list[float]) -> Found:
    """Return examples by the changes of their first cells; none is a failure."""
    delta = torch.zeros(len(changes), CELLS)
    for row, values in enumerate(changes):
        delta[row, : len(values)] = torch.tensor(values)
    return Found.of(delta.view(-1, HOURS, FEATURES), torch.tensor([int(bool(values)) for values in changes]))


def result(first: Found, sparsest: Found, smallest: Found) -> AttackResult:
    nothing = torch.zeros(len(first.success), dtype=torch.int32)
    return AttackResult(first, sparsest, smallest, {}, nothing, nothing)


#: Turned by one cell of 2.0 or three of 0.25; by four of 0.5; not at all; by ten of 1.
MADE = result(
    first=found([2.0, 1.0], [-0.5] * 4, [], [1.0] * 10),
    sparsest=found([-2.0], [-0.5] * 4, [], [1.0] * 10),
    smallest=found([0.25, -0.25, 0.25], [-0.5] * 4, [], [1.0] * 10),
)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("area", (7 / 8 + 4 / 8 + 0 + 0) / 4),  # a failure, and more cells than 8, count nothing
        ("sparsity", 19 / 20 + 16 / 20 + 10 / 20),
        ("sparse_small", 17 / 20 / 0.75 + 16 / 20 / 2.0 + 10 / 20 / 10),
        ("sparse_small_max", 17 / 20 / 0.25 + 16 / 20 / 0.5 + 10 / 20 / 1.0),
        ("max_num_nonzero", 2),
    ],
)
def test_values_by_hand(objective: str, expected: float) -> None:
    assert OBJECTIVES[objective](MADE, 8) == pytest.approx(expected, rel=1e-6)


def test_the_area_is_that_under_the_curve_of_success_against_cells() -> None:
    l0 = MADE.l0
    curve = [float((l0 <= cells).float().mean()) for cells in range(8)]  # a step lasts until the next whole number
    assert area(MADE, 8) == pytest.approx(sum(curve) / 8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_nothing_found_is_worth_nothing(objective: str) -> None:
    assert OBJECTIVES[objective](result(*[found([], [])] * 3), 8) == 0.0


def test_one_sample_on_the_boundary_outweighs_a_hundred_in_the_reference_s_sums_and_not_in_the_area() -> None:
    def turned(*examples: list[float]) -> AttackResult:
        return result(*[found(*examples)] * 3)

    nothing: list[list[float]] = [[]] * 100
    boundary_alone = turned([1e-4], *nothing)
    all_others = turned([], *[[1.0]] * 100)
    for objective in ("sparse_small", "sparse_small_max"):
        assert OBJECTIVES[objective](boundary_alone, 8) > OBJECTIVES[objective](all_others, 8)
    assert area(boundary_alone, 8) < area(all_others, 8)


def test_every_objective_and_every_method_but_controls_can_be_asked_for() -> None:
    assert set(get_args(get_type_hints(AttackTuneSettings)["objective"])) == set(OBJECTIVES)
    assert set(get_args(AttackMethod)) - set(SPACES) == {"random", "gradient-free"}


@pytest.mark.parametrize("method", SPACES)
def test_the_first_trial_of_a_method_lies_in_its_space(method: str) -> None:
    for name, value in defaults(method).items():
        low, high, *_ = SPACES[method][name]
        if isinstance(low, str):
            assert value in SPACES[method][name]
        else:
            assert low <= value <= high


def test_sums_do_not_lose_what_float32_would() -> None:
    values: Tensor = torch.full((3000,), 1e-3)
    many = result(*[found(*[[float(value)] for value in values])] * 3)
    assert OBJECTIVES["sparse_small"](many, 8) == pytest.approx(3000 * 19 / 20 / 1e-3, rel=1e-6)
