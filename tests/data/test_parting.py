"""Dividing a folder: shares per class, copies together, the same seed the same parts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data.parting import assign, quotas

SHARES = (0.8, 0.1, 0.1)


CUTS = [SHARES, (0.5, 0.5, 0.0), (0.1, 0.0, 0.9), (0.7, 0.2, 0.1)]


@given(st.lists(st.integers(0, 500), max_size=8), st.sampled_from(CUTS))
def test_quotas_add_up_and_no_part_is_left_out_where_there_is_enough(counts, shares):
    given_ = quotas(counts, shares)
    assert given_.sum(axis=1).tolist() == counts
    assert given_.min(initial=0) >= 0
    assert not given_[:, [p for p, share in enumerate(shares) if not share]].any()
    wanted = sum(share > 0 for share in shares)
    assert (given_ > 0).sum(axis=1).tolist() == [min(n, wanted) for n in counts]


@given(st.lists(st.integers(30, 500), min_size=1, max_size=8), st.sampled_from(CUTS))
def test_every_class_and_all_together_have_the_shares(counts, shares):
    given_, exact = quotas(counts, shares), np.outer(counts, shares)
    assert np.abs(given_ - exact).max() < 2
    assert np.abs(given_.sum(axis=0) - exact.sum(axis=0)).max() < 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 3))
def test_without_copies_every_class_has_exactly_its_quotas(labels, seed):
    labels = np.array(labels)
    parts = assign(labels, [], SHARES, seed=seed)
    wanted = quotas(np.bincount(labels).tolist(), SHARES)
    for label, quota in enumerate(wanted.tolist()):
        assert np.bincount(parts[labels == label], minlength=3).tolist() == quota


@given(st.data())
def test_a_group_lies_in_one_part(data):
    n = data.draw(st.integers(2, 60))
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    cuts = sorted(data.draw(st.sets(st.integers(1, n), max_size=8)))
    groups = [list(range(a, b)) for a, b in zip([0, *cuts], cuts, strict=False) if b - a > 1]
    parts = assign(labels, groups, SHARES, seed=1)
    assert all(len(set(parts[group].tolist())) == 1 for group in groups)


def test_the_seed_decides_and_nothing_else():
    labels = np.arange(200) % 4
    first, again, other = (assign(labels, [[0, 1]], SHARES, seed=s) for s in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_few_copies_hardly_move_the_shares():
    labels = np.arange(300) % 3
    groups = [[i, i + 30] for i in range(0, 24)]
    counts = np.bincount(assign(labels, groups, SHARES, seed=0), minlength=3)
    assert np.abs(counts - 300 * np.array(SHARES)).max() <= 3
