"""The LSTM step and its run over a sequence: against single numbers and identities; the kernels'
tanh. `test_lstm_pytorch.py` compares them with PyTorch.
"""

import math

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

RNG = np.random.default_rng
SEQUENCE_OUTPUTS = ("out", "h_last", "c_last", "gates", "cells")
WAYS = pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])


def run(name, *ins, optional=False, rows=None, **attrs):
    """The outputs of the variant that runs by default on the CPU; not in a list if it is one."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    specs = [None if a is None else Spec.of(a) for a in ins]
    variant = registry.resolve(op, "cpu", specs, attrs)
    launch = Launch(op, variant, specs, attrs, optional=optional, rows=rows)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    outs = [o for o in outs if o is not None]
    return outs[0] if len(outs) == 1 else outs


def reference(name, *ins, optional=False, **attrs):
    """The same of the reference: all outputs if the optional ones are wanted."""
    if optional:
        return list(registry.op(name).reference(*ins, **attrs))
    return check.call_references(name, *ins, **attrs)


BOTH = pytest.mark.parametrize("call", [run, reference], ids=["variant", "reference"])


def normals(seed, *shapes):
    rng = RNG(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def a_layer(seed, n, t, h):
    """zx, h0, c0, w of a run."""
    zx, h0, c0, w = normals(seed, (n, t, 4 * h), (n, h), (n, h), (4 * h, h))
    return zx, h0, c0, w / math.sqrt(h)


def sigma(x):
    return 1 / (1 + math.exp(-x))


def step_by_numbers(z, c):
    """(h, c, gates) after one step of one row, in Python's own numbers; lists of them."""
    units = len(c)
    i, f, g, o = (z[q * units : (q + 1) * units] for q in range(4))
    i, f, o = ([sigma(v) for v in gate] for gate in (i, f, o))
    g = [math.tanh(v) for v in g]
    c = [f[k] * c[k] + i[k] * g[k] for k in range(units)]
    return [o[k] * math.tanh(c[k]) for k in range(units)], c, i + f + g + o


# --- one step -------------------------------------------------------------------------------------


@BOTH
def test_a_step_is_the_formula_of_hochreiter_and_schmidhuber_with_gates_i_f_g_o(call):
    zx, zh, c = normals(1, (3, 20), (3, 20), (3, 5))
    h, c_next, gates = call("lstm_cell", zx, zh, c, optional=True)
    for n in range(3):
        want = step_by_numbers((zx[n] + zh[n]).tolist(), c[n].tolist())
        for got, wanted in zip((h, c_next, gates), want, strict=True):
            np.testing.assert_allclose(got[n], wanted, rtol=1e-14)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_saturated_step_forgets_keeps_or_replaces_its_cell_exactly(call, dtype):
    """σ is 0 or 1 and tanh ±1 at ±1000, with no overflow on the way."""
    big = 1000.0
    z = np.array([[-big, big, big, big], [big, -big, -big, big], [-big, -big, big, -big]], dtype)
    c = np.full((3, 1), 0.5, dtype)
    h, c_next = call("lstm_cell", z, np.zeros_like(z), c)
    assert c_next[:, 0].tolist() == [0.5, -1.0, 0.0]
    np.testing.assert_allclose(h[:, 0], [math.tanh(0.5), -math.tanh(1.0), 0.0], rtol=3e-7)


@BOTH
def test_an_absent_gradient_of_h_or_of_c_is_zero(call):
    dh, dc, c, c_next = normals(2, *[(4, 3)] * 4)
    gates, zero = RNG(3).uniform(0.1, 0.9, (4, 12)), np.zeros((4, 3))
    for absent, explicit in (((None, dc), (zero, dc)), ((dh, None), (dh, zero))):
        got = call("lstm_cell_grad", *absent, gates, c, c_next)
        want = call("lstm_cell_grad", *explicit, gates, c, c_next)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("dtype", "error"), [(np.float32, 2.5 * 2.0**-23), (np.float64, 2.5 * 2.0**-52)]
)
def test_the_tanh_of_the_kernels_is_right_however_small_its_argument(dtype, error):
    pytest.importorskip("numba")
    from dlcli_kernels.lstm.cpu_step import tangents

    x = np.concatenate([np.linspace(-25, 25, 20011), np.geomspace(1e-30, 1, 3001)]).astype(dtype)
    x = np.concatenate([x, -x])
    out = x.copy()
    tangents(out)
    wide = x.astype(np.longdouble)
    nonzero = x != 0
    shares = out[nonzero] / np.tanh(wide[nonzero])
    assert np.max(np.abs(shares - 1)) < error
    assert np.max(np.abs(out)) <= 1
    special = np.array([-np.inf, -1e30, 0, 1e30, np.inf, np.nan], dtype)
    tangents(special)
    np.testing.assert_array_equal(special, [-1, -1, 0, 1, 1, np.nan])


