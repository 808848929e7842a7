"""Figures of prediction against scikit-learn and closed forms."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from lstm_adversarial_attack import metrics as m

# Few distinct scores, so that ties are common.
SCORES = st.integers(0, 6).map(lambda tenth: tenth / 6)
SAMPLES = st.lists(st.tuples(st.integers(0, 1), SCORES, st.integers(0, 5), st.integers(0, 3)), min_size=4, max_size=40)


def _columns(samples):
    return (np.array(column) for column in zip(*samples, strict=True))


def _oracle(y, p, weights, threshold):
    called = p >= threshold
    weighted = {"sample_weight": weights}
    return {
        "auroc": sk.roc_auc_score(y, p, **weighted),
        "auprc": sk.average_precision_score(y, p, **weighted),
        "f1": sk.f1_score(y, called, **weighted, zero_division=0),
        "precision": sk.precision_score(y, called, **weighted, zero_division=np.nan),
        "recall": sk.recall_score(y, called, **weighted),
        "specificity": sk.recall_score(~y.astype(bool), ~called, **weighted),
        "accuracy": sk.accuracy_score(y, called, **weighted),
        "brier": sk.brier_score_loss(y, p, **weighted),
        "prevalence": np.average(y, weights=weights),
    }


@given(SAMPLES)
@settings(deadline=None, max_examples=60)
def test_weighted_figures_agree_with_scikit_learn(samples):
    y, p, patient, drawn = _columns(samples)
    drawn = np.resize(drawn, patient.max() + 1)  # how often the bootstrap drew each patient
    weights = drawn[patient].astype(float)
    assume(len(set(y[weights > 0])) == 2)
    ranking, sums = (
        m._ranking(y.astype(bool), p),
        m._threshold_sums(y.astype(bool), p, 0.5, patient, patient.max() + 1),
    )
    ours = m._figures(drawn[None, :].astype(float), sums, ranking, patient)
    expected = _oracle(y, p, weights, 0.5)
    assert tuple(ours) == m.FIGURES
    for name in m.FIGURES:
        assert ours[name][0] == pytest.approx(expected[name], abs=1e-12, nan_ok=True), name


@given(SAMPLES)
@settings(deadline=None, max_examples=30)
def test_point_figures_agree_with_scikit_learn(samples):
    y, p, patient, _ = _columns(samples)
    assume(len(set(y)) == 2)
    ours = m.prediction_metrics(y, p, patient, threshold=0.4, resamples=20)
    expected = _oracle(y, p, np.ones(y.size), 0.4)
    for name in m.FIGURES:
        value = expected[name]
        assert ours[name].value == (None if np.isnan(value) else pytest.approx(value, abs=1e-12)), name
        if ours[name].low is not None:
            assert ours[name].low <= ours[name].high


def test_weights_are_whole_draws_of_patients():
    blocks = list(m._patient_weights(7, 50, 3, 10))
    weights = np.concatenate(blocks)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == weights.round()).all()


def test_blocks_do_not_change_the_draws(monkeypatch):
    whole = np.concatenate(list(m._patient_weights(7, 50, 3, 10)))
    monkeypatch.setattr(m, "_BLOCK_CELLS", 60)
    parts = list(m._patient_weights(7, 50, 3, 10))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_samples_of_one_patient_are_drawn_together():
    # Two patients, each of one class: half of the resamples hold one class.
    y, who = np.repeat([0, 1], 50), np.repeat([10, 20], 50)
    together = m.patient_shares(y[:, None] == 1, who, resamples=500)[0]
    alone = m.patient_shares(y[:, None] == 1, np.arange(100), resamples=500)[0]
    assert (together.value, together.low, together.high) == (0.5, 0.0, 1.0)
    assert 0.35 < alone.low < 0.5 < alone.high < 0.65


def test_interval_of_a_share_has_its_binomial_width():
    hits = np.arange(400)[:, None] < 100
    estimate = m.patient_shares(hits, np.arange(400), resamples=2000, seed=1)[0]
    half_width = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert estimate.low == pytest.approx(0.25 - half_width, abs=0.01)
    assert estimate.high == pytest.approx(0.25 + half_width, abs=0.01)


def test_one_class_leaves_ranking_undefined():
    figures = m.prediction_metrics([0, 0, 0], [0.1, 0.6, 0.2], [1, 2, 3], threshold=0.5, resamples=50)
    assert figures["auroc"] == figures["auprc"] == figures["recall"] == m.Estimate(None, None, None)
    assert figures["specificity"].value == pytest.approx(2 / 3)
    assert figures["brier"].value == pytest.approx((0.01 + 0.36 + 0.04) / 3)
    assert figures["prevalence"] == m.Estimate(0.0, 0.0, 0.0)


def test_one_patient_has_no_interval():
    figures = m.prediction_metrics([1, 0], [0.9, 0.1], [1, 1], threshold=0.5, resamples=50)
    assert figures["auroc"] == m.Estimate(1.0, None, None)


def test_undefined_resamples_are_left_out_and_too_many_leave_no_interval():
    # 38 survivors and 1 death, each a patient: a resample without the death is left out, about 37 %.
    rare = m.prediction_metrics([0] * 38 + [1], [0.1] * 38 + [0.9], range(39), threshold=0.5, resamples=400)
    assert rare["auroc"] == m.Estimate(1.0, 1.0, 1.0)
    assert m._estimate(np.array([0.5, np.nan, np.nan, 0.5]), 4) == m.Estimate(0.5, None, None)
    assert m._estimate(np.array([0.5, np.nan, 0.4, 0.4]), 4) == m.Estimate(0.5, 0.4, 0.4)


def test_nothing_gives_nothing():
    figures = m.prediction_metrics([], [], [], threshold=0.5)
    assert set(figures.values()) == {m.Estimate(None, None, None)}
    assert m.patient_shares(np.zeros((0, 2), bool), []) == [m.Estimate(None, None, None)] * 2
    assert m.calibration_bins([], []) == ()
    assert m.roc_curve_points([], []) == m.precision_recall_points([1], [0.5]) == m.Curve((), ())


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [([0, 1], [0.5]), ([0, 2], [0.5, 0.5]), ([0, 1], [0.5, 1.5]), ([0, 1], [0.5, float("nan")])],
)
def test_bad_input_is_refused(labels, probabilities):
    with pytest.raises(ValueError, match=r"shape|0 or 1|\[0, 1\]"):
        m.prediction_metrics(labels, probabilities, range(len(labels)), threshold=0.5)


def test_same_seed_same_interval():
    rng = np.random.default_rng(0)
    y, p = rng.random(200) < 0.3, rng.random(200)
    once, again, other = (
        m.prediction_metrics(y, p, np.arange(200), threshold=0.5, resamples=100, seed=s) for s in (4, 4, 5)
    )
    assert once == again
    assert once["auroc"].low != other["auroc"].low


def test_a_thousand_resamples_of_six_thousand_samples_are_quick():
    rng = np.random.default_rng(0)
    y = rng.random(6000) < 0.11
    p = 1 / (1 + np.exp(2 - rng.normal(size=6000) - 1.5 * y))
    start = time.process_time()
    m.prediction_metrics(y, p, rng.integers(5000, size=6000), threshold=0.3)
    assert time.process_time() - start < 6  # 0.8 s on a quiet core


class TestThreshold:
    def test_midpoint_between_the_best_cut_and_the_next_score(self):
        assert m.best_f1_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]) == pytest.approx(0.4)

    def test_all_positive_is_best(self):
        assert m.best_f1_threshold([1, 0, 1], [0.3, 0.4, 0.2]) == pytest.approx(0.1)

    def test_highest_of_equal_cuts(self):
        # F1 is 2/3 at 0.9 (1 of 2 found, no alarm) and at 0.2 (2 found, 2 alarms).
        assert m.best_f1_threshold([1, 0, 0, 1], [0.9, 0.6, 0.4, 0.2]) == pytest.approx(0.75)

    def test_neighbouring_floats_keep_the_cut(self):
        high = 0.5
        low = np.nextafter(high, 0)
        assert m.best_f1_threshold([0, 1], [low, high]) == high

    @pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
    def test_one_class_is_refused(self, labels):
        with pytest.raises(ValueError, match="one class"):
            m.best_f1_threshold(labels, [0.5] * len(labels))

    @given(SAMPLES)
    @settings(deadline=None, max_examples=60)
    def test_no_threshold_does_better(self, samples):
        y, p, _, _ = _columns(samples)
        assume(len(set(y)) == 2)
        best = sk.f1_score(y, p >= m.best_f1_threshold(y, p))
        assert best >= max(sk.f1_score(y, p >= t, zero_division=0) for t in (*p, 0.05, 0.5)) - 1e-12


class TestCurves:
    @given(SAMPLES)
    @settings(deadline=None, max_examples=60)
    def test_whole_curves_agree_with_scikit_learn(self, samples):
        y, p, _, _ = _columns(samples)
        assume(len(set(y)) == 2)
        false_positive, true_positive, _ = sk.roc_curve(y, p, drop_intermediate=False)
        ours = m.roc_curve_points(y, p)
        np.testing.assert_allclose(ours.x, false_positive)
        np.testing.assert_allclose(ours.y, true_positive)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            precision, recall, _ = sk.precision_recall_curve(y, p)
        ours = m.precision_recall_points(y, p)
        np.testing.assert_allclose(ours.x, recall[:-1][::-1])
        np.testing.assert_allclose(ours.y, precision[:-1][::-1])

    def test_long_curves_are_thinned_and_keep_their_ends_and_area(self):
        rng = np.random.default_rng(0)
        y = rng.random(5000) < 0.2
        p = np.clip(rng.normal(0.3 + 0.2 * y, 0.1), 0, 1)
        roc, ranked = m.roc_curve_points(y, p), m.precision_recall_points(y, p)
        assert max(len(roc.x), len(ranked.x)) <= 200
        assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
        assert ranked.x[-1] == 1
        assert np.trapezoid(roc.y, roc.x) == pytest.approx(sk.roc_auc_score(y, p), abs=0.005)

    def test_calibration_bins(self):
        bins = m.calibration_bins([0, 1, 0, 1] * 5, [0.1, 0.2, 0.6, 0.8] * 5, bins=2)
        assert [(b.mean_predicted, b.observed, b.count) for b in bins] == [
            (pytest.approx(0.15), 0.5, 10),
            (pytest.approx(0.7), 0.5, 10),
        ]

    @pytest.mark.parametrize(("samples", "bins"), [(1, 1), (9, 1), (19, 1), (20, 2), (99, 9), (500, 10)])
    def test_no_calibration_bin_shows_a_patient_of_its_own(self, samples, bins):
        found = m.calibration_bins([0] * samples, [i / samples for i in range(samples)])
        assert len(found) == bins
        assert min(b.count for b in found) >= min(samples, 10)

    @given(SAMPLES, st.randoms())
    def test_calibration_does_not_depend_on_order(self, samples, random):
        y, p, _, _ = _columns(samples)
        random.shuffle(samples)
        y_shuffled, p_shuffled, _, _ = _columns(samples)
        one, other = m.calibration_bins(y, p, bins=4), m.calibration_bins(y_shuffled, p_shuffled, bins=4)
        assert sum(b.count for b in one) == y.size
        assert [b.count for b in one] == [b.count for b in other]
        assert [b.observed for b in one] == pytest.approx([b.observed for b in other])

    def test_confusion(self):
        assert m.confusion([0, 0, 1, 1, 1], [0.1, 0.5, 0.5, 0.4, 0.9], 0.5) == m.Confusion(1, 1, 1, 2)
