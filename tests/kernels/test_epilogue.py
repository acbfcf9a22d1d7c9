"""The end of products and convolutions: in place, on arrays and on ranges of their columns."""

import numpy as np
import pytest
from dlcli_kernels.elementwise.activations import ACTIVATIONS, EPILOGUES
from dlcli_kernels.elementwise.cpu_numba import is_even
from dlcli_kernels.elementwise.cpu_numpy import epilogue
from dlcli_kernels.elementwise.shared import POINTWISE
from hypothesis import given
from hypothesis import strategies as st

ACTS = (None, *sorted(EPILOGUES))


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    left=st.integers(0, 3),
    right=st.integers(0, 3),
    act=st.sampled_from(ACTS),
    with_bias=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_columns_are_finished_and_what_lies_beside_them_is_left_alone(
    shape, left, right, act, with_bias, dtype, seed
):
    rng = np.random.default_rng(seed)
    *rows, width = shape
    whole = rng.normal(0, 3, (*rows, left + width + right)).astype(dtype)
    bias = rng.normal(0, 1, width).astype(dtype) if with_bias else None
    columns = np.s_[..., left : left + width]
    want = whole.astype(np.float64)
    want[columns] += 0 if bias is None else bias
    if act is not None:
        want[columns] = ACTIVATIONS[act].forward(want[columns])
    epilogue(whole[columns], bias, act)
    allowed = POINTWISE[np.dtype(dtype).name]
    np.testing.assert_allclose(whole, want, rtol=allowed.rtol, atol=allowed.atol)


@pytest.mark.parametrize("act", ["relu", "tanh", None])
@pytest.mark.parametrize(
    "view",
    [np.s_[::2, 1:3], np.s_[:, ::2], np.s_[::-1], np.s_[::-1, 1]],
    ids=["rows left out", "gaps", "reversed", "a matrix reversed"],
)
def test_views_at_other_distances_are_finished_too(view, act):
    whole = np.random.default_rng(0).normal(0, 1, (6, 4, 5)).astype(np.float32)
    want = whole.copy()
    part, bias = want[view], np.ones(whole[view].shape[-1], np.float32)
    part += bias
    if act is not None:
        part[...] = ACTIVATIONS[act].forward(part)
    epilogue(whole[view], bias, act)
    np.testing.assert_allclose(whole, want, rtol=POINTWISE["float32"].rtol)


@pytest.mark.parametrize(
    ("view", "even"),
    [
        (np.s_[:, :, 1:4], True),
        (np.s_[:, 1:3, :], False),
        (np.s_[1:3], True),
        (np.s_[:, :1, 1:2], True),
        (np.s_[:, :, ::2], False),
        (np.s_[0, 0, :3], True),
        (np.s_[:, ::2, :1], True),
        (np.s_[::-1, 0], False),
    ],
)
def test_rows_are_even_where_one_distance_leads_from_each_to_the_next(view, even):
    assert is_even(np.zeros((6, 4, 5))[view]) == even


def test_a_nan_stays_one():
    z = np.array([[np.nan, -1.0, 2.0]], np.float32)
    for act in ("relu", "leaky_relu", "tanh", "sigmoid"):
        for bias in (None, np.zeros(3, np.float32)):
            found = z.copy()
            epilogue(found, bias, act)
            assert np.isnan(found).tolist() == [[True, False, False]], act
