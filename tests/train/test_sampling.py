"""What comes next: chosen by its share among the most probable, up to what ends a text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.errors import NonFiniteError
from dlcli.train import language_model, sampling

SCORES = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=12)


@given(SCORES, st.floats(0.05, 5), st.integers(1, 12), st.floats(0.01, 1))
def test_shares_are_those_of_the_most_probable(scores, temperature, top_k, top_p):
    z = np.array(scores, np.float32)
    plain = sampling.shares(z, temperature=temperature)
    want = np.exp((z.astype(float) - z.max()) / temperature)
    np.testing.assert_allclose(plain, want / want.sum(), rtol=1e-9)
    few = sampling.shares(z, temperature=temperature, top_k=top_k)
    assert np.count_nonzero(few) <= top_k
    assert few.sum() == pytest.approx(1)
    kept = few > 0
    assert plain[kept].min() >= plain[~kept].max(initial=0) * (1 - 1e-12)
    core = sampling.shares(z, temperature=temperature, top_p=top_p)
    held = plain[core > 0]
    assert held.sum() >= top_p - 1e-9
    assert held.sum() - held.min() < top_p + 1e-9
    both = sampling.shares(z, temperature=temperature, top_k=top_k, top_p=top_p)
    assert set(np.flatnonzero(both)) <= set(np.flatnonzero(few))


def test_of_equal_scores_the_first_is_the_better_one():
    z = np.array([0, 2, 2, 2], np.float32)
    np.testing.assert_array_equal(sampling.shares(z, temperature=0), [0, 1, 0, 0])
    np.testing.assert_allclose(sampling.shares(z, top_k=2), [0, 0.5, 0.5, 0])
    np.testing.assert_array_equal(sampling.shares(z, temperature=1e-300)[:1], [0])


@pytest.mark.parametrize("scores", [[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf]])
def test_scores_that_are_not_finite_are_refused(scores):
    with pytest.raises(NonFiniteError):
        sampling.shares(np.array(scores, np.float32))


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(lambda p: sum(p) > 0.1))
def test_each_is_chosen_by_its_share(probabilities):
    shares = np.array(probabilities) / np.sum(probabilities)
    chosen = [sampling.choose(shares, u) for u in (np.arange(500) + 0.5) / 500]
    counts = np.bincount(chosen, minlength=len(shares)) / 500
    np.testing.assert_allclose(counts, shares, atol=1.1 / 500)
    top = sampling.choose(shares, 1 - 2.0**-32)
    assert shares[top] > 0


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=4))
def test_a_text_ends_before_what_stops_it(text, stop):
    found = list(language_model.until(iter(text), stop))
    at = text.find(stop)
    assert "".join(found) == (text if at < 0 else text[:at])
    assert all(found)


def test_nothing_is_held_back_that_cannot_be_the_stop():
    given_so_far = []
    pieces = language_model.until((given_so_far.append(c) or c for c in "xyabz"), "abc")
    assert [(piece, len(given_so_far)) for piece in pieces] == [("x", 1), ("y", 2), ("abz", 5)]
