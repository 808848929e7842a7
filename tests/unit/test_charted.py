"""How changes of charted values reach the model's input, and what bounds them, by hand-made samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from lstm_adversarial_attack.artifacts.contents import Scaling
from lstm_adversarial_attack.attack.charting import carried, shown_hours
from lstm_adversarial_attack.attack.target import Target, typical_changes
from lstm_adversarial_attack.attack.threats import threat_of
from lstm_adversarial_attack.catalogue import Feature, FeatureSet, Measurement, Source
from lstm_adversarial_attack.datasets import LoadedDataset, Tensors
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.frames import MEASUREMENTS, with_features
from lstm_adversarial_attack.models import Decision
from lstm_adversarial_attack.settings import AttackSettings

HOURS = 6
SOURCES = (Source("labevents", (1,)),)
FEATURES = FeatureSet(
    "tiny",
    (
        Feature("upper", Measurement("", "", 120.0, 1.0, (40.0, 200.0), SOURCES, exceeds=("lower",))),
        Feature("lower", Measurement("", "", 60.0, 1.0, (20.0, 150.0), SOURCES)),
        Feature("volume", Measurement("", "", 50.0, 5.0, (0.0, 300.0), SOURCES, hourly="sum")),
        Feature("acid", Measurement("", "", 7.4, 0.1, (6.8, 7.8), SOURCES)),
    ),
)
MEAN, STD = [100.0, 60.0, 40.0, 7.0], [10.0, 5.0, 20.0, 0.5]
CLEAR = AttackSettings(steps=60)

#: stay, minute, feature, value
Row = tuple[int, int, str, float]


class Sum(nn.Module):
    """Logits of the sum of some cells, above or below a border."""

    def __init__(self, weights: Tensor, border: float) -> None:
        super().__init__()
        self.weights, self.border = weights, border

    def forward(self, values: Tensor, *_: Tensor) -> Tensor:
        score = (values * self.weights).flatten(1).sum(dim=1) - self.border
        return torch.stack([-score, score], dim=1)


def target_of(rows: list[Row], model: nn.Module, folder: Path) -> Target:
    """Return the target that `preprocess` would make of ``rows`` (normal values where nothing is charted)."""
    events = pl.DataFrame(rows, schema=["stay_id", "minute", "feature", "value"], orient="row")
    schema = with_features(MEASUREMENTS, FEATURES.names)
    cast = events.select([pl.col(name).cast(kind) for name, kind in schema.items()])
    folder.mkdir(exist_ok=True)
    cast.sort(cast.columns).write_parquet(folder / "measurements.parquet")
    stays = sorted({row[0] for row in rows})
    values = np.empty((len(stays), HOURS, len(FEATURES.features)))
    observed = np.zeros(values.shape, bool)
    for at, stay in enumerate(stays):
        for column, feature in enumerate(FEATURES.features):
            sums = feature.measurement.hourly == "sum"
            last = 0.0 if sums else feature.measurement.normal
            for hour in range(HOURS):
                own = [row[3] for row in rows if row[0] == stay and row[1] // 60 == hour and row[2] == feature.name]
                observed[at, hour, column] = bool(own)
                if own:
                    last = sum(own) if sums else sum(own) / len(own)
                values[at, hour, column] = last
                last = 0.0 if sums else last
    scaled = torch.from_numpy((values - MEAN) / STD).float()
    labels = torch.zeros(len(stays), dtype=torch.int64)
    samples = pl.DataFrame({"stay_id": stays, "split": ["train"] * len(stays)})
    dataset = LoadedDataset(
        Tensors(scaled, torch.from_numpy(observed), labels), samples, FEATURES, Scaling(MEAN, STD, "standard")
    )
    ones = torch.ones(len(FEATURES.features))
    return Target(Decision(model, 0.5).eval(), dataset, -99 * ones, 99 * ones, ones, folder / "measurements.parquet")


def only(hour: int, feature: str, weight: float = 1.0) -> Tensor:
    weights = torch.zeros(HOURS, len(FEATURES.features))
    weights[hour, FEATURES.names.index(feature)] = weight
    return weights


def attacked(rows: list[Row], model: nn.Module, folder: Path, settings: AttackSettings = CLEAR, kind: str = "smallest"):
    target = target_of(rows, model, folder)
    threat = threat_of(target, settings)
    index = torch.arange(len(target.dataset.tensors))
    result = threat.attack(index, target.decision(target.dataset.tensors.values).argmax(dim=1))
    edits = threat.edits(index, result.found(kind))
    return result, edits, threat.perturbed(index, result.delta(kind)) - target.dataset.tensors.values


def test_what_shows_what() -> None:
    observed = torch.zeros(1, 4, 4, dtype=torch.bool)
    observed[0, 1, 0] = observed[0, 3, 0] = observed[0, 1, 2] = True
    shown = shown_hours(observed, FEATURES)
    assert shown[0, :, 0].tolist() == [-1, 1, 1, 3]
    assert shown[0, :, 2].tolist() == [-1, 1, -1, -1]
    change = torch.zeros(1, 4, 4)
    change[0, 1, 0], change[0, 3, 0], change[0, 1, 2], change[0, 0, 0] = 2.0, 5.0, 3.0, 9.0
    assert carried(change, shown)[0, :, 0].tolist() == [0, 2, 2, 5]
    assert carried(change, shown)[0, :, 2].tolist() == [0, 3, 0, 0]


def test_a_change_goes_on_until_the_next_charted_value(tmp_path: Path) -> None:
    # The model looks at hour 3, in which nothing is charted: what was charted in hour 1 has to change, by
    # 0.4 standard deviations or 4 units.
    rows: list[Row] = [(1, 70, "upper", 100.0), (1, 90, "upper", 110.0), (1, 250, "upper", 90.0)]
    result, edits, change = attacked(rows, Sum(only(3, "upper"), 0.85), tmp_path)
    assert result.success.tolist() == [True]
    assert edits.select("minute", "value", "edited").rows() == [(70, 100.0, 104.0), (90, 110.0, 114.0)]
    assert change[0, :, 0].tolist() == pytest.approx([0, 0.4, 0.4, 0.4, 0, 0], abs=1e-6)
    assert result.sparsest.l0.tolist() == [1]


def test_a_value_that_was_never_charted_cannot_change(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 70, "upper", 100.0)]
    result, edits, _ = attacked(rows, Sum(only(0, "upper") + only(2, "lower"), 50.0), tmp_path)
    assert not result.success.any()
    assert len(edits) == 0


def test_all_values_of_an_hour_stay_in_range_and_precision(tmp_path: Path) -> None:
    # The mean may rise by 2 of the 10 units only: one value of the hour reaches 200 then.
    rows: list[Row] = [(1, 10, "upper", 198.0), (1, 20, "upper", 100.0)]
    weights = only(0, "upper")
    within, _, _ = attacked(rows, Sum(weights, 4.9 + 0.195), tmp_path / "within")
    beyond, _, _ = attacked(rows, Sum(weights, 4.9 + 0.205), tmp_path / "beyond")
    assert (within.success.tolist(), beyond.success.tolist()) == ([True], [False])
    # 0.01 of 0.5 are needed, and acid is charted in steps of 0.1.
    _, edits, _ = attacked([(1, 10, "acid", 7.2)], Sum(only(0, "acid"), 0.41), tmp_path / "steps")
    assert edits["edited"].to_list() == [7.3]


def test_what_was_charted_between_steps_is_rounded_and_counted(tmp_path: Path) -> None:
    # 7.16 and 7.42 become 7.2 and 7.4 when they are charted anew: +0.02 on their sum, before they move.
    rows: list[Row] = [(1, 10, "acid", 7.16), (1, 20, "acid", 7.42)]
    _, edits, change = attacked(rows, Sum(only(0, "acid"), (7.29 - 7.0) / 0.5 + 0.18), tmp_path)
    assert edits["edited"].to_list() == [7.3, 7.5]
    assert change[0, 0, 3].item() == pytest.approx((7.4 - 7.29) / 0.5, abs=1e-5)


def test_volumes_move_each_by_the_step_and_in_their_hour_alone(tmp_path: Path) -> None:
    rows: list[Row] = [(1, 70, "volume", 20.0), (1, 80, "volume", 30.0)]
    _, edits, change = attacked(rows, Sum(only(1, "volume"), 0.5 + 0.6), tmp_path)
    assert edits.select("value", "edited").rows() == [(20.0, 30.0), (30.0, 40.0)]
    assert change[0, :, 2].tolist() == pytest.approx([0, 1.0, 0, 0, 0, 0], abs=1e-6)


def test_volumes_of_an_hour_stay_in_range_together(tmp_path: Path) -> None:
    # 250 of 300 are there: each of the two may rise by 25, not by the 170 and 180 that each has room for.
    rows: list[Row] = [(1, 70, "volume", 120.0), (1, 80, "volume", 130.0)]
    within, _, _ = attacked(rows, Sum(only(1, "volume"), (290 - 40) / 20), tmp_path / "within")
    beyond, _, _ = attacked(rows, Sum(only(1, "volume"), (305 - 40) / 20), tmp_path / "beyond")
    assert (within.success.tolist(), beyond.success.tolist()) == ([True], [False])


def test_what_exceeds_another_measurement_still_does(tmp_path: Path) -> None:
    # Apart by 20 units: each keeps to its side of the middle, less half a step, so 9 whole units are allowed.
    rows: list[Row] = [(1, 0, "upper", 100.0), (1, 130, "lower", 80.0)]
    within, edits, _ = attacked(rows, Sum(only(0, "upper", -1.0), 0.85), tmp_path / "within")
    beyond, _, _ = attacked(rows, Sum(only(0, "upper", -1.0), 0.95), tmp_path / "beyond")
    assert (within.success.tolist(), beyond.success.tolist()) == ([True], [False])
    assert edits["edited"].to_list() == [91.0]
    # Before both are charted nothing holds it back.
    alone, _, _ = attacked([(1, 0, "upper", 100.0)], Sum(only(0, "upper", -1.0), 5.5), tmp_path / "alone")
    assert alone.success.all()


def test_a_rate_leaves_each_of_two_hours_half_of_what_is_left(tmp_path: Path) -> None:
    # Rises by 0.5 standard deviations in two hours; 1.5 are allowed in that time, so 0.5 are left to each.
    rows: list[Row] = [(1, 0, "upper", 100.0), (1, 130, "upper", 105.0)]
    limited = replace(CLEAR, max_rate=0.75)
    within, _, _ = attacked(rows, Sum(only(2, "upper"), 0.5 + 0.45), tmp_path / "within", limited)
    beyond, _, _ = attacked(rows, Sum(only(2, "upper"), 0.5 + 0.55), tmp_path / "beyond", limited)
    assert (within.success.tolist(), beyond.success.tolist()) == ([True], [False])
    # Downwards 1.0 is left.
    down, _, _ = attacked(rows, Sum(only(2, "upper", -1.0), -0.5 + 0.95), tmp_path / "down", limited)
    assert down.success.all()


def test_one_slip_and_two(tmp_path: Path) -> None:
    # 142 -> 124 (-1.8) is the least of the slips that bring the sum below 3.0; two are needed below that of any one.
    settings = replace(CLEAR, threat="data-entry")
    rows: list[Row] = [(1, 0, "upper", 142.0), (1, 130, "lower", 65.0)]
    weights = only(0, "upper", -1.0) + only(2, "lower", -1.0)
    model = Sum(weights, -5.2 + 1.75)  # upper is 4.2, lower 1.0
    result, edits, _ = attacked(rows, model, tmp_path / "one", settings)
    assert edits.select("value", "edited", "slip").rows() == [(142.0, 124.0, "transposed")]
    assert result.sparsest.l0.tolist() == [1]
    few: list[Row] = [(1, 0, "acid", 7.3), (1, 130, "acid", 7.1)]
    model = Sum(only(0, "acid") + only(2, "acid"), 0.8 + 13.1)
    # Of each 7.x only "point" and "transposed" and "dropped" slips: 3.7 and 1.7, 3.0, 7.0, 73, 730, 71, ...; copies.
    result, edits, _ = attacked(few, model, tmp_path / "two", settings, kind="sparsest")
    assert result.success.all()
    assert len(edits) == result.sparsest.l0.item()


def test_single_slips_are_the_least_in_every_size(tmp_path: Path) -> None:
    # All slips of two values that turn: the least in L1, in L-infinity and in cost are each among them.
    rows: list[Row] = [(1, 0, "upper", 142.0), (1, 130, "lower", 65.0)]
    target = target_of(rows, Sum(only(0, "upper", -1.0) + only(2, "lower", -1.0), -4.7), tmp_path)
    cost = torch.tensor([0.1, 5.0, 1.0, 1.0])
    threat = threat_of(replace(target, cost=cost), replace(CLEAR, threat="data-entry"))
    result = threat.attack(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    # upper 4.2, lower 1.0: 142 -> 124 is 1.8 and costs 0.18; 65 -> 56 is 1.8 of lower and costs 9.
    assert result.frontier["cost"].sizes[0, 0].item() == pytest.approx(0.18, rel=1e-4)
    assert result.frontier["l1"].sizes[0, 0].item() == pytest.approx(1.8, rel=1e-4)


def test_typical_changes_are_those_between_charted_hours(tmp_path: Path) -> None:
    rows: list[Row] = [
        (1, 0, "upper", 100.0),
        (1, 130, "upper", 105.0),
        (1, 250, "upper", 102.0),
        (2, 0, "upper", 90.0),
        (2, 0, "volume", 20.0),
        (2, 200, "volume", 30.0),
    ]
    target = target_of([*rows, (2, 70, "upper", 101.0), (2, 0, "lower", 60.0)], Sum(only(0, "upper"), 1.0), tmp_path)
    found = typical_changes(target.dataset)
    assert found[0].item() == pytest.approx((0.5 + 0.3 + 1.1) / 3, rel=1e-5)
    assert found[1].item() == 1.0
    assert found[2].item() == pytest.approx(0.5, rel=1e-5)  # between charted hours, not from the hours without one


@pytest.mark.parametrize("threat", ["charted", "data-entry"])
def test_datasets_that_do_not_show_what_was_charted_are_refused(tmp_path: Path, threat: str) -> None:
    target = target_of([(1, 0, "upper", 100.0)], Sum(only(0, "upper"), 1.0), tmp_path)
    with pytest.raises(UserError, match="--threat grid"):
        threat_of(replace(target, charted=None), replace(CLEAR, threat=threat))
    threat_of(replace(target, charted=None), replace(CLEAR, threat="grid"))