# --- a sequence -----------------------------------------------------------------------------------


def sequence_by_numbers(zx, h, c, w, length, reverse):
    """out, h, c, gates, cells of one row, one number at a time; zeros past its length."""
    steps, units = len(zx), len(h)
    out, gates, cells = np.zeros((steps, units)), np.zeros((steps, 4 * units)), None
    cells = np.zeros((steps, units))
    for t in sorted(range(length), reverse=reverse):
        z = [zx[t][j] + math.fsum(h[k] * w[j][k] for k in range(units)) for j in range(4 * units)]
        h, c, gates[t] = step_by_numbers(z, c)
        out[t], cells[t] = h, c
    return out, h, c, gates, cells


@BOTH
@WAYS
@pytest.mark.parametrize("lengths", [None, [4, 0, 1, 3]], ids=["whole", "lengths"])
def test_a_sequence_is_its_steps_one_after_the_other_each_row_by_itself(call, reverse, lengths):
    zx, h0, c0, w = a_layer(4, 4, 4, 3)
    array = None if lengths is None else np.array(lengths, np.int32)
    outs = call("lstm_sequence", zx, h0, c0, w, array, optional=True, reverse=reverse)
    for n, length in enumerate(lengths or [4] * 4):
        row = (zx[n].tolist(), h0[n].tolist(), c0[n].tolist(), w.tolist())
        want = sequence_by_numbers(*row, length, reverse)
        for name, got, wanted in zip(SEQUENCE_OUTPUTS, outs, want, strict=True):
            np.testing.assert_allclose(got[n], wanted, rtol=1e-12, atol=1e-15, err_msg=name)


