"""Samples of different lengths: similar ones share a batch, and an epoch still has each once."""

import numpy as np
import pytest

from dlcli.data.loader import Loader
from dlcli.data.reading import GROUP
from dlcli.data.text import TextSplit
from dlcli.data.vocabulary import Vocabulary

LENGTHS = np.random.default_rng(0).integers(1, 200, 1501)
SPLIT = TextSplit("train", ["w " * n for n in LENGTHS], np.zeros(len(LENGTHS)))
ENCODE = Vocabulary(["w"], 256)


def loader(seed=0, shuffle=True, size=4) -> Loader:
    return Loader(SPLIT, ENCODE, size, seed=seed, shuffle=shuffle, workers=0)


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_has_every_sample_once(shuffle):
    assert sorted(loader(shuffle=shuffle).order(3)) == list(range(len(SPLIT)))


def test_a_batch_has_similar_lengths_and_batches_are_in_no_order_of_them():
    made = loader()
    batches = made.order(0)[: len(SPLIT) // 4 * 4].reshape(-1, 4)
    spread = np.ptp(LENGTHS[batches], axis=1).mean()
    assert spread < 200 / GROUP * 2
    longest = LENGTHS[batches].max(axis=1)
    assert abs(np.corrcoef(longest[1:], longest[:-1])[0, 1]) < 0.15


def test_epochs_and_seeds_give_other_batches_and_the_same_ones_again():
    orders = [loader(seed).order(epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len({order.tobytes() for order in orders}) == 3
    np.testing.assert_array_equal(loader().order(1), orders[1])


def test_the_short_batch_is_the_last():
    sizes = [len(batch.y) for batch in loader(size=64).epoch(0)]
    assert sizes == [64] * (len(SPLIT) // 64) + [len(SPLIT) % 64]


def test_a_part_smaller_than_a_batch_is_one_batch():
    (batch,) = Loader(SPLIT, ENCODE, 2000, shuffle=True, workers=0).epoch(0)
    assert len(batch.y) == len(SPLIT)


def test_an_epoch_can_be_taken_up_at_any_batch():
    whole = [batch.indices.tolist() for batch in loader(size=100).epoch(2)]
    rest = [batch.indices.tolist() for batch in loader(size=100).epoch(2, start=7)]
    assert rest == whole[7:]
