"""Figures of prediction against scikit-learn and closed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics as sk

from lstm_adversarial_attack import metrics as m
from lstm_adversarial_attack.metrics import bootstrap
from lstm_adversarial_attack.metrics import prediction as predicted
from lstm_adversarial_attack.metrics.ranking import ranking_of

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
    ranking = ranking_of(y.astype(bool), p)
    sums = predicted._threshold_sums(y.astype(bool), p, 0.5, patient, patient.max() + 1)
    ours = predicted._figures(drawn[None, :].astype(float), sums, ranking, patient)
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
    blocks = list(bootstrap.patient_weights(7, 50, 3, 10))
    weights = np.concatenate(blocks)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == weights.round()).all()


def test_blocks_do_not_change_the_draws(monkeypatch):
    whole = np.concatenate(list(bootstrap.patient_weights(7, 50, 3, 10)))
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 60)
    parts = list(bootstrap.patient_weights(7, 50, 3, 10))
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
    assert bootstrap.estimate_of(np.array([0.5, np.nan, np.nan, 0.5]), 4) == m.Estimate(0.5, None, None)
    assert bootstrap.estimate_of(np.array([0.5, np.nan, 0.4, 0.4]), 4) == m.Estimate(0.5, 0.4, 0.4)


def test_nothing_gives_nothing():
    figures = m.prediction_metrics([], [], [], threshold=0.5)
    assert set(figures.values()) == {m.Estimate(None, None, None)}
    assert m.patient_shares(np.zeros((0, 2), bool), []) == [m.Estimate(None, None, None)] * 2
    assert m.calibration_bins([], []) == ()
    assert set(m.calibration_metrics([], [], []).values()) == {m.Estimate(None, None, None)}
    assert set(m.paired_differences([], [], [], []).values()) == {m.Difference(None, None, None, None)}
    assert m.subgroups([], [], [], [], attribute="unit", threshold=0.5) == ()
    assert m.roc_curve_points([], []) == m.precision_recall_points([1], [0.5]) == m.Curve((), ())


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [([0, 1], [0.5]), ([0, 2], [0.5, 0.5]), ([0, 1], [0.5, 1.5]), ([0, 1], [0.5, float("nan")])],
)
def test_bad_input_is_refused(labels, probabilities):
    who = range(len(labels))
    for call in (
        lambda: m.prediction_metrics(labels, probabilities, who, threshold=0.5),
        lambda: m.calibration_metrics(labels, probabilities, who),
        lambda: m.paired_differences(labels, [0.5, 0.5], probabilities, who),
        lambda: m.subgroups(labels, probabilities, who, ["a", "b"], attribute="unit", threshold=0.5),
    ):
        with pytest.raises(ValueError, match=r"shape|0 or 1|\[0, 1\]"):
            call()


def test_same_seed_same_interval():
    rng = np.random.default_rng(0)
    y, p = rng.random(200) < 0.3, rng.random(200)
    once, again, other = (
        m.prediction_metrics(y, p, np.arange(200), threshold=0.5, resamples=100, seed=s) for s in (4, 4, 5)
    )
    assert once == again
    assert once["auroc"].low != other["auroc"].low


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

    @given(SAMPLES)
    def test_the_points_at_thresholds_are_the_rates_at_these_thresholds(self, samples):
        y, p, _, _ = _columns(samples)
        assume(len(set(y)) == 2)
        curve = m.roc_at_thresholds(y, p, 0.3)
        for threshold, x, true_positive in zip(curve.thresholds, curve.x, curve.y, strict=True):
            found = m.confusion(y, p, threshold)
            assert x == pytest.approx(found.false_positive / (found.false_positive + found.true_negative))
            assert true_positive == pytest.approx(found.true_positive / (found.true_positive + found.false_negative))
        assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (1, 1, 0, 0)
        assert list(curve.thresholds) == sorted(set(curve.thresholds))
        assert curve.thresholds[0] == 0
        assert curve.thresholds[-1] <= 1.001

    def test_thresholds_are_round_so_that_they_tell_no_probability(self):
        curve = m.roc_at_thresholds([0, 0, 1, 1], [0.1234567, 0.4, 0.3, 1.0], 0.5)
        assert curve.thresholds == (0, 0.124, 0.301, 0.401, 1.001)
        assert curve.x == (1, 0.5, 0.5, 0, 0)
        assert curve.y == (1, 1, 0.5, 0.5, 0)
        assert m.roc_at_thresholds([0, 0], [0.1, 0.2], 0.5) == m.ThresholdCurve((), (), ())

    def test_what_lies_on_both_sides_of_the_decision_is_told_apart(self):
        """As after an attack, which ends as soon as the prediction has turned."""
        curve = m.roc_at_thresholds([0, 0, 1, 1], [0.500001, 0.500001, 0.4999, 0.4999], 0.5)
        assert list(zip(curve.thresholds, curve.x, curve.y, strict=True)) == [(0, 1, 1), (0.5, 1, 0), (0.501, 0, 0)]
        decision = 0.12345
        own = m.roc_at_thresholds([0, 1], [decision - 1e-9, decision], decision)
        assert list(zip(own.thresholds, own.x, own.y, strict=True)) == [(0, 1, 1), (decision, 0, 1), (0.124, 0, 0)]

    def test_long_curves_at_thresholds_keep_their_area(self):
        rng = np.random.default_rng(0)
        y = rng.random(5000) < 0.2
        p = np.clip(rng.normal(0.3 + 0.2 * y, 0.1), 0, 1)
        curve = m.roc_at_thresholds(y, p, 0.3)
        assert 150 < len(curve.x) <= 200
        assert -np.trapezoid(curve.y, curve.x) == pytest.approx(sk.roc_auc_score(y, p), abs=0.005)

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


class TestCalibrationFigures:
    def test_expected_calibration_error_by_hand(self):
        # Two bins of ten: .2 predicted and 5 of 10 died; .8 predicted and 9 of 10 died.
        y = [1] * 5 + [0] * 5 + [1] * 9 + [0]
        p = [0.2] * 10 + [0.8] * 10
        found = m.calibration_metrics(y, p, range(20), bins=2, resamples=50)
        assert found["ece"].value == pytest.approx((0.3 + 0.1) / 2)
        assert found["mean_predicted"].value == pytest.approx(0.5)
        assert found["brier"].value == pytest.approx((5 * 0.64 + 5 * 0.04 + 9 * 0.04 + 0.64) / 20)

    @given(SAMPLES)
    @settings(deadline=None, max_examples=40)
    def test_it_is_the_weighted_distance_of_the_bins_shown(self, samples):
        y, p, patient, _ = _columns(samples)
        shown = m.calibration_bins(y, p)
        expected = sum(b.count * abs(b.observed - b.mean_predicted) for b in shown) / y.size
        found = m.calibration_metrics(y, p, patient, resamples=20)
        assert found["ece"].value == pytest.approx(expected)
        assert found["brier"].value == pytest.approx(sk.brier_score_loss(y, p))

    def test_the_calibration_error_has_no_interval(self):
        # Of a calibrated model all of it is chance, and resamples add to it: their percentiles never reach down to 0.
        rng = np.random.default_rng(3)
        p = rng.random(600)
        found = m.calibration_metrics(rng.random(600) < p, p, np.arange(600), resamples=100)
        assert found["ece"].value > 0
        assert (found["ece"].low, found["ece"].high) == (None, None)
        for name in ("brier", "mean_predicted"):
            assert found[name].low < found[name].value < found[name].high, name


class TestPairedDifferences:
    Y = np.random.default_rng(1).random(400) < 0.3
    GOOD = np.clip(np.random.default_rng(2).normal(0.3 + 0.4 * Y, 0.2), 0, 1)
    POOR = np.random.default_rng(3).random(400)
    WHO = np.random.default_rng(4).integers(300, size=400)

    def test_values_are_differences_of_the_figures(self):
        found = m.paired_differences(self.Y, self.GOOD, self.POOR, self.WHO, resamples=200)
        good, poor = (
            m.prediction_metrics(self.Y, p, self.WHO, threshold=0.5, resamples=5) for p in (self.GOOD, self.POOR)
        )
        assert set(found) == set(m.PAIRED_FIGURES)
        for name, difference in found.items():
            assert difference.value == pytest.approx(good[name].value - poor[name].value), name
        assert found["auroc"].low > 0 > found["brier"].high
        assert found["auroc"].p_value == pytest.approx(2 / 201)

    def test_the_other_way_round(self):
        one = m.paired_differences(self.Y, self.GOOD, self.POOR, self.WHO, resamples=100)
        other = m.paired_differences(self.Y, self.POOR, self.GOOD, self.WHO, resamples=100)
        for name in m.PAIRED_FIGURES:
            assert other[name].value == pytest.approx(-one[name].value)
            assert (other[name].low, other[name].high) == pytest.approx((-one[name].high, -one[name].low))
            assert other[name].p_value == one[name].p_value

    def test_both_models_meet_the_same_resamples(self):
        # The same model twice: no difference in any resample, however far the figures themselves vary.
        same = m.paired_differences(self.Y, self.GOOD, self.GOOD, self.WHO, resamples=100)
        assert set(same.values()) == {m.Difference(0.0, 0.0, 0.0, 1.0)}
        # Nearly the same model: the interval is narrower than that of either figure.
        near = np.clip(self.GOOD + 0.02 * self.POOR, 0, 1)
        paired = m.paired_differences(self.Y, self.GOOD, near, self.WHO, resamples=300)["auroc"]
        alone = m.prediction_metrics(self.Y, self.GOOD, self.WHO, threshold=0.5, resamples=300)["auroc"]
        assert paired.high - paired.low < (alone.high - alone.low) / 4

    def test_it_is_the_difference_within_each_resample(self):
        weights = np.concatenate(list(bootstrap.weight_blocks(len(set(self.WHO)), 30, 7, 400)))
        _, patient = np.unique(self.WHO, return_inverse=True)
        expected = [
            sk.roc_auc_score(self.Y, self.GOOD, sample_weight=row[patient])
            - sk.roc_auc_score(self.Y, self.POOR, sample_weight=row[patient])
            for row in weights
        ]
        found = m.paired_differences(self.Y, self.GOOD, self.POOR, self.WHO, resamples=30, seed=7)["auroc"]
        assert found.value == pytest.approx(expected[0])
        assert (found.low, found.high) == pytest.approx(tuple(np.percentile(expected[1:], (2.5, 97.5))))

    def test_p_values_of_no_difference_are_spread_evenly(self):
        rng = np.random.default_rng(5)
        p_values = []
        for seed in range(60):
            y = rng.random(150) < 0.4
            a, b = rng.random(150), rng.random(150)
            found = m.paired_differences(y, a, b, np.arange(150), figures=("auroc",), resamples=100, seed=seed)
            p_values.append(found["auroc"].p_value)
        assert 0.3 < np.mean(p_values) < 0.7
        assert np.mean(np.array(p_values) < 0.05) < 0.15

    def test_one_class_has_no_ranking_to_compare(self):
        found = m.paired_differences([0, 0, 0], [0.1, 0.2, 0.3], [0.3, 0.2, 0.3], [1, 2, 3], resamples=20)
        assert found["auroc"] == found["auprc"] == m.Difference(None, None, None, None)
        assert found["brier"].value == pytest.approx((0.01 - 0.09) / 3)

    def test_an_unknown_figure_is_refused(self):
        with pytest.raises(ValueError, match="no figures of a paired comparison: f1"):
            m.paired_differences([0, 1], [0.1, 0.2], [0.1, 0.2], [1, 2], figures=("f1",))


class TestSubgroups:
    def groups(self, sizes: dict[str, int], *, order=None, deaths=0.5, patients=None):
        """Make groups of so many samples and return what is found of them by group."""
        of = [name for name, size in sizes.items() for _ in range(size)]
        y = np.array([i < deaths * size for size in sizes.values() for i in range(size)])
        p = np.random.default_rng(0).random(len(of))
        who = range(len(of)) if patients is None else patients
        found = m.subgroups(y, p, who, of, attribute="unit", threshold=0.5, order=order, resamples=20)
        return {group.group: group for group in found}

    def test_a_group_has_the_figures_of_its_samples(self):
        found = self.groups({"a": 60, "b": 40})
        y, p = np.arange(60) < 30, np.random.default_rng(0).random(100)[:60]
        alone = m.prediction_metrics(y, p, range(60), threshold=0.5, resamples=20)
        assert tuple(found["a"].figures) == m.SUBGROUP_FIGURES
        for name, figure in found["a"].figures.items():
            assert figure.value == pytest.approx(alone[name].value), name
            assert figure.low <= figure.value <= figure.high
        assert (found["a"].samples, found["a"].patients, found["a"].deaths) == (60, 60, 30)

    def test_the_brier_score_is_of_the_calibrated_probability(self):
        y = np.arange(40) % 2
        found = m.subgroups(
            y, y * 0.5, range(40), ["a"] * 40, attribute="sex", threshold=0.2, calibrated=y * 1.0, resamples=10
        )
        assert found[0].figures["brier"].value == 0
        assert found[0].figures["recall"].value == 1

    def test_small_groups_join_the_smaller_neighbour(self):
        assert list(self.groups({"a": 30, "b": 9, "c": 20}, order=("a", "b", "c"))) == ["a", "b, c"]
        assert list(self.groups({"a": 30, "b": 9, "c": 40}, order=("a", "b", "c"))) == ["a, b", "c"]
        assert list(self.groups({"a": 4, "b": 5, "c": 40}, order=("a", "b", "c"))) == ["a, b, c"]
        assert list(self.groups({"a": 4, "b": 6, "c": 40}, order=("a", "b", "c"))) == ["a, b", "c"]
        assert list(self.groups({"a": 4, "b": 40, "c": 6})) == ["b", "c, a"]
        assert self.groups({"a": 4, "b": 5}) == {}

    def test_what_counts_is_patients_not_samples(self):
        assert list(self.groups({"a": 30, "b": 30}, patients=[*range(30), *range(9)] + [8] * 21)) == ["a, b"]

    def test_names_out_of_order_come_last(self):
        assert list(self.groups({"x": 50, "a": 30, "b": 40}, order=("a", "b"))) == ["a", "b", "x"]

    def test_few_deaths_leave_the_size_alone(self):
        few = self.groups({"a": 100, "b": 40, "c": 45}, deaths=0.2)
        assert few["a"].deaths == 20
        assert few["b"] == m.Subgroup("unit", "b", 40, 40, None, None)
        assert few["c"] == m.Subgroup("unit", "c", 45, 45, None, None)
        # Twenty deaths, but all of two patients.
        same = self.groups({"a": 100}, deaths=0.2, patients=[0, 1] * 10 + [*range(2, 82)])
        assert same["a"] == m.Subgroup("unit", "a", 100, 82, None, None)

    def test_few_deaths_are_not_what_the_others_lack_of_the_total(self):
        few = self.groups({"a": 100, "b": 40, "c": 60, "d": 80}, deaths=0.2)
        assert {name: group.deaths for name, group in few.items()} == {"a": 20, "b": None, "c": None, "d": 16}
        assert few["c"].figures is None
        assert [group.deaths for group in self.groups({"a": 100, "b": 40}, deaths=0.2).values()] == [None, None]
        assert [group.deaths for group in self.groups({"a": 100, "b": 60}, deaths=0.2).values()] == [20, 12]

    @given(st.lists(st.sampled_from("abcdef"), max_size=80))
    @settings(deadline=None, max_examples=60)
    def test_no_group_is_small_and_none_is_lost(self, of):
        y = np.arange(len(of)) % 2
        found = m.subgroups(y, np.full(len(of), 0.5), range(len(of)), of, attribute="u", threshold=0.5, resamples=2)
        assert all(group.patients >= 10 for group in found)
        assert sum(group.samples for group in found) == (len(of) if len(of) >= 10 else 0)
        names = [name for group in found for name in group.group.split(", ")]
        assert sorted(names) == (sorted(set(of)) if len(of) >= 10 else [])


SHARES = st.floats(0.01, 0.99)


def _best_f1(curve, prevalence):
    """Return the best F1 over points (false positive rate, true positive rate)."""
    f, t = np.array(curve).T
    return (2 * prevalence * t / (prevalence * (1 + t) + (1 - prevalence) * f)).max()


class TestLargestF1:
    @given(SHARES)
    def test_without_ranking_it_is_that_of_calling_everybody_dead(self, prevalence):
        constant = 2 * prevalence / (1 + prevalence)
        assert m.max_f1(0.5, prevalence) == pytest.approx(constant)
        assert m.max_f1(0.3, prevalence) == pytest.approx(constant)
        assert m.f1_bound(0.5, prevalence) == pytest.approx(constant)
        assert m.f1_bound(0.0, prevalence, concave=False) == pytest.approx(constant)

    @given(SHARES)
    def test_perfect_ranking_gives_one(self, prevalence):
        assert m.max_f1(1.0, prevalence) == 1
        assert m.f1_bound(1.0, prevalence) == m.f1_bound(1.0, prevalence, concave=False) == 1
        assert m.max_f1(1 - 1e-12, prevalence) == pytest.approx(1, abs=1e-4)

    @given(st.floats(0.5, 0.999), SHARES)
    @settings(deadline=None)
    def test_the_binormal_maximum_is_that_of_a_fine_grid_of_thresholds(self, auroc, prevalence):
        d = np.sqrt(2) * norm.ppf(auroc)
        thresholds = np.linspace(-12, 12, 4001)
        grid = _best_f1(np.column_stack([norm.cdf(-thresholds), norm.cdf(d - thresholds)]), prevalence)
        found = m.max_f1(auroc, prevalence)
        assert grid - 1e-9 <= found <= grid + 2e-5
        assert found <= m.f1_bound(auroc, prevalence) + 1e-12

    def test_scores_drawn_from_the_model_reach_it_and_no_more(self):
        rng = np.random.default_rng(0)
        y = rng.random(200_000) < 0.14
        p = norm.cdf(rng.normal(np.sqrt(2) * norm.ppf(0.85) * y, 1))
        best = sk.f1_score(y, p >= m.best_f1_threshold(y, p))
        assert best == pytest.approx(m.max_f1(0.85, 0.14), abs=0.005)

    @given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=1, max_size=8), SHARES)
    def test_no_concave_curve_exceeds_the_bound(self, steps, prevalence):
        steps = sorted(steps, key=lambda step: -step[1] / step[0])
        f, t = (np.append(0, np.cumsum(part)) / sum(part) for part in zip(*steps, strict=True))
        auroc = min(1.0, np.trapezoid(t, f))
        # Between its corners a concave curve has no better F1: it is a ratio of linear functions along each side.
        assert _best_f1(np.column_stack([f, t]), prevalence) <= m.f1_bound(auroc, prevalence) + 1e-9

    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8), SHARES)
    def test_no_rising_curve_exceeds_the_bound_of_all(self, points, prevalence):
        f, t = np.sort([(0, 0), *points, (1, 1)], axis=0).T
        auroc = float((np.diff(f) * t[:-1]).sum())  # flat, then up: the least area below the points
        best = _best_f1(np.column_stack([f, t]), prevalence)
        assert best <= m.f1_bound(min(1.0, auroc), prevalence, concave=False) + 1e-9

    @given(st.floats(0.5, 1), SHARES)
    def test_the_bounds_are_reached(self, auroc, prevalence):
        g = 2 * auroc - 1
        corners = [[(0, g)], [(1 - g, 1)]]
        for corner in corners:
            f, t = np.array([(0, 0), *corner, (1, 1)]).T
            assert np.trapezoid(t, f) == pytest.approx(auroc)
        reached = max(_best_f1(corner, prevalence) for corner in corners)
        assert reached == pytest.approx(m.f1_bound(auroc, prevalence))
        steps = max(_best_f1([(0, auroc)], prevalence), _best_f1([(1 - auroc, 1)], prevalence))
        assert steps == pytest.approx(m.f1_bound(auroc, prevalence, concave=False))

    @given(st.floats(0.5, 1), st.floats(0.5, 1), SHARES)
    def test_it_rises_with_the_auroc(self, one, other, prevalence):
        low, high = sorted((one, other))
        assert m.max_f1(low, prevalence) <= m.max_f1(high, prevalence) + 1e-9
        assert m.f1_bound(low, prevalence) <= m.f1_bound(low, prevalence, concave=False) + 1e-9

    @pytest.mark.parametrize(("auroc", "prevalence"), [(1.1, 0.5), (-0.1, 0.5), (0.8, 0.0), (0.8, 1.0), (np.nan, 0.5)])
    def test_what_is_no_share_is_refused(self, auroc, prevalence):
        for function in (m.max_f1, m.f1_bound):
            with pytest.raises(ValueError, match=r"auroc is|prevalence is"):
                function(auroc, prevalence)
