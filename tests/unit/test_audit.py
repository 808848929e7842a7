"""The audit: known answers of its formulas, the recipe's mistakes, and fits that were cut off."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from lstm_adversarial_attack.artifacts import Artifact, Manifest
from lstm_adversarial_attack.artifacts.contents import CohortStep
from lstm_adversarial_attack.artifacts.manifest import file_entry
from lstm_adversarial_attack.audit.checkpoint import EpochScore
from lstm_adversarial_attack.audit.folds import halves, patient_folds
from lstm_adversarial_attack.audit.implied import auroc_needed, f1_of_always_death, implied_prevalence
from lstm_adversarial_attack.audit.recipe import FoldFit, balanced_draw, train_fold
from lstm_adversarial_attack.audit.settings import AuditSettings, architecture_of
from lstm_adversarial_attack.audit.stage import check_protocol
from lstm_adversarial_attack.audit.views import KINDS, Judged, view
from lstm_adversarial_attack.datasets import Tensors
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.extract.cohort import stay_rules
from lstm_adversarial_attack.metrics import max_f1
from lstm_adversarial_attack.models import LstmClassifier
from lstm_adversarial_attack.protocols import load_protocol
from lstm_adversarial_attack.settings import ExtractSettings

# --- what figures give away -------------------------------------------------------------------------------------


@given(*[st.integers(1, 500)] * 4)
def test_the_prevalence_follows_from_accuracy_precision_and_recall(tp: int, fp: int, fn: int, tn: int) -> None:
    total = tp + fp + fn + tn
    found = implied_prevalence((tp + tn) / total, tp / (tp + fp), tp / (tp + fn))
    assert found == pytest.approx((tp + fn) / total, rel=1e-9)


def test_a_good_classifier_on_half_deaths_implies_half() -> None:
    # 100 deaths and 100 survivors, 97 deaths found, 4 false alarms.
    assert implied_prevalence(193 / 200, 97 / 101, 0.97) == pytest.approx(0.5)
    # The same recall and false alarm rate where one in ten dies.
    assert implied_prevalence((97 + 864) / 1000, 97 / (97 + 36), 0.97) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "figures", [(0.9, 0.0, 0.5), (0.9, 0.5, 0.0), (1.0, 1.0, 1.0), (0.1, 0.9, 0.9), (1.1, 0.5, 0.5)]
)
def test_figures_that_imply_nothing_are_refused(figures: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"must lie|perfect|no samples"):
        implied_prevalence(*figures)


def test_saying_everybody_dies_scores_two_thirds_where_half_do() -> None:
    assert f1_of_always_death(0.5) == pytest.approx(2 / 3)
    assert f1_of_always_death(0.1) == pytest.approx(2 / 11)


@given(st.floats(0.3, 0.98), st.floats(0.02, 0.5))
def test_the_auroc_needed_is_the_inverse_of_the_f1_allowed(f1: float, prevalence: float) -> None:
    needed = auroc_needed(f1, prevalence)
    if needed == 0.5:
        assert f1 <= f1_of_always_death(prevalence) + 1e-12
    else:
        assert max_f1(needed, prevalence) >= f1 > max_f1(needed - 1e-6, prevalence)


def test_the_published_f1_needs_a_nearly_perfect_ranking_at_a_tenth_of_deaths() -> None:
    assert 0.9985 < auroc_needed(0.967, 0.102) < 0.9999
    assert 0.98 < auroc_needed(0.967, 0.5) < auroc_needed(0.967, 0.102)


# --- the balanced sampler ---------------------------------------------------------------------------------------


def judged(labels: list[int], probability: list[float], held_out: list[bool]) -> Judged:
    y, out = np.array(labels), np.array(held_out)
    training = torch.from_numpy(y[~out])
    drawn = np.flatnonzero(~out)[balanced_draw(training, 0).numpy()]
    return Judged(y, np.arange(y.size), np.array(probability, dtype=np.float64), out, drawn, 0)


LABELS = ([1] * 20 + [0] * 180) * 2
HELD_OUT = [False] * 200 + [True] * 200


def test_the_sampler_draws_both_classes_alike() -> None:
    labels = torch.tensor([1] * 500 + [0] * 9500)
    drawn = labels[balanced_draw(labels, 3)].double()
    assert len(drawn) == len(labels)
    assert abs(float(drawn.mean()) - 0.5) < 4 * 0.5 / math.sqrt(len(drawn))
    assert torch.equal(balanced_draw(labels, 3), balanced_draw(labels, 3))
    assert not torch.equal(balanced_draw(labels, 3), balanced_draw(labels, 4))


def test_a_perfect_classifier_is_perfect_in_every_view() -> None:
    folds = [judged(LABELS, [float(label) for label in LABELS], HELD_OUT)]
    for name in KINDS:
        found = view(name, folds, resamples=20, seed=0)
        assert found.mean["f1"] == 1
        assert found.implied_prevalence is None
        assert found.mean["prevalence"] == pytest.approx(0.5 if found.balanced else 0.1, abs=0.12)


def test_resampling_flatters_a_classifier_that_knows_nothing() -> None:
    folds = [judged(LABELS, [0.9] * len(LABELS), HELD_OUT)]
    found = {name: view(name, folds, resamples=20, seed=0) for name in KINDS}
    for name in ("training", "held-out"):
        assert found[name].mean["f1"] == pytest.approx(f1_of_always_death(0.1))
        assert found[name].implied_prevalence == pytest.approx(0.1)
    for name in ("reference", "held-out-balanced"):
        drawn = found[name].mean["prevalence"]
        assert drawn is not None
        assert found[name].mean["f1"] == pytest.approx(f1_of_always_death(drawn))
        assert found[name].mean["f1"] == pytest.approx(2 / 3, abs=0.08)


def test_a_threshold_is_never_judged_on_the_patients_it_was_chosen_on() -> None:
    """Labels of a sample's own half do not move its threshold."""
    generator = np.random.default_rng(0)
    probability = generator.random(400)
    one = judged(LABELS, probability.tolist(), HELD_OUT)
    out = np.flatnonzero(one.held_out)
    second = halves(one.labels[out], one.patients[out], seed=0)
    applied = [
        {float(share) for share in one.probability[out[half]][one.seen("held-out-threshold").died[half]]}
        for half in (~second, second)
    ]
    of_first, of_second = one.thresholds
    assert min(applied[0]) >= of_second
    assert min(applied[1]) >= of_first


