"""What the LSTM reads of each hour: known answers, nothing from later hours, and gradients that are numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lstm_adversarial_attack.artifacts.contents import Architecture
from lstm_adversarial_attack.models import Ensemble, LstmClassifier, build
from lstm_adversarial_attack.models.inputs import Decay, PiecewiseLinear, blocks_of, hours_since, running

HOURS = 12
SERIES = arrays.arrays(np.float32, (2, HOURS, 3), elements=st.floats(-4, 4, width=16))
MASKS = arrays.arrays(np.bool_, (2, HOURS, 3))


def blocks(values: torch.Tensor, observed: torch.Tensor) -> dict[str, torch.Tensor]:
    stacked = running(values, observed, "summaries")
    return dict(zip(blocks_of("summaries"), stacked.unbind(2), strict=True))


def test_choices_add_to_one_another() -> None:
    assert blocks_of("values") == ("value",)
    assert blocks_of("masks") == ("value", "observed")
    assert blocks_of("time-since")[:3] == ("value", "observed", "since")
    assert blocks_of("summaries")[:3] == blocks_of("time-since")
    assert len(set(blocks_of("summaries"))) == 10


def test_a_series_by_hand() -> None:
    values = torch.tensor([0.5, 2.0, 2.0, 4.0, 4.0, 3.0])[None, :, None]
    observed = torch.tensor([False, True, False, True, False, True])[None, :, None]
    found = {name: block.flatten() for name, block in blocks(values, observed).items()}
    torch.testing.assert_close(found["mean"], torch.tensor([0.5, 2, 2, 3, 3, 3]))
    torch.testing.assert_close(found["least"], torch.tensor([0.5, 2, 2, 2, 2, 2]))
    torch.testing.assert_close(found["greatest"], torch.tensor([0.5, 2, 2, 4, 4, 4]))
    torch.testing.assert_close(found["trend"], torch.tensor([0.0, 0, 0, 2, 2, 1]))
    torch.testing.assert_close(found["spread"], torch.tensor([0.0, 0, 0, 1, 1, (2 / 3) ** 0.5]))
    torch.testing.assert_close(found["count"], torch.log1p(torch.tensor([0.0, 1, 1, 2, 2, 3])) / 2)
    assert hours_since(observed).flatten().tolist() == [1, 0, 1, 0, 1, 0]


@given(SERIES, MASKS)
@settings(max_examples=60, deadline=None)
def test_running_figures_are_those_of_pandas(values: np.ndarray, mask: np.ndarray) -> None:
    found = blocks(torch.from_numpy(values), torch.from_numpy(mask))
    for sample in range(2):
        measured = pd.DataFrame(np.where(mask[sample], values[sample], np.nan).astype(float))
        filled = pd.DataFrame(values[sample].astype(float))
        expanding = measured.expanding()
        expected = {
            "mean": expanding.mean(),
            "least": expanding.min(),
            "greatest": expanding.max(),
            "recent": measured.rolling(8, min_periods=1).mean(),
        }
        for name, frame in expected.items():
            np.testing.assert_allclose(found[name][sample], frame.where(frame.notna(), filled), atol=2e-5, err_msg=name)
        np.testing.assert_allclose(found["spread"][sample], expanding.std(ddof=0).fillna(0.0), atol=5e-3)
        np.testing.assert_allclose(found["count"][sample], np.log1p(mask[sample].cumsum(axis=0)) / 2, rtol=1e-5)


@given(SERIES, MASKS, SERIES, MASKS, st.integers(1, HOURS - 1))
@settings(max_examples=60, deadline=None)
def test_no_hour_sees_a_later_one(
    values: np.ndarray, mask: np.ndarray, later: np.ndarray, later_mask: np.ndarray, hour: int
) -> None:
    changed, changed_mask = values.copy(), mask.copy()
    changed[:, hour:], changed_mask[:, hour:] = later[:, hour:], later_mask[:, hour:]
    before = running(torch.from_numpy(values), torch.from_numpy(mask), "summaries")
    after = running(torch.from_numpy(changed), torch.from_numpy(changed_mask), "summaries")
    assert torch.equal(before[:, :hour], after[:, :hour])


@given(SERIES, MASKS)
@settings(max_examples=40, deadline=None)
def test_gradients_are_numbers(values: np.ndarray, mask: np.ndarray) -> None:
    given_values = torch.from_numpy(values).requires_grad_()
    running(given_values, torch.from_numpy(mask), "summaries").sum().backward()
    assert given_values.grad is not None
    assert given_values.grad.isfinite().all()


def test_decay_leaves_measured_cells_and_forgets_old_ones() -> None:
    decay = Decay(1)
    values, observed = torch.full((1, 200, 1), 3.0), torch.zeros(1, 200, 1, dtype=torch.bool)
    observed[0, 0] = True
    decayed = decay(values, observed)[0, :, 0].detach()
    assert decayed[0] == 3.0
    assert (decayed.diff() < 0).all()
    torch.testing.assert_close(decayed, 3 * torch.exp(-0.05 * torch.arange(200.0)))


class TestPiecewiseLinear:
    def encoding(self, column: torch.Tensor, bins: int = 4) -> PiecewiseLinear:
        """Fit an encoding to samples of one hour and one feature."""
        encoding = PiecewiseLinear("masks", 1, bins)
        encoding.fit(column[:, None, None], torch.ones(len(column), 1, 1, dtype=torch.bool))
        return encoding

    def code(self, encoding: PiecewiseLinear, value: float, *, observed: bool = True) -> list[float]:
        values, masks = torch.tensor([[[value]]]), torch.tensor([[[observed]]])
        found: list[float] = encoding(running(values, masks, "masks")).flatten().tolist()
        return found

    def test_codes_by_hand(self) -> None:
        encoding = self.encoding(torch.linspace(0, 4, 101))
        torch.testing.assert_close(encoding.edges.flatten(), torch.arange(5.0))
        assert self.code(encoding, 2.25) == pytest.approx([1, 1, 0.25, 0, 1])
        assert self.code(encoding, -7.0) == [0, 0, 0, 0, 1]
        assert self.code(encoding, 9.0, observed=False) == [1, 1, 1, 1, 0]

    def test_the_sum_of_bins_times_widths_is_the_number(self) -> None:
        column = torch.randn(500)
        encoding = self.encoding(column, bins=8)
        width = encoding.edges.diff(dim=-1).flatten()
        code = encoding(running(column[:, None, None], torch.ones(500, 1, 1, dtype=torch.bool), "masks"))[:, 0, :8]
        inside = column.clamp(encoding.edges.min(), encoding.edges.max())
        torch.testing.assert_close(code @ width + encoding.edges[0, 0, 0], inside, atol=1e-5, rtol=0)

    def test_no_bin_is_narrow(self) -> None:
        column = torch.cat([torch.zeros(400), torch.full((50,), 0.01), torch.linspace(1, 2, 50)])
        widths = self.encoding(column, bins=16).edges.diff(dim=-1)
        assert ((widths == 0) | (widths >= 0.05)).all()
        assert (widths > 0).any()

    def test_a_feature_never_measured_is_nothing(self) -> None:
        encoding = PiecewiseLinear("masks", 1, 4)
        encoding.fit(torch.randn(50, 3, 1), torch.zeros(50, 3, 1, dtype=torch.bool))
        assert self.code(encoding, 5.0, observed=False) == [0, 0, 0, 0, 0]


ARCHITECTURE = Architecture(
    features=3,
    hidden_units=4,
    layers=1,
    bidirectional=True,
    dropout=0.5,
    static_columns=2,
    inputs="summaries",
    encoding_bins=3,
    projection_units=5,
    shortcut_units=6,
    hours_per_step=4,
)


def batch(n: int = 6) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    observed, known = torch.rand(n, HOURS, 3) < 0.5, torch.rand(n, 2) < 0.5
    return torch.randn(n, HOURS, 3), observed, torch.randn(n, 2) * known, known


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention", "all"])
@pytest.mark.parametrize("members", [1, 3])
def test_every_classifier_gives_two_logits_that_do_not_depend_on_the_batch(pooling: str, members: int) -> None:
    architecture = Architecture(**{**_as_dict(ARCHITECTURE), "pooling": pooling, "members": members, "decay": True})
    model = build(architecture).eval()
    inputs = batch()
    logits = model(*inputs)
    assert logits.shape == (6, 2)
    torch.testing.assert_close(model(*(part[2:3] for part in inputs)), logits[2:3])


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    model = build(Architecture(**{**_as_dict(ARCHITECTURE), "members": 3})).eval()
    assert isinstance(model, Ensemble)
    logits = [member(*batch()) for member in model.members]
    torch.testing.assert_close(model(*batch()), sum(logits) / 3)
    assert not torch.equal(logits[0], logits[1])


def test_the_last_step_is_the_last_hour() -> None:
    torch.manual_seed(0)
    model = LstmClassifier(ARCHITECTURE).eval()
    values, observed, static, known = batch()
    model.fit_encoding(values, observed)
    other = values.clone()
    other[:, -1] += 1
    assert not torch.equal(model(values, observed, static, known), model(other, observed, static, known))


def test_static_data_that_a_classifier_reads_must_be_given() -> None:
    values, observed, *_ = batch()
    with pytest.raises(ValueError, match="static"):
        LstmClassifier(ARCHITECTURE)(values, observed)


def _as_dict(architecture: Architecture) -> dict[str, object]:
    return {name: getattr(architecture, name) for name in architecture.__struct_fields__}
