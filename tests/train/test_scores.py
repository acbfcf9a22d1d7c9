"""ROC, precision and recall, calibration, mistakes: by hand, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from dlcli.train import scores
from dlcli.train.scores import Scores

# few different scores, so that many are equal
SAMPLES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60)


def both_sides(rows):
    score, positive = (np.array(column) for column in zip(*rows, strict=True))
    return score / 6, positive.astype(bool)


@settings(max_examples=60, deadline=None)
@given(SAMPLES.filter(lambda rows: 0 < sum(p for _, p in rows) < len(rows)))
def test_areas_and_curves_are_those_of_scikit_learn(rows):
    score, positive = both_sides(rows)
    roc = scores.roc(score, positive)
    assert roc.area == pytest.approx(metrics.roc_auc_score(positive, score))
    x, y, _ = metrics.roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose((roc.x, roc.y), (x, y))
    found = scores.precision_recall(score, positive)
    assert found.area == pytest.approx(metrics.average_precision_score(positive, score))
    precision, recall, _ = metrics.precision_recall_curve(positive, score)
    np.testing.assert_allclose(found.x, recall[::-1])
    np.testing.assert_allclose(found.y[1:], precision[-2::-1])


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_what_has_nothing_to_be_told_from_has_no_curve_and_the_mean_leaves_it_out(positive):
    nothing = scores.roc(np.array([0.1, 0.9]), np.array(positive))
    assert (len(nothing.x), np.isnan(nothing.area)) == (0, True)
    perfect = scores.roc(np.array([0.1, 0.9]), np.array([False, True]))
    mean = scores.macro([nothing, perfect], step=False)
    assert mean.area == 1.0
    np.testing.assert_array_equal(mean.y, 1.0)
    assert np.isnan(scores.macro([nothing], step=True).area)


def test_the_mean_curve_lies_between_the_curves_of_the_classes():
    good = scores.roc(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False]))
    chance = scores.roc(np.array([0.5, 0.5]), np.array([True, False]))
    mean = scores.macro([good, chance], step=False)
    assert mean.area == pytest.approx(0.75)
    np.testing.assert_allclose(mean.y, (1 + mean.x) / 2)


def test_the_calibration_error_is_that_worked_out_by_hand():
    sure = np.array([0.95, 0.95, 1.0, 0.55])
    found = scores.calibration(sure, np.array([True, False, True, True]), bins=10)
    assert found.count.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert found.accuracy[9] == pytest.approx(2 / 3)
    assert found.confidence[9] == pytest.approx(2.9 / 3)
    assert found.error == pytest.approx((3 * (2.9 / 3 - 2 / 3) + 0.45) / 4)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_every_sample_is_in_one_bin_and_the_error_is_a_share(rows):
    sure, right = (np.array(column) for column in zip(*rows, strict=True))
    found = scores.calibration(sure, right)
    assert found.count.sum() == len(rows)
    assert 0 <= found.error <= 1


def test_the_surest_mistakes_come_first_and_right_ones_never():
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.1, 0.9], [0.2, 0.8]], np.float32)
    found = Scores(shares, np.array([0, 0, 0, 0, 1]))
    assert found.mistakes(10).tolist() == [3, 1, 2]
    assert found.mistakes(2).tolist() == [3, 1]


def test_samples_of_one_class_have_a_calibration_error_and_no_area():
    found = Scores(np.array([[0.75, 0.25]], np.float32), np.array([0]))
    assert found.figures == {"ece": 0.25}


def test_the_means_of_three_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 200)
    shares = rng.dirichlet(np.ones(3), 200)
    shares[np.arange(200), labels] += 0.3
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    found = Scores(shares, labels).figures
    areas = [metrics.roc_auc_score(labels == k, shares[:, k]) for k in range(3)]
    assert found["macro_auc"] == pytest.approx(np.mean(areas))
    precision = [metrics.average_precision_score(labels == k, shares[:, k]) for k in range(3)]
    assert found["macro_ap"] == pytest.approx(np.mean(precision))