def test_the_best_threshold_in_hindsight_bounds_the_others() -> None:
    probability = np.clip(np.array(LABELS) * 0.2 + np.random.default_rng(1).random(400) * 0.7, 0, 1)
    folds = [judged(LABELS, probability.tolist(), HELD_OUT)]
    best = view("held-out-hindsight", folds, resamples=20, seed=0).mean["f1"]
    others = [view(name, folds, resamples=20, seed=0).mean["f1"] for name in ("held-out", "held-out-threshold")]
    assert best is not None
    assert all(other is not None and other <= best for other in others)


# --- folds ------------------------------------------------------------------------------------------------------


def test_no_patient_is_in_two_folds_and_all_are_held_out_once() -> None:
    generator = np.random.default_rng(0)
    patients = generator.integers(200, size=500)
    labels = (generator.random(500) < 0.2).astype(np.int64)
    fold = patient_folds(labels, patients, folds=5, seed=1)
    assert set(fold) == set(range(5))
    assert all(np.unique(fold[patients == patient]).size == 1 for patient in np.unique(patients))
    assert not np.array_equal(fold, patient_folds(labels, patients, folds=5, seed=2))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "no samples"),
        ([0] * 40, "no patient of the dataset died"),
        ([1] * 40, "no patient of the dataset survived"),
        ([1] * 9 + [0] * 40, r"9 who died are too few for 5 folds"),
    ],
)
def test_a_cohort_that_cannot_be_split_is_refused(labels: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        patient_folds(np.array(labels, np.int64), np.arange(len(labels)), folds=5, seed=0)


# --- the recipe's mistakes --------------------------------------------------------------------------------------

RECIPE = architecture_of(AuditSettings(hidden_units=7, head_units=5), 4)


def network() -> LstmClassifier:
    torch.manual_seed(0)
    return LstmClassifier(RECIPE).eval()


def test_the_backward_direction_has_read_the_last_hour_alone() -> None:
    model, values = network(), torch.rand(6, 48, 4)
    observed = torch.ones_like(values, dtype=torch.bool)
    alone = torch.nn.LSTMCell(4, 7)
    reverse = {
        name: getattr(model.lstm, f"{name}_l0_reverse") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    alone.load_state_dict(reverse)
    hidden, _ = alone(values[:, -1])
    forward = model.lstm(values)[0][:, -1, :7]
    expected = model.output(model.head(model.state(torch.cat([forward, hidden], dim=1)))).softmax(dim=1)
    torch.testing.assert_close(model(values, observed), expected)
    # What PyTorch itself gives at the last hour is the same mistake.
    torch.testing.assert_close(model.lstm(values)[0][:, -1, 7:], hidden)
    # So the backward state does not know of earlier hours, nor the network of masks.
    changed = values.clone()
    changed[:, :-1] = 0
    torch.testing.assert_close(alone(changed[:, -1])[0], hidden)
    torch.testing.assert_close(model(values, ~observed), model(values, observed))


def test_gradients_of_the_shortened_pass_are_those_of_the_whole() -> None:
    model, values = network(), torch.rand(6, 48, 4)
    observed = torch.ones_like(values, dtype=torch.bool)
    model(values, observed)[:, 1].sum().backward()
    short = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad()
    states = model.lstm(values)[0][:, -1]
    model.output(model.head(model.state(states))).softmax(dim=1)[:, 1].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(short[name], parameter.grad)


@given(st.lists(st.floats(-40, 40), min_size=2, max_size=2), st.integers(0, 1))
def test_the_second_softmax_bounds_the_loss(logits: list[float], label: int) -> None:
    once = torch.tensor([logits], dtype=torch.float64).softmax(dim=1)
    loss = float(cross_entropy(once, torch.tensor([label])))
    assert math.log(1 + math.exp(-1)) - 1e-12 <= loss <= math.log(1 + math.e) + 1e-12
    assert math.log(1 + math.exp(-1)) == pytest.approx(0.3133, abs=5e-5)
    assert math.log(1 + math.e) == pytest.approx(1.3133, abs=5e-5)


def test_outputs_of_the_recipe_are_probabilities() -> None:
    outputs = network()(torch.rand(9, 48, 4), torch.ones(9, 48, 4, dtype=torch.bool))
    torch.testing.assert_close(outputs.sum(dim=1), torch.ones(9))
    assert ((outputs > 0) & (outputs < 1)).all()


# --- training ---------------------------------------------------------------------------------------------------

SETTINGS = AuditSettings(epochs=5, hidden_units=8, head_units=4, batch_size=16, lr=0.01)


def samples() -> Tensors:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(240, 10, 3, generator=generator)
    labels = (values[:, -1, 1] + 0.3 * torch.rand(240, generator=generator) > 1.0).long()
    return Tensors(values, torch.ones(240, 10, 3, dtype=torch.bool), labels)


SAMPLES, OUT = samples(), np.arange(240) % 5 == 0


def same(a: FoldFit, b: FoldFit) -> bool:
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_the_kept_epoch_is_the_best_by_the_recipes_own_score() -> None:
    fit = train_fold(SAMPLES, OUT, SETTINGS, 0)
    assert [epoch.epoch for epoch in fit.history] == [1, 2, 3, 4, 5]
    scores = [epoch.reference_f1 for epoch in fit.history]
    assert fit.best_epoch == 1 + scores.index(max(scores))
    assert not OUT[fit.drawn].any(), "the claim is made on training samples alone"
    labels = SAMPLES.labels.numpy()
    seen = Judged(labels, np.arange(240), fit.probability, OUT, fit.drawn, 0)
    assert view("reference", [seen], resamples=10, seed=0).mean["f1"] == pytest.approx(max(scores), abs=1e-12)
    held_out = fit.history[fit.best_epoch - 1].held_out_f1
    assert view("held-out", [seen], resamples=10, seed=0).mean["f1"] == pytest.approx(held_out, abs=1e-12)
    assert all(0.3132 < epoch.loss < 1.3134 for epoch in fit.history)


class CutOffError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 4])
def test_training_that_was_cut_off_ends_with_the_same_bits(tmp_path: Path, after: int) -> None:
    checkpoint = tmp_path / "fold.safetensors"
    torch.manual_seed(after)  # what the process drew before must not matter

    def cut_off(epoch: EpochScore) -> None:
        if epoch.epoch == after:
            raise CutOffError

    with pytest.raises(CutOffError):
        train_fold(SAMPLES, OUT, SETTINGS, 1, checkpoint=checkpoint, on_epoch=cut_off)
    epochs: list[int] = []
    resumed = train_fold(SAMPLES, OUT, SETTINGS, 1, checkpoint=checkpoint, on_epoch=lambda e: epochs.append(e.epoch))
    whole = train_fold(SAMPLES, OUT, SETTINGS, 1)
    assert epochs == list(range(after + 1, 6))
    assert resumed.history == whole.history
    assert same(resumed, whole)
    assert np.array_equal(resumed.probability, whole.probability)
    assert np.array_equal(resumed.drawn, whole.drawn)
    # A finished fold is not trained again.
    again = train_fold(SAMPLES, OUT, SETTINGS, 1, checkpoint=checkpoint, on_epoch=lambda _: pytest.fail("trained"))
    assert same(again, whole)


