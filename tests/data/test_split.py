"""Stratified cuts: shares, determinism, and what happens to tiny classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.data.split import quotas, stratified
from dlcli.errors import DataError

few = settings(max_examples=100, deadline=None, derandomize=True)
counts_of = st.lists(st.integers(0, 60), min_size=1, max_size=12)


@few
@given(counts=counts_of, one_in=st.integers(2, 12))
def test_each_class_gives_its_share_at_least_one_and_keeps_at_least_one(counts, one_in):
    given_up = quotas(np.array(counts), one_in)
    for count, quota in zip(counts, given_up.tolist(), strict=True):
        assert abs(quota - count / one_in) <= 1
        assert quota >= 1 if count >= 2 else quota == 0


@few
@given(counts=st.lists(st.integers(24, 90), min_size=1, max_size=9), one_in=st.integers(2, 12))
def test_the_total_is_the_share_of_all_where_no_class_is_tiny(counts, one_in):
    assert quotas(np.array(counts), one_in).sum() == (2 * sum(counts) + one_in) // (2 * one_in)


@few
@given(labels=st.lists(st.integers(0, 5), min_size=12, max_size=80), seed=st.integers(-5, 5))
def test_a_cut_is_a_partition_into_ascending_rows(labels, seed):
    kept, taken = stratified(np.array(labels), 4, seed=seed)
    assert sorted([*kept.tolist(), *taken.tolist()]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(taken) > 0).all()


def test_the_same_seed_cuts_the_same_and_another_seed_or_stream_another():
    labels = np.arange(1000) % 7
    taken = stratified(labels, 10, seed=3)[1]
    np.testing.assert_array_equal(taken, stratified(labels, 10, seed=3)[1])
    assert not np.array_equal(taken, stratified(labels, 10, seed=4)[1])
    assert not np.array_equal(taken, stratified(labels, 10, seed=3, stream="other")[1])


def test_a_cut_stays_what_it_was_in_every_release():
    taken = stratified(np.arange(40) % 2, 10)[1]
    assert taken.tolist() == [16, 24, 25, 31]


def test_a_class_is_cut_the_same_whatever_the_other_classes_hold():
    few_others, many_others = np.r_[np.zeros(50, int), [1] * 20], np.r_[np.zeros(50, int), [1] * 90]
    rows = [
        taken[taken < 50] for _, taken in (stratified(x, 10) for x in (few_others, many_others))
    ]
    np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize("labels", [[], [0], [0, 1, 2]])
def test_nothing_can_be_taken_from_classes_of_one(labels):
    with pytest.raises(DataError, match="too few samples"):
        stratified(np.array(labels, dtype=np.int64), 10)
