"""The figures of a classifier, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from dlcli.train import metrics


def example(n, k, seed, missing=()):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n, k)).astype(np.float32) * 3
    y = rng.integers(0, k, n)
    for c in missing:
        y[y == c] = (c + 1) % k
    return logits, y


CASES = [(200, 10, 0, ()), (50, 3, 1, (1,)), (7, 5, 2, (0, 1, 2)), (1, 2, 3, ())]


@pytest.mark.parametrize(("n", "k", "seed", "missing"), CASES)
def test_per_class_figures_and_their_averages_equal_scikit_learns(n, k, seed, missing):
    logits, y = example(n, k, seed, missing)
    predicted = logits.argmax(axis=1)
    confusion = metrics.confusion_matrix(y, predicted, k)
    labels = np.arange(k)
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(y, predicted, labels=labels))
    figures, _ = metrics.per_class(confusion)
    for average, weights in ((None, None), ("macro", None), ("weighted", figures["support"])):
        want = sk.precision_recall_fscore_support(
            y, predicted, labels=labels, average=average, zero_division=0
        )
        found = figures if average is None else metrics.averages(figures, weights)
        for name, value in zip(("precision", "recall", "f1"), want, strict=False):
            np.testing.assert_allclose(found[name], value, rtol=1e-12)
    assert np.trace(confusion) / n == pytest.approx(sk.accuracy_score(y, predicted), abs=0)


@pytest.mark.parametrize(("n", "k", "seed", "missing"), CASES)
def test_the_loss_and_top_k_equal_scikit_learns(n, k, seed, missing):
    logits, y = example(n, k, seed, missing)
    labels = np.arange(k)
    probabilities = np.exp(metrics.log_softmax(logits))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(
        metrics.cross_entropy(logits, y).mean(),
        sk.log_loss(y, probabilities, labels=labels),
        rtol=1e-9,
    )
    if k > 2:
        hits = metrics.top_k_hits(logits, y, [1, 2])
        for top, count in hits.items():
            want = sk.top_k_accuracy_score(y, logits, k=top, labels=labels)
            assert count / n == pytest.approx(want, abs=1e-12)


def test_zero_divided_by_zero_is_zero_and_is_reported():
    confusion = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 0]])  # 1 never occurs, 2 never predicted
    figures, undefined = metrics.per_class(confusion)
    np.testing.assert_array_equal(figures["precision"], [0.6, 0, 0])
    np.testing.assert_array_equal(figures["recall"], [0.75, 0, 0])
    np.testing.assert_allclose(figures["f1"], [6 / 9, 0, 0])
    assert undefined["precision"].tolist() == [False, False, True]
    assert undefined["recall"].tolist() == [False, True, False]
    assert undefined["f1"].tolist() == [False, False, False]
    nothing = np.zeros((2, 2), np.int64)
    assert metrics.averages(metrics.per_class(nothing)[0], np.zeros(2))["f1"] == 0


def test_log_softmax_neither_overflows_nor_hides_a_nan():
    logits = np.array([[1000.0, -1000.0], [np.nan, 0.0], [np.inf, 0.0]], np.float32)
    found = metrics.log_softmax(logits)
    np.testing.assert_array_equal(found[0], [0, -2000])
    assert np.isnan(found[1:]).all()


def test_of_equal_scores_the_lower_class_comes_first():
    scores = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    np.testing.assert_array_equal(metrics.top_classes(scores, 3), [[1, 2, 0], [0, 1, 2]])
    assert metrics.top_classes(scores, 9).shape == (2, 4)


def test_sums_are_averaged_over_samples_not_over_batches():
    total = metrics.Sums()
    total.add({"loss": 8.0, "correct": 4}, 4)
    total.add({"loss": 1.0, "correct": 0}, 1)
    assert total.means("val_") == {"val_loss": 1.8, "val_accuracy": 0.8}
    assert metrics.Sums().means() == {}
