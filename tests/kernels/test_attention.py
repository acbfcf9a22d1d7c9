"""Attention: against loops and against all weights at once, whatever the masks; blind to padding
and to the future; and without any array of queries by keys.
"""

import math
import tracemalloc

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec
from hypothesis import given, settings
from hypothesis import strategies as st

NAN, INF = float("nan"), float("inf")


def launch(name, *ins, optional=True, **attrs):
    """The call of the variant that runs by default on the CPU, and its operands."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    specs = [None if a is None else Spec.of(a) for a in ins]
    variant = registry.resolve(op, "cpu", specs, attrs)
    return Launch(op, variant, specs, attrs, optional=optional), ins


def run(name, *ins, **attrs):
    """All outputs of that call."""
    call, ins = launch(name, *ins, **attrs)
    outs = call.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    call.run(outs, ins)
    return outs[0] if len(outs) == 1 else outs


def reference(name, *ins, **attrs):
    """All outputs of the reference."""
    return registry.op(name).reference(*ins, **attrs)


def normals(seed, *shapes, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def heads_of(seed, n, t, s, heads, d, dtype=np.float64):
    """q, k, v and a cotangent."""
    rows, columns = (n, t, heads, d), (n, s, heads, d)
    return normals(seed, rows, columns, columns, rows, dtype=dtype)


BOTH = pytest.mark.parametrize("call", [run, reference], ids=["variant", "reference"])
MASKS = pytest.mark.parametrize("causal", [False, True], ids=["whole", "causal"])
LENGTHS = np.array([0, 4, 2], np.int32)


# --- what it is -----------------------------------------------------------------------------------


@BOTH
@MASKS
def test_each_query_gets_the_mean_of_the_values_it_sees_weighted_by_softmax(call, causal):
    q, k, v, _ = heads_of(1, 3, 5, 4, 2, 3)
    out, lse = call("attention", q, k, v, LENGTHS, causal=causal, scale=0.7)
    for n, t, h in np.ndindex(3, 5, 2):
        seen = [s for s in range(LENGTHS[n]) if not causal or s <= t]
        exps = [math.exp(0.7 * math.fsum(q[n, t, h] * k[n, s, h])) for s in seen]
        total = math.fsum(exps)
        for c in range(3):
            want = math.fsum(e * v[n, s, h, c] for e, s in zip(exps, seen, strict=True))
            assert out[n, t, h, c] == pytest.approx(want / total if seen else 0, abs=1e-14)
        assert lse[n, h, t] == pytest.approx(math.log(total) if seen else -INF, abs=1e-13)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_scores_neither_overflow_nor_vanish(call, dtype):
    """Large ones of either sign, −∞ beside others, −∞ alone, NaN."""
    one, values = np.ones((1, 1, 1, 1), dtype), np.array([1, 2, 4], dtype).reshape(1, 3, 1, 1)
    rows = {(3e4, -3e4, 3e4): 2.5, (-3e4, -3e4, -3e4): 7 / 3, (-INF, 1, 1): 3}
    rows |= {(-INF, -INF, -INF): NAN, (0, NAN, 0): NAN}
    for scores, want in rows.items():
        keys = np.array(scores, dtype).reshape(1, 3, 1, 1)
        with np.errstate(all="ignore"):
            out, _ = call("attention", one, keys, values, scale=1.0)
        np.testing.assert_allclose(out.item(), want, rtol=1e-6)


def test_a_row_whose_first_tile_is_minus_infinity_is_that_of_the_others():
    """400 keys are more than a tile; the first 300 have a score of −∞."""
    one, k, v = np.ones((1, 1, 1, 1)), np.zeros((1, 400, 1, 1)), normals(2, (1, 400, 1, 1))[0]
    k[:, :300] = -INF
    out, lse = run("attention", one, k, v, scale=1.0)
    assert out.item() == pytest.approx(v[0, 300:].mean(), rel=1e-12)
    assert lse.item() == pytest.approx(math.log(100), rel=1e-12)


@BOTH
def test_the_gradient_is_zero_where_a_query_sees_one_key_and_where_it_sees_none(call):
    """The weight of one key is 1 whatever the scores are."""
    q, k, v, dout = heads_of(3, 2, 3, 1, 2, 4)
    lengths = np.array([1, 0], np.int32)
    out, lse = reference("attention", q, k, v, lengths)
    dq, dk, dv = call("attention_grad", dout, out, lse, q, k, v, lengths)
    for gradient in (dq, dk):
        np.testing.assert_allclose(gradient, 0, atol=1e-14)
    np.testing.assert_allclose(dv[0, 0], dout[0].sum(0), rtol=1e-13)
    assert not dv[1].any()
    assert not dq[1].any()


# --- of any shape, with any mask ------------------------------------------------------------------


@st.composite
def problems(draw, most=300):
    """(q, k, v, dout), lengths or None, attributes: one row, or more than a tile of a kernel."""
    t, s = (draw(st.one_of(st.integers(1, 9), st.integers(1, most))) for _ in range(2))
    n, heads, d = (draw(st.integers(1, most)) for most in (3, 3, 20))
    lengths = draw(st.one_of(st.none(), st.lists(st.integers(-1, s + 1), min_size=n, max_size=n)))
    how = {"causal": draw(st.booleans()), "scale": draw(st.sampled_from([None, 0.3, -1.0]))}
    arrays = heads_of(draw(st.integers(0, 999)), n, t, s, heads, d)
    return arrays, None if lengths is None else np.array(lengths, np.int32), how


@settings(max_examples=30, deadline=None)
@given(problems())
def test_tiles_give_what_all_weights_at_once_give(problem):
    (q, k, v, dout), lengths, how = problem
    out, lse = run("attention", q, k, v, lengths, **how)
    want, want_lse = reference("attention", q, k, v, lengths, **how)
    np.testing.assert_allclose(out, want, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(lse, want_lse, rtol=1e-11, atol=1e-12)
    grads = run("attention_grad", dout, out, lse, q, k, v, lengths, **how)
    wanted = reference("attention_grad", dout, out, lse, q, k, v, lengths, **how)
    for gradient, theirs in zip(grads, wanted, strict=True):
        np.testing.assert_allclose(gradient, theirs, rtol=1e-10, atol=1e-11)


@settings(max_examples=20, deadline=None)
@given(problems(most=150), st.integers(1, 150))
def test_padding_changes_neither_results_nor_gradients_and_gets_none(problem, more):
    """Whatever stands in it: NaN."""
    (q, k, v, dout), lengths, how = problem
    n, s = k.shape[:2]
    lengths = np.full(n, s, np.int32) if lengths is None else lengths
    wide = [np.concatenate((a, np.full((n, more, *a.shape[2:]), NAN)), 1) for a in (k, v)]
    clipped = np.clip(lengths, 0, s).astype(np.int32)
    out, lse = run("attention", q, k, v, clipped, **how)
    padded, padded_lse = run("attention", q, *wide, clipped, **how)
    np.testing.assert_allclose(padded, out, rtol=1e-12, atol=1e-14)
    dq, dk, dv = run("attention_grad", dout, out, lse, q, k, v, clipped, **how)
    dq2, dk2, dv2 = run("attention_grad", dout, padded, padded_lse, q, *wide, clipped, **how)
    np.testing.assert_allclose(dq2, dq, rtol=1e-10, atol=1e-12)
    for same, shorter in ((dk2, dk), (dv2, dv)):
        np.testing.assert_allclose(same[:, :s], shorter, rtol=1e-10, atol=1e-12)
        assert not same[:, s:].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 300), st.data())
def test_with_causal_the_past_knows_nothing_of_the_future(t, data):
    """Neither the outputs nor, backwards, the gradients of queries before a cut."""
    cut = data.draw(st.integers(1, t - 1))
    q, k, v, dout = heads_of(t, 1, t, t, 2, 4)
    out, lse = run("attention", q, k, v, causal=True)
    dq, _, _ = run("attention_grad", dout, out, lse, q, k, v, causal=True)
    for array in (k, v):
        array[:, cut:] = normals(cut, (1, t - cut, 2, 4))[0]
    other, other_lse = run("attention", q, k, v, causal=True)
    other_dq, _, _ = run("attention_grad", dout, other, other_lse, q, k, v, causal=True)
    np.testing.assert_allclose(other[:, :cut], out[:, :cut], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(other_dq[:, :cut], dq[:, :cut], rtol=1e-11, atol=1e-13)
    assert not np.allclose(other[:, cut:], out[:, cut:])


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [512, 1024])
@MASKS
def test_no_array_of_queries_by_keys_is_made(t, causal):
    """What both passes allocate beyond their results is less than half of one."""
    q, k, v, dout = heads_of(4, 1, t, t, 1, 8, np.float32)
    small = heads_of(4, 1, 4, 4, 1, 8, np.float32)
    for arrays in (small, (q, k, v, dout)):  # the first compiles, and is not measured
        out, lse = run("attention", *arrays[:3], causal=causal)
        forward, ins = launch("attention", *arrays[:3], causal=causal)
        backward, grad_ins = launch(
            "attention_grad", arrays[3], out, lse, *arrays[:3], causal=causal
        )
        outs, grads = (
            c.allocate(lambda s: np.empty(s.shape, s.dtype)) for c in (forward, backward)
        )
        backward.run(grads, grad_ins)
        tracemalloc.start()
        forward.run(outs, ins)
        backward.run(grads, grad_ins)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    scratch = sum(c.scratch.nbytes for c in (forward, backward))
    assert scratch <= 128 * 256 * 4 * 3 + 100_000
    assert peak < scratch + 50_000
    if t == 1024:
        assert peak < t * t * 4 / 2


def test_scratch_grows_with_neither_keys_nor_heads_and_with_a_number_per_query_at_most():
    def scratch(name, t, s, heads):
        q, k, v, dout = heads_of(5, 1, t, s, heads, 8, np.float32)
        ins = (
            (q, k, v) if name == "attention" else (dout, q, np.zeros((1, heads, t), "f4"), q, k, v)
        )
        return launch(name, *ins)[0].scratch.nbytes

    for name, per_query in (("attention", 0), ("attention_grad", 4)):
        base = scratch(name, 64, 64, 1)
        assert scratch(name, 64, 2048, 4) == base
        assert scratch(name, 1024, 64, 1) == base + per_query * (1024 - 64)


# --- scores of a network, softmax of a length, products of pairs ----------------------------------


@BOTH
def test_scores_are_those_of_a_network_for_each_pair(call):
    queries, keys, v = normals(6, (3, 2, 5), (3, 4, 5), (5,))
    scores = call("additive_scores", queries, keys, v, LENGTHS)
    for n, q, s in np.ndindex(3, 2, 4):
        want = math.fsum(v[u] * math.tanh(queries[n, q, u] + keys[n, s, u]) for u in range(5))
        assert scores[n, q, s] == pytest.approx(want if s < LENGTHS[n] else 0, rel=1e-13)


@BOTH
def test_softmax_of_a_length_is_softmax_of_what_stands_before_it(call):
    (x,) = normals(7, (3, 2, 4))
    x[1, :, 2:] = NAN
    weights = call("masked_softmax", x, np.array([3, 2, -1], np.int32))
    for n, length in enumerate((3, 2, 0)):
        assert not weights[n, :, length:].any()
        for row in range(2):
            total = math.fsum(map(math.exp, x[n, row, :length]))
            for s in range(length):
                assert weights[n, row, s] == pytest.approx(math.exp(x[n, row, s]) / total)


# --- refused --------------------------------------------------------------------------------------


def test_operands_that_do_not_fit_are_refused():
    q, k, v, _ = heads_of(8, 2, 3, 4, 2, 5)
    for wrong in ((q, k, v[:, :2]), (q[:1], k, v), (q[0], k, v), (q[..., :3], k, v)):
        with pytest.raises(ValueError, match=r"q \(N, T, heads, d\), k and v"):
            run("attention", *wrong)
    with pytest.raises(ValueError, match=r"lengths are \(2,\) int32"):
        run("attention", q, k, v, np.array([1, 2], np.int64))
    with pytest.raises(ValueError, match="dout and out are"):
        run("attention_grad", q, q, q, q, k, v)
    with pytest.raises(ValueError, match=r"\(N, Q, U\), \(N, S, U\)"):
        run("additive_scores", *normals(9, (2, 3, 4), (2, 3, 5), (4,)))
    with pytest.raises(ValueError, match=r"x is \(N, …, S\)"):
        run("masked_softmax", np.ones(3), np.array([1, 1, 1], np.int32))
    with pytest.raises(ValueError, match="do not fit together"):
        run("bmm", *normals(10, (2, 3, 4), (2, 3, 4)))