def test_folds_and_seeds_draw_on_their_own() -> None:
    first, other_fold = train_fold(SAMPLES, OUT, SETTINGS, 0), train_fold(SAMPLES, OUT, SETTINGS, 1)
    assert not same(first, other_fold)


# --- what is audited --------------------------------------------------------------------------------------------


def prepared(folder: Path, settings: dict[str, Any], sample: Literal["icu-stay", "admission"]) -> Artifact:
    """Make a dataset of which only the settings and the cohort's rules are there."""
    rules = ["all", *(rule.name for rule in stay_rules(ExtractSettings(sample=sample)))]
    steps = [CohortStep(rule, "", 1, 1, 1) for rule in rules]
    (folder / "cohort_flow.json").write_bytes(msgspec.json.encode(steps))
    manifest = Manifest(
        kind="dataset",
        schema_version=1,
        stage="preprocess",
        settings=settings,
        seed=0,
        inputs={},
        files={"cohort_flow.json": file_entry(folder / "cohort_flow.json")},
        rows={},
        digest="",
        environment={},
    )
    return Artifact(folder, manifest)


def test_a_dataset_of_another_protocol_or_of_stays_is_refused(tmp_path: Path) -> None:
    reference = load_protocol("reference")["preprocess"]
    check_protocol(prepared(tmp_path, reference, "admission"))
    with pytest.raises(UserError, match=r"made with sample icu-stay, where the recipe that is audited has admission"):
        check_protocol(prepared(tmp_path, reference, "icu-stay"))
    with pytest.raises(UserError, match=r"made with scaling standard, where .* has min-max"):
        check_protocol(prepared(tmp_path, reference | {"scaling": "standard"}, "admission"))
