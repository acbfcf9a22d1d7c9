"""The steps of the vanilla recurrent layer and of the GRU and their runs over a sequence, and the
LSTM layer with its input products inside: against single numbers, the run against its steps, and
what stands past a length. `test_recurrent_pytorch.py` compares the steps with PyTorch.
"""

import math

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

UNITS, INPUTS, STEPS, LENGTHS = 3, 2, 5, [5, 0, 1, 3]
WAYS = pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])


def run(name, *ins, rows=None, **attrs):
    """All outputs of the variant that runs by default on the CPU, filled with NaN before."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    specs = [None if a is None else Spec.of(a) for a in ins]
    variant = registry.resolve(op, "cpu", specs, attrs)
    launch = Launch(op, variant, specs, attrs, rows=rows)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    return dict(zip(launch.names, outs, strict=True))


def reference(name, *ins, **attrs):
    """The same of the reference."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    names = op.infer(*[None if a is None else Spec.of(a) for a in ins], **attrs)
    outs = op.reference(*ins, **attrs)
    return dict(zip(names, outs if isinstance(outs, tuple) else (outs,), strict=True))


BOTH = pytest.mark.parametrize("call", [run, reference], ids=["variant", "reference"])
ACTS = {"tanh": math.tanh, "relu": lambda v: max(v, 0.0)}


def normals(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def sigma(x):
    return 1 / (1 + math.exp(-x))


def product(w, h, j):
    """Element j of w · h, one number at a time."""
    return math.fsum(w[j][k] * h[k] for k in range(len(h)))


def rnn_step(zx, h, w, act):
    return [ACTS[act](zx[j] + product(w, h, j)) for j in range(len(h))]


def gru_step(zx, h, w, b):
    units, after = len(h), []
    for k in range(units):
        r = sigma(zx[k] + product(w, h, k))
        z = sigma(zx[units + k] + product(w, h, units + k))
        n = math.tanh(zx[2 * units + k] + r * (product(w, h, 2 * units + k) + b[k]))
        after.append((1 - z) * n + z * h[k])
    return after


def by_numbers(step, zx, h0, reverse):
    """out and the last state of all rows, of which LENGTHS says how long they are."""
    out, last = np.zeros((len(LENGTHS), STEPS, UNITS)), []
    for n, length in enumerate(LENGTHS):
        h = h0[n].tolist()
        for t in sorted(range(length), reverse=reverse):
            out[n, t] = h = step(zx[n, t].tolist(), h)
        last.append(h)
    return out, np.array(last)


def assert_same(got, want, what=""):
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14, err_msg=what)


@BOTH
@WAYS
@pytest.mark.parametrize("act", ACTS)
def test_a_vanilla_run_is_elman_s_formula_number_by_number(call, act, reverse):
    rows = len(LENGTHS)
    zx, h0, w = normals(1, (rows, STEPS, UNITS), (rows, UNITS), (UNITS, UNITS))
    lengths = np.array(LENGTHS, np.int32)
    outs = call("rnn_sequence", zx, h0, w, lengths, act=act, reverse=reverse)
    weights = w.tolist()
    out, last = by_numbers(lambda z, h: rnn_step(z, h, weights, act), zx, h0, reverse)
    assert_same(outs["out"], out)
    assert_same(outs["h_last"], last)


@BOTH
@WAYS
def test_a_gru_run_is_pytorch_s_formula_number_by_number(call, reverse):
    rows = len(LENGTHS)
    shapes = ((rows, STEPS, 3 * UNITS), (rows, UNITS), (3 * UNITS, UNITS), (UNITS,))
    zx, h0, w, b = normals(2, *shapes)
    lengths = np.array(LENGTHS, np.int32)
    outs = call("gru_sequence", zx, h0, w, b, lengths, reverse=reverse)
    weights, bias = w.tolist(), b.tolist()
    out, last = by_numbers(lambda z, h: gru_step(z, h, weights, bias), zx, h0, reverse)
    assert_same(outs["out"], out)
    assert_same(outs["h_last"], last)


@BOTH
@pytest.mark.parametrize("act", ACTS)
def test_a_vanilla_step_is_elman_s_formula_number_by_number(call, act):
    zx, zh = normals(11, (4, 3), (4, 3))
    h = call("rnn_cell", zx, zh, act=act)["h"]
    want = [
        [ACTS[act](a + b) for a, b in zip(*rows, strict=True)] for rows in zip(zx, zh, strict=True)
    ]
    assert_same(h, want)


