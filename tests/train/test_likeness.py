"""How like real images generated ones are: against loops, known Gaussians and SciPy."""

import numpy as np
import pytest

from dlcli.data.dataset import ArraySplit
from dlcli.train import likeness


def images(n, seed=0, shape=(3, 2, 1)):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)


def split(pixels):
    return ArraySplit("train", pixels, np.zeros(len(pixels), int))


def rms(a, b):
    """The distance of two images, as a loop over their values."""
    values = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    return (sum(((p - q) / 255) ** 2 for p, q in values) / a.size) ** 0.5


# --- pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_the_nearest_training_image_is_that_of_a_loop(monkeypatch, block):
    monkeypatch.setattr(likeness, "BLOCK", block)
    made, real = images(7), images(11, seed=1)
    rows = np.array([0, 2, 3, 7, 10])
    away, which = likeness.nearest(made, split(real), rows)
    for i, picture in enumerate(made):
        distances = {row: rms(picture, real[row]) for row in rows}
        assert which[i] == min(distances, key=distances.get)
        assert away[i] == pytest.approx(min(distances.values()), rel=1e-12)


def test_a_copy_lies_at_exactly_0_and_black_from_white_at_1():
    real = images(40, shape=(28, 28, 3))
    away, which = likeness.nearest(real[[7, 31]], split(real), np.arange(40))
    assert (away.tolist(), which.tolist()) == ([0.0, 0.0], [7, 31])
    black, white = np.zeros((1, 4, 4, 1), np.uint8), np.full((1, 4, 4, 1), 255, np.uint8)
    assert likeness.nearest(black, split(white), np.arange(1))[0].tolist() == [1.0]


@pytest.mark.parametrize("block", [2, 1000])
def test_spread_is_the_mean_distance_of_two_different_images(monkeypatch, block):
    monkeypatch.setattr(likeness, "BLOCK", block)
    made = images(9)
    pairs = [rms(a, b) for i, a in enumerate(made) for j, b in enumerate(made) if i != j]
    assert likeness.spread(made) == pytest.approx(np.mean(pairs), rel=1e-5)
    assert likeness.spread(made[[3, 3, 3]]) == pytest.approx(0, abs=1e-3)


def test_rows_are_taken_at_equal_distances_and_each_once():
    assert likeness.evenly(4, 9).tolist() == [0, 1, 2, 3]
    assert likeness.evenly(101, 3).tolist() == [0, 50, 100]
    assert len(set(likeness.evenly(1_000, 999).tolist())) == 999


def test_large_images_are_taken_a_few_at_a_time():
    rows = np.arange(10)
    size = likeness.BYTES // 4 // 3
    assert [len(block) for block in likeness._blocks(rows, size)] == [3, 3, 3, 1]
    assert [len(block) for block in likeness._blocks(rows, 10**12)] == [1] * 10


# --- the Fréchet distance -------------------------------------------------------------------------


def drawn_with(mean, covariance, n=50):
    """Features whose mean and covariance are exactly these."""
    x = np.random.default_rng(0).standard_normal((n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.linalg.cholesky(np.array(covariance)).T + mean


def test_the_distance_of_known_gaussians():
    plain = drawn_with([0, 0], [[1, 0], [0, 1]])
    moved = drawn_with([3, 4], [[1, 0], [0, 1]])
    wide = drawn_with([0, 0], [[4, 0], [0, 9]])
    assert likeness.frechet(plain, plain) == pytest.approx(0, abs=1e-12)
    assert likeness.frechet(plain, moved) == pytest.approx(25)
    assert likeness.frechet(plain, wide) == pytest.approx((2 - 1) ** 2 + (3 - 1) ** 2)
    assert likeness.frechet(wide, plain) == pytest.approx(5)


def test_the_root_of_matrices_that_do_not_commute_is_scipys():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(1)
    x, y = (rng.standard_normal((60, 8)) @ rng.standard_normal((8, 8)) for _ in range(2))
    first, second = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(first @ second).real
    away = x.mean(axis=0) - y.mean(axis=0)
    expected = away @ away + np.trace(first + second - 2 * root)
    assert likeness.frechet(x, y) == pytest.approx(expected, rel=1e-9)


def test_fewer_images_than_features_are_no_trouble():
    x = np.random.default_rng(2).standard_normal((5, 30)).astype(np.float32)
    assert likeness.frechet(x, x) == pytest.approx(0, abs=1e-6)
    assert likeness.frechet(x, x + 1) == pytest.approx(30, rel=1e-6)


# --- precision and recall -------------------------------------------------------------------------


def within(points, centres, k):
    """The share of points no further from some centre than its k-th neighbour: a loop."""
    hits = 0
    for point in points:
        inside = False
        for i, centre in enumerate(centres):
            others = [np.linalg.norm(centre - o) for j, o in enumerate(centres) if j != i]
            inside |= np.linalg.norm(point - centre) <= sorted(others)[k - 1]
        hits += inside
    return hits / len(points)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_those_of_a_loop(k):
    rng = np.random.default_rng(3)
    real, made = rng.standard_normal((30, 3)), 0.7 * rng.standard_normal((20, 3)) + 0.5
    precision, recall = likeness.precision_recall(real, made, k)
    assert (precision, recall) == (within(made, real, k), within(real, made, k))
    assert recall < precision < 1


def test_modes_that_are_missing_cost_recall_and_strangers_precision():
    rng = np.random.default_rng(4)
    left, right = rng.standard_normal((40, 2)), rng.standard_normal((40, 2)) + 50
    both = np.concatenate([left, right])
    assert likeness.precision_recall(both, left + 1e-9)[0] == 1
    assert likeness.precision_recall(both, left + 1e-9)[1] == 0.5
    assert likeness.precision_recall(left, both) == (0.5, 1)
    assert likeness.precision_recall(left, right) == (0, 0)


def test_copies_of_one_image_and_very_few_images_have_figures():
    one = np.ones((6, 2))
    assert likeness.precision_recall(one, one) == (1, 1)
    two = np.array([[0.0, 0], [1, 0]])
    assert likeness.precision_recall(two, two + 0.1) == (1, 1)