@BOTH
@WAYS
def test_a_sequence_is_matmul_and_lstm_cell_step_by_step(call, reverse):
    zx, h, c, w = a_layer(5, 3, 4, 5)
    out, h_last, c_last = call("lstm_sequence", zx, h, c, w, reverse=reverse)
    for t in sorted(range(4), reverse=reverse):
        zh = call("matmul", h, w, tb=True)
        h, c = call("lstm_cell", np.ascontiguousarray(zx[:, t]), zh, c)
        np.testing.assert_allclose(out[:, t], h, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(h_last, h, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(c_last, c, rtol=1e-12, atol=1e-15)


@BOTH
def test_backwards_in_time_is_forwards_through_the_sequence_turned_round(call):
    zx, h0, c0, w = a_layer(6, 2, 5, 3)
    back = call("lstm_sequence", zx, h0, c0, w, reverse=True)
    turned = call("lstm_sequence", np.ascontiguousarray(zx[:, ::-1]), h0, c0, w)
    np.testing.assert_array_equal(back[0], turned[0][:, ::-1])
    for a, b in zip(back[1:], turned[1:], strict=True):
        np.testing.assert_array_equal(a, b)


@BOTH
@WAYS
def test_what_stands_past_a_length_reaches_nothing_and_what_comes_out_there_is_zero(call, reverse):
    zx, h0, c0, w = a_layer(7, 3, 5, 2)
    lengths = np.array([5, 2, 0], np.int32)
    plain = call("lstm_sequence", zx, h0, c0, w, lengths, optional=True, reverse=reverse)
    spoilt = zx.copy()
    for n, length in enumerate(lengths):
        spoilt[n, length:] = np.nan
    with np.errstate(invalid="ignore"):
        outs = call("lstm_sequence", spoilt, h0, c0, w, lengths, optional=True, reverse=reverse)
    for a, b in zip(outs, plain, strict=True):
        np.testing.assert_array_equal(a, b)
    for states in (outs[0], outs[3], outs[4]):
        assert all((states[n, length:] == 0).all() for n, length in enumerate(lengths))
    np.testing.assert_array_equal(outs[1][2], h0[2])
    np.testing.assert_array_equal(outs[2][2], c0[2])


@BOTH
@WAYS
def test_gradients_past_a_length_are_zero_and_those_of_the_last_state_pass_unchanged(call, reverse):
    zx, h0, c0, w = a_layer(8, 3, 4, 2)
    lengths = np.array([4, 2, 0], np.int32)
    *_, gates, cells = reference("lstm_sequence", *(zx, h0, c0, w, lengths), optional=True)
    dout, dh, dc = normals(9, (3, 4, 2), (3, 2), (3, 2))
    for n, length in enumerate(lengths):
        dout[n, length:] = np.nan
    operands = (dout, dh, dc, gates, cells, c0, w, lengths)
    dz, dh0, dc0 = call("lstm_sequence_grad", *operands, reverse=reverse)
    assert np.isfinite(dz).all()
    assert all((dz[n, length:] == 0).all() for n, length in enumerate(lengths))
    np.testing.assert_array_equal(dh0[2], dh[2])
    np.testing.assert_array_equal(dc0[2], dc[2])


@BOTH
@WAYS
def test_the_gradient_of_the_recurrent_weights_is_the_sum_of_outer_products(call, reverse):
    dz, out, h0 = normals(10, (3, 4, 8), (3, 4, 2), (3, 2))
    lengths = [4, 1, 0]
    want = np.zeros((8, 2))
    for n, length in enumerate(lengths):
        h = h0[n]
        for t in sorted(range(length), reverse=reverse):
            want += np.outer(dz[n, t], h)
            h = out[n, t]
    array = np.array(lengths, np.int32)
    got = call("lstm_sequence_wgrad", dz, out, h0, array, reverse=reverse)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)


def test_the_gradient_of_the_weights_over_more_steps_than_one_product_takes():
    pytest.importorskip("numba")
    from dlcli_kernels.lstm.cpu_numba import BLOCK

    t = BLOCK // 2 - 3
    dz, out, h0 = normals(11, (5, t, 12), (5, t, 3), (5, 3))
    before = np.concatenate((h0[:, np.newaxis], out[:, :-1]), axis=1)
    want = dz.reshape(-1, 12).T @ before.reshape(-1, 3)
    np.testing.assert_allclose(run("lstm_sequence_wgrad", dz, out, h0), want, rtol=1e-11)


@WAYS
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_states_of_a_row_do_not_depend_on_which_rows_run_with_it(rows, reverse):
    zx, h0, c0, w = a_layer(12, 5, 6, 8)
    lengths = np.array([6, 1, 3, 0, 5], np.int32)
    whole = run("lstm_sequence", zx, h0, c0, w, lengths, reverse=reverse)
    parts = run("lstm_sequence", zx, h0, c0, w, lengths, rows=rows, reverse=reverse)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


@BOTH
def test_a_thousand_steps_neither_overflow_nor_drift(call):
    """A cell that forgets nothing and adds i·g = ½·tanh(0.01) in every step."""
    zx = np.zeros((1, 1000, 4))
    zx[..., 1], zx[..., 2] = 1000.0, 0.01
    zero = np.zeros((1, 1))
    _, _, c = call("lstm_sequence", zx, zero, zero, np.zeros((4, 1)))
    assert c[0, 0] == pytest.approx(1000 * 0.5 * math.tanh(0.01), rel=1e-12)


MISFITS = {
    "w is not (4H, H)": ((2, 3, 8), (2, 2), (2, 2), (8, 3), None),
    "four gates": ((2, 3, 9), (2, 2), (2, 2), (9, 2), None),
    "the state": ((2, 3, 8), (3, 2), (2, 2), (8, 2), None),
    "lengths": ((2, 3, 8), (2, 2), (2, 2), (8, 2), Spec((3,), np.dtype(np.int32))),
    "int64 lengths": ((2, 3, 8), (2, 2), (2, 2), (8, 2), Spec((2,), np.dtype(np.int64))),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_operands_that_do_not_fit_are_refused(misfit):
    *shapes, lengths = MISFITS[misfit]
    specs = [Spec(shape, np.dtype(np.float32)) for shape in shapes]
    with pytest.raises(ValueError, match="lstm_sequence:"):
        registry.op("lstm_sequence").outputs([*specs, lengths], {})


def test_a_step_refuses_operands_of_other_sizes():
    z, c = Spec((2, 8), np.dtype(np.float32)), Spec((2, 3), np.dtype(np.float32))
    with pytest.raises(ValueError, match="2 rows of 3 units"):
        registry.op("lstm_cell").outputs([z, z, c], {})