@BOTH
def test_a_gru_step_is_the_run_s_and_keeps_what_its_gradient_needs(call):
    zx, h, w, b = normals(12, (4, 3 * UNITS), (4, UNITS), (3 * UNITS, UNITS), (UNITS,))
    zh = h @ w.T
    zh[:, 2 * UNITS :] += b
    outs = call("gru_cell", zx, zh, h)
    for n in range(4):
        assert_same(
            outs["h_next"][n], gru_step(zx[n].tolist(), h[n].tolist(), w.tolist(), b.tolist())
        )
    r, z, gate, q = np.split(outs["gates"], 4, axis=1)
    assert_same(q, zh[:, 2 * UNITS :])
    assert_same(gate, np.tanh(zx[:, 2 * UNITS :] + r * q))
    assert_same(outs["h_next"], gate + z * (h - gate))


@BOTH
def test_a_gru_step_that_is_saturated_keeps_or_replaces_its_state_exactly(call):
    """The gates are 0 or 1 at ±1000, with no overflow on the way."""
    big = 1000.0
    zx = np.array([[big, big, 0.5], [-big, -big, 0.5], [big, -big, 0.5]])
    zh, h = np.array([[0.0, 0.0, 2.0]] * 3), np.full((3, 1), 0.25)
    after = call("gru_cell", zx, zh, h)["h_next"]
    assert_same(after[:, 0], [0.25, math.tanh(0.5), math.tanh(2.5)])


@BOTH
@WAYS
def test_runs_are_their_steps_one_after_the_other(call, reverse):
    zx, h0, w, b = normals(13, (4, STEPS, 3 * UNITS), (4, UNITS), (3 * UNITS, UNITS), (UNITS,))
    bias = np.concatenate((np.zeros(2 * UNITS), b))
    found = call("gru_sequence", zx, h0, w, b, reverse=reverse)
    h = h0
    for t in sorted(range(STEPS), reverse=reverse):
        h = call("gru_cell", np.ascontiguousarray(zx[:, t]), h @ w.T + bias, h)["h_next"]
        assert_same(found["out"][:, t], h)
    thin = np.ascontiguousarray(zx[..., :UNITS])
    found, h = call("rnn_sequence", thin, h0, w[:UNITS], act="relu", reverse=reverse), h0
    for t in sorted(range(STEPS), reverse=reverse):
        step = np.ascontiguousarray(thin[:, t])
        h = call("rnn_cell", step, h @ w[:UNITS].T, act="relu")["h"]
        assert_same(found["out"][:, t], h)


def operands(name, seed):
    """Random operands of an op by name: shapes by what its operands are called."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[name.split("_")[0]]
    rows, wide = len(LENGTHS), gates * UNITS
    shapes = {
        "zx": (rows, STEPS, wide),
        "x": (rows, STEPS, INPUTS),
        "h0": (rows, UNITS),
        "c0": (rows, UNITS),
        "w": (wide, UNITS),
        "w_ih": (wide, INPUTS),
        "w_hh": (wide, UNITS),
        "b": (UNITS,) if gates == 3 else (wide,),
    }
    names = [n for n in registry.op(name).inputs if n != "lengths"]
    return dict(zip(names, normals(seed, *[shapes[n] for n in names]), strict=True))


FORWARD = ["rnn_sequence", "gru_sequence", "lstm_layer"]
FORWARDS = pytest.mark.parametrize("name", FORWARD)


def gradients(call, name, ins, outs, seed, reverse):
    """Of every operand, by the op's `grad` through `call`, for random cotangents."""
    op = registry.op(name)

    def through(other, *operands, **attrs):
        found = list(call(other, *operands, **attrs).values())
        return found[0] if len(found) == 1 else found

    names = tuple(outs)
    cotangents = normals(seed, *[outs[n].shape for n in names])
    for array, n in zip(cotangents, names, strict=True):
        if n == "out":
            for row, length in enumerate(LENGTHS):
                array[row, length:] = np.nan  # outputs past a length are constants
    douts = [a if n not in op.optional else None for n, a in zip(names, cotangents, strict=True)]
    return op.grad(
        through,
        op.namespace([*ins.values(), np.array(LENGTHS, np.int32)]),
        op.namespace(list(outs.values()), names),
        op.namespace(douts, names),
        set(ins),
        reverse=reverse,
    )


