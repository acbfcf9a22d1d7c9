"""Sampling that makes classes equally frequent: what an epoch holds, and that it is repeatable."""

import numpy as np
import pytest

from dlcli.data.balance import Balanced
from dlcli.data.dataset import ArraySplit
from dlcli.data.loader import Loader
from dlcli.data.text import TextSplit
from dlcli.errors import UsageError

LABELS = np.array([0] * 17 + [2] * 5 + [1] * 9)


@pytest.fixture
def part():
    """31 images of three classes, each with its number as its pixel."""
    pixels = np.arange(31, dtype=np.uint8).reshape(31, 1, 1, 1)
    return ArraySplit("train", pixels, LABELS)


def epoch(split, number, **more):
    loader = Loader(split, lambda x: x.astype(np.float32), 4, seed=3, shuffle=True, **more)
    batches = list(loader.epoch(number))
    assert len(batches) == len(loader)
    return batches


def rows(batches):
    return np.concatenate([batch.indices for batch in batches])


@pytest.mark.parametrize(("how", "each"), [("over", 17), ("under", 5)])
def test_an_epoch_has_as_many_of_each_class(part, how, each):
    batches = epoch(Balanced(part, how, 3), 0)
    labels = np.concatenate([batch.y for batch in batches])
    assert np.bincount(labels).tolist() == [each] * 3
    for batch in batches:
        assert batch.x.reshape(-1).tolist() == batch.indices.tolist()
        assert LABELS[batch.indices].tolist() == batch.y.tolist()


def test_over_sampling_leaves_none_out_and_repeats_all_alike(part):
    times = np.bincount(rows(epoch(Balanced(part, "over", 3), 0)), minlength=31)
    assert set(times[LABELS == 0]) == {1}
    assert set(times[LABELS == 1]) == {1, 2}
    assert set(times[LABELS == 2]) == {3, 4}


def test_under_sampling_takes_none_twice_and_others_in_another_epoch(part):
    balanced = Balanced(part, "under", 3)
    first, second = rows(epoch(balanced, 0)), rows(epoch(balanced, 1))
    assert len(set(first)) == len(first) == 15
    assert set(first) != set(second)


@pytest.mark.parametrize("how", ["over", "under"])
def test_an_epoch_is_the_same_each_time_and_can_be_taken_up_in_its_middle(part, how):
    balanced = Balanced(part, how, 3)
    whole = rows(epoch(balanced, 2))
    loader = Loader(balanced, lambda x: x, 4, seed=3, shuffle=True)
    assert np.array_equal(rows(loader.epoch(2, 2)), whole[8:])
    assert not np.array_equal(rows(epoch(Balanced(part, how, 4), 2)), whole)
    assert not np.array_equal(rows(epoch(balanced, 3)), whole)


def test_texts_of_similar_lengths_still_share_a_batch():
    texts = [["w"] * (1 + i % 8) for i in range(31)]
    balanced = Balanced(TextSplit("train", [" ".join(t) for t in texts], LABELS, None), "over", 3)
    loader = Loader(balanced, lambda x: np.zeros((len(x), 1)), 4, seed=3, shuffle=True)
    found = rows(loader.epoch(0))
    assert np.bincount(LABELS[found]).tolist() == [17] * 3
    lengths = [balanced.lengths[batch.indices] for batch in loader.epoch(0)]
    assert np.mean([np.ptp(batch) for batch in lengths]) < 2


def test_what_has_no_classes_cannot_be_balanced(part):
    values = ArraySplit("train", part.pixels, LABELS)
    values.labels = LABELS.astype(np.float64)
    with pytest.raises(UsageError, match="sampling = 'over' does not apply"):
        Balanced(values, "over", 0)


def test_an_epoch_that_would_be_too_long_is_refused(part, monkeypatch):
    monkeypatch.setattr("dlcli.data.balance.MOST", 50)
    with pytest.raises(UsageError, match="too long"):
        Balanced(part, "over", 0)
    assert Balanced(part, "under", 0).each == 5
