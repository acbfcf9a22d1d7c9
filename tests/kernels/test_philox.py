"""The counter-based generator: published vectors, uniformity, moments, permutations."""

import numpy as np
import pytest
from dlcli_kernels import philox
from hypothesis import given, settings
from hypothesis import strategies as st

ONES = 0xFFFFFFFF
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
KNOWN = {  # Random123's kat_vectors: (counter, key) -> block
    "zeros": ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    "ones": ((ONES,) * 4, (ONES,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    "pi": (PI, (0xA4093822, 0x299F31D0), "d16cfe09 94fdcceb 5001e420 24126ea1"),
}
DRAWS = 200_000


@pytest.mark.parametrize("name", KNOWN)
def test_blocks_are_those_that_random123_publishes(name):
    counter, key, words = KNOWN[name]
    block = philox.blocks(key, counter[1:], counter[0], 1)
    assert block.dtype == np.uint32
    assert [f"{word:08x}" for word in block[0]] == words.split()


def plain_block(counter, key):
    """Philox4x32-10 in Python's integers, from the paper's description."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(philox.M0 * c[0], 2**32)
        high1, low1 = divmod(philox.M1 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + philox.W0) % 2**32, (k[1] + philox.W1) % 2**32]
    return c


WORD = st.integers(0, ONES)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.tuples(WORD, WORD), st.tuples(WORD, WORD, WORD), st.integers(0, ONES - 3))
def test_blocks_equal_the_rounds_in_plain_integers_for_any_key_and_counter(key, counter, first):
    blocks = philox.blocks(key, counter, first, 3)
    assert blocks.tolist() == [plain_block((first + i, *counter), key) for i in range(3)]


def test_a_block_is_the_same_whatever_is_drawn_around_it():
    whole = philox.blocks((1, 2), (3, 4, 5), 0, 50)
    assert np.array_equal(philox.blocks((1, 2), (3, 4, 5), 17, 9), whole[17:26])
    assert np.array_equal(philox.bits((1, 2), (3, 4, 5), 23), whole.reshape(-1)[:23])


def test_the_number_of_the_block_wraps_at_32_bits():
    last = philox.blocks((1, 2), (3, 4, 5), ONES, 2)
    assert np.array_equal(last[1], philox.blocks((1, 2), (3, 4, 5), 0, 1)[0])


def test_draws_of_a_generator_continue_where_the_last_one_stopped():
    one, other = (philox.Generator(7, "test", 1, 2) for _ in range(2))
    whole = one.bits(24)
    assert np.array_equal(np.concatenate([other.bits(8), other.bits(16)]), whole)


@pytest.mark.parametrize(
    "other",
    [(8, "shuffle", 1), (7, "augment", 1), (7, "shuffle", 2), (7, "shuffle", 1, 1)],
    ids=["seed", "stream", "counter", "second counter"],
)
def test_another_seed_stream_or_counter_is_uncorrelated(other):
    x = philox.Generator(7, "shuffle", 1).uniform(DRAWS)
    y = philox.Generator(*other).uniform(DRAWS)
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / DRAWS**0.5


def test_uniform_numbers_fill_256_bins_evenly_and_stay_in_range():
    x = philox.Generator(0, "uniform").uniform(DRAWS)
    assert x.min() >= 0
    assert x.max() < 1
    counts = np.bincount((x * 256).astype(int), minlength=256)
    chi2 = np.sum((counts - DRAWS / 256) ** 2) / (DRAWS / 256)
    assert abs(chi2 - 255) < 5 * (2 * 255) ** 0.5  # mean 255, variance 2 · 255


def test_each_bit_of_a_word_is_set_half_of_the_time():
    words = philox.Generator(0, "bits").bits(DRAWS)
    share = [np.mean((words >> np.uint32(bit)) & np.uint32(1)) for bit in range(32)]
    assert np.abs(np.array(share) - 0.5).max() < 5 * 0.5 / DRAWS**0.5


def test_neighbouring_uniform_numbers_are_uncorrelated():
    x = philox.Generator(0, "uniform").uniform(DRAWS)
    for lag in (1, 2, 3, 4, 5):
        assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) < 5 / DRAWS**0.5


def test_normal_numbers_have_the_moments_of_a_normal_distribution():
    x = philox.Generator(0, "normal").normal(DRAWS)
    within = 5 / DRAWS**0.5
    assert np.isfinite(x).all()
    assert abs(x.mean()) < within
    assert abs(np.mean(x**2) - 1) < within * 2**0.5
    assert abs(np.mean(x**3)) < within * 15**0.5
    assert abs(np.mean(x**4) - 3) < within * 96**0.5
    assert abs(np.mean(np.abs(x) < 1) - 0.682689) < within / 2


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
def test_a_shape_is_filled_whatever_its_size(n):
    generator = philox.Generator(3, "shapes")
    assert generator.normal(n).shape == (n,)
    assert generator.uniform(n, 3).shape == (n, 3)
    assert generator.bits(n).shape == (n,)


def test_integers_stay_below_their_bound_and_are_even():
    x = philox.Generator(0, "integers").integers(7, 70_000)
    counts = np.bincount(x, minlength=7)
    assert counts.size == 7
    assert np.abs(counts - 10_000).max() < 5 * (10_000 * 6 / 7) ** 0.5


@pytest.mark.parametrize("n", [0, 1, 2, 3, 257, 5000])
def test_a_permutation_has_each_index_once(n):
    found = philox.Generator(1, "shuffle", 3).permutation(n)
    assert np.array_equal(np.sort(found), np.arange(n))


def test_all_permutations_of_three_are_equally_frequent():
    times = 6000
    seen = [tuple(philox.Generator(1, "p", i).permutation(3).tolist()) for i in range(times)]
    counts = np.array([seen.count(p) for p in set(seen)])
    assert counts.size == 6
    assert np.abs(counts - times / 6).max() < 5 * (times / 6 * 5 / 6) ** 0.5


def test_a_permutation_is_the_same_again_and_another_in_the_next_epoch():
    first, again, second = (philox.Generator(1, "s", e).permutation(100) for e in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