@BOTH
@WAYS
@FORWARDS
def test_what_stands_past_a_length_reaches_neither_outputs_nor_gradients(call, name, reverse):
    ins = operands(name, 3)
    first = next(iter(ins))
    lengths = np.array(LENGTHS, np.int32)
    spoilt = {**ins, first: ins[first].copy()}
    for n, length in enumerate(LENGTHS):
        spoilt[first][n, length:] = np.nan
    with np.errstate(invalid="ignore"):
        plain, outs = (call(name, *i.values(), lengths, reverse=reverse) for i in (ins, spoilt))
        grads, others = (gradients(call, name, i, outs, 4, reverse) for i in (ins, spoilt))
    for key in plain:
        np.testing.assert_array_equal(plain[key], outs[key], err_msg=key)
    for key in ins:
        assert np.isfinite(grads[key]).all(), key
        np.testing.assert_array_equal(grads[key], others[key], err_msg=key)
    for n, length in enumerate(LENGTHS):
        assert (outs["out"][n, length:] == 0).all()
        assert (grads[first][n, length:] == 0).all()


@WAYS
@FORWARDS
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_row_does_not_depend_on_which_rows_run_with_it(name, rows, reverse):
    ins, lengths = operands(name, 5), np.array(LENGTHS, np.int32)
    whole = run(name, *ins.values(), lengths, reverse=reverse)
    parts = run(name, *ins.values(), lengths, rows=rows, reverse=reverse)
    for key in whole:
        assert_same(parts[key], whole[key], key)


@WAYS
@FORWARDS
def test_variants_and_references_give_the_same_gradients(name, reverse):
    ins, lengths = operands(name, 6), np.array(LENGTHS, np.int32)
    outs = reference(name, *ins.values(), lengths, reverse=reverse)
    found, want = (gradients(c, name, ins, outs, 7, reverse) for c in (run, reference))
    for key in ins:
        assert_same(found[key], want[key], key)


def test_a_single_nan_of_an_input_reaches_the_steps_after_it_and_no_other_row():
    for act in ACTS:
        ins = operands("rnn_sequence", 8)
        ins["zx"][2, 1, 0] = np.nan
        out = run("rnn_sequence", *ins.values(), act=act)["out"]
        assert np.isfinite(out[2, 0]).all()
        assert np.isnan(out[2, 1, 0])
        assert np.isnan(out[2, 2:]).all()
        assert np.isfinite(np.delete(out, 2, axis=0)).all()


def test_an_lstm_layer_gives_no_gradient_of_inputs_that_nobody_needs():
    ins = operands("lstm_layer", 9)
    outs = reference("lstm_layer", *ins.values())
    dout = np.ones_like(outs["out"])
    saved = (outs["gates"], outs["cells"], outs["out"], ins["x"], ins["h0"], ins["c0"])
    operand = (dout, None, None, *saved, ins["w_ih"], ins["w_hh"])
    with_dx, without = (run("lstm_layer_grad", *operand, with_dx=w) for w in (True, False))
    assert with_dx["dx"].shape == ins["x"].shape
    assert without["dx"].size == 0
    for key in ("dw_ih", "dw_hh", "db", "dh0", "dc0"):
        np.testing.assert_array_equal(with_dx[key], without[key])


MISFITS = {
    "rnn_sequence": (((2, 3, 4), (2, 4), (4, 5)), {}),
    "rnn_sequence of another activation": (((2, 3, 4), (2, 4), (4, 4)), {"act": "gelu"}),
    "gru_sequence": (((2, 3, 6), (2, 2), (6, 2), (3,)), {}),
    "rnn_cell": (((2, 3), (2, 4)), {}),
    "rnn_cell of another activation": (((2, 3), (2, 3)), {"act": "gelu"}),
    "gru_cell": (((2, 6), (2, 6), (2, 3)), {}),
    "gru_cell_grad": (((2, 3), (2, 9), (2, 3)), {}),
    "lstm_layer": (((2, 3, 5), (2, 2), (2, 2), (8, 4), (8, 2), (8,)), {}),
    "concat": (((2, 3), (3, 3)), {}),
    "columns": (((2, 3),), {"start": 1, "stop": 4}),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_operands_that_do_not_fit_are_refused(misfit):
    name = misfit.split()[0]
    shapes, attrs = MISFITS[misfit]
    op = registry.op(name)
    specs = [Spec(shape, np.dtype(np.float32)) for shape in shapes]
    with pytest.raises(ValueError, match=f"{name}:"):
        op.outputs([*specs, *[None] * (len(op.inputs) - len(specs))], attrs)


def test_parts_of_a_concatenation_are_what_was_put_together():
    x, y = normals(10, (4, 3, 2), (4, 3, 5))
    both = check.call_references("concat", x, y)
    np.testing.assert_array_equal(run("concat", x, y)["out"], both)
    np.testing.assert_array_equal(run("columns", both, start=0, stop=2)["out"], x)
    np.testing.assert_array_equal(run("columns", both, start=2, stop=7)["out"], y)
    back = run("columns_grad", y, start=2, size=7)["out"]
    np.testing.assert_array_equal(back, np.concatenate((np.zeros_like(x), y), axis=2))
