"""Dropout: its mask is Philox's, element by element, however the tensor is cut."""

import numpy as np
import pytest
from dlcli_kernels import philox, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = ["reference", "default"]
RNG = np.array([11, 22, 33, 44, 55], np.uint32)


def run(kind, name, *ins, rows=None, optional=True, **attrs):
    """Runs an op by its reference or its default variant; its outputs."""
    op = registry.op(name)
    specs = [Spec.of(a) for a in ins]
    if kind == "reference":
        variant = registry.variant(op, "reference")
    else:
        variant = registry.resolve(op, "cpu", specs, attrs)
        assert variant.name == "cpu_numba"
    launch = Launch(op, variant, specs, attrs, rows=rows, optional=optional)
    outs = launch.allocate(lambda s: np.empty(s.shape, s.dtype))
    launch.run(outs, ins)
    return outs


def plain_mask(size, rng, p):
    """Element by element: word i mod 4 of block i div 4."""
    key, counter = (int(rng[0]), int(rng[1])), tuple(int(word) for word in rng[2:])
    words = [philox.blocks(key, counter, i // 4, 1)[0, i % 4] for i in range(size)]
    return [int(word) >= p * 2**32 for word in words]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    st.sampled_from([None, 1, 2, 3, 5]),
    st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5),
    st.sampled_from(KINDS),
)
def test_each_element_is_decided_by_its_own_word_however_the_tensor_is_cut(
    shape, p, rows, words, kind
):
    x, rng = np.ones(shape, np.float32), np.array(words, np.uint32)
    out, mask = run(kind, "dropout", x, rng, rows=rows, p=p)
    assert mask.reshape(-1).tolist() == plain_mask(x.size, rng, p)
    assert np.array_equal(out != 0, mask != 0)


@pytest.mark.parametrize("rows", [None, 1, 7, 64])
@pytest.mark.parametrize("shape", [(1000,), (64, 33), (5, 999), (300, 2, 3)])
def test_the_fast_mask_is_that_of_philox_bit_by_bit(shape, rows):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    out, mask = run("default", "dropout", x, RNG, rows=rows, p=0.3)
    words = philox.bits((11, 22), (33, 44, 55), x.size).reshape(shape)
    assert np.array_equal(mask, words >= np.ceil(0.3 * 2**32))
    assert np.array_equal(out, np.where(mask, x * np.float32(1 / 0.7), 0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_range_far_into_a_tensor_takes_the_words_of_its_place(kind):
    op = registry.op("dropout")
    x, start = np.ones((3, 5), np.float32), 2**31 // 5 + 1  # its blocks begin at 2²⁹ + 1
    out, mask = np.empty_like(x), np.empty(x.shape, np.uint8)
    variant = registry.variant(op, "reference" if kind == "reference" else "cpu_numba")
    scratch = variant.workspace([Spec.of(x), Spec.of(RNG)], {"p": 0.5})
    extra = {} if scratch is None else {"scratch": np.empty(scratch.shape, scratch.dtype)}
    variant.run(out, mask, x, RNG, p=0.5, start=start, **extra)
    words = philox.blocks((11, 22), (33, 44, 55), start * 5 // 4, 5).reshape(-1)
    skip = start * 5 % 4
    assert np.array_equal(mask.reshape(-1), words[skip : skip + 15] >= 2**31)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_a_share_p_is_dropped_and_the_mean_is_kept(p, kind):
    n = 100_000
    out, mask = run(kind, "dropout", np.ones(n), RNG, p=p)
    assert abs(mask.mean() - (1 - p)) < 5 * (p * (1 - p) / n) ** 0.5
    assert abs(out.mean() - 1) < 5 * (p / (1 - p) / n) ** 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_p_of_0_keeps_every_bit_and_p_of_1_gives_zeros_even_for_nan(kind):
    x = np.array([1.5, -2.0, np.inf, np.nan, 0.0])
    kept, all_kept = run(kind, "dropout", x, RNG, p=0.0)
    dropped, none_kept = run(kind, "dropout", x, RNG, p=1.0)
    assert kept.tobytes() == x.tobytes()
    assert all_kept.all()
    assert np.array_equal(dropped, np.zeros(5))
    assert not none_kept.any()
    for p, mask, want in ((0.0, all_kept, x), (1.0, none_kept, np.zeros(5))):
        (back,) = run(kind, "dropout_grad", x, mask, p=p)
        np.testing.assert_array_equal(back, want)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_passes_where_the_forward_pass_kept(kind):
    x, dout = np.random.default_rng(1).standard_normal((2, 8, 9))
    out, mask = run(kind, "dropout", x, RNG, p=0.4)
    (dx,) = run(kind, "dropout_grad", dout, mask, p=0.4)
    np.testing.assert_allclose(dx, dout * (out / x), rtol=1e-14)


def test_the_mask_is_not_made_when_nothing_asks_for_it():
    out, mask = run("default", "dropout", np.ones(9), RNG, p=0.4, optional=False)
    assert mask is None
    assert np.array_equal(out, run("default", "dropout", np.ones(9), RNG, p=0.4)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_advance_counts_with_a_carry_and_gives_another_mask(kind):
    rng = np.array([1, 2, 2**32 - 2, 2**32 - 1, 9], np.uint32)
    masks = []
    for want in ([2**32 - 2, 2**32 - 1, 9], [2**32 - 1, 2**32 - 1, 9], [0, 0, 9]):
        assert rng[2:].tolist() == want
        masks.append(run(kind, "dropout", np.ones(200), rng, p=0.5)[1])
        run(kind, "advance", rng)
    assert 60 < np.sum(masks[0] != masks[1]) < 140
    assert 60 < np.sum(masks[1] != masks[2]) < 140


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="probability"):
        registry.op("dropout").infer(Spec.of(np.ones(3)), Spec.of(RNG), p=p)


def test_an_rng_of_another_shape_or_type_is_refused():
    for rng in (np.zeros(4, np.uint32), np.zeros(5, np.int64)):
        with pytest.raises(ValueError, match="rng"):
            registry.op("dropout").infer(Spec.of(np.ones(3)), Spec.of(rng), p=0.5)
