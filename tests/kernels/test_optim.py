"""Optimiser steps against PyTorch over 20 steps, and what they promise about halting and clipping.

Every test runs the reference and the variant that runs by default.
"""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

KINDS = ["reference", "default"]
N, STEPS = 67, 20
PRECISION = {"float64": 1e-10, "float32": 2e-5}  # relative, after 20 steps


def run(kind, name, *ins, rows=None, **attrs):
    """Runs an op by its reference or its default variant; the outputs, if it has any."""
    op = registry.op(name)
    specs = [None if a is None else Spec.of(a) for a in ins]
    if kind == "reference":
        variant = registry.variant(op, "reference")
    else:
        variant = registry.resolve(op, "cpu", specs, attrs)
        assert variant.name == "cpu_numba"
    launch = Launch(op, variant, specs, attrs, rows=rows)
    outs = launch.allocate(lambda s: np.empty(s.shape, s.dtype))
    launch.run(outs, ins)
    return outs


def scalar(value, dtype=np.float64):
    return np.array([value], dtype)


class Flat:
    """A flat parameter with the states that a step wants, from zero, and its step count."""

    def __init__(self, kind, name, p, **attrs):
        self.kind, self.name, self.attrs = kind, name, attrs
        self.operands = {"p": p.copy(), "halt": scalar(0, np.int32), "step": scalar(0)}
        for state in {"m", "v", "avg"} & set(registry.op(name).inputs):
            self.operands[state] = np.zeros_like(p)
        if name == "rmsprop_step":
            for state, there in (("m", attrs.get("momentum")), ("avg", attrs.get("centered"))):
                if not there:
                    self.operands[state] = None

    def step(self, g, lr):
        self.operands["step"][0] += 1
        operands = {**self.operands, "g": g, "lr": scalar(lr)}
        ins = [operands[name] for name in registry.op(self.name).inputs]
        run(self.kind, self.name, *ins, **self.attrs)
        return self.operands["p"]


SGD = [
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.8, "dampening": 0.4},
]
CASES = {
    "sgd": ("sgd_step", "SGD", [{}]),
    "momentum": ("momentum_step", "SGD", SGD),
    "rmsprop": (
        "rmsprop_step",
        "RMSprop",
        [
            {},
            {"momentum": 0.9},
            {"centered": True},
            {"centered": True, "momentum": 0.5},
            {"alpha": 0.9, "eps": 1e-3},
        ],
    ),
    "adam": ("adam_step", "Adam", [{}, {"beta1": 0.5, "beta2": 0.9, "eps": 1e-3}]),
    "adamw": ("adam_step", "AdamW", [{"decoupled": True}]),
}
SETTINGS = [
    pytest.param(op, rule, {**attrs, **decay}, id=f"{name}-{i}{'-decay' if decay else ''}")
    for name, (op, rule, rows) in CASES.items()
    for i, attrs in enumerate(rows)
    for decay in ({}, {"weight_decay": 0.05})
]


def torch_optimizer(torch, rule, parameter, attrs):
    """The PyTorch optimiser with our attributes by its names."""
    settings = {k: v for k, v in attrs.items() if k not in ("beta1", "beta2", "decoupled")}
    if "beta1" in attrs:
        settings["betas"] = (attrs["beta1"], attrs["beta2"])
    settings.setdefault("weight_decay", 0.0)  # AdamW's own default is not 0
    return getattr(torch.optim, rule)([parameter], lr=0.1, **settings)


@pytest.mark.oracle
@pytest.mark.parametrize("precision", PRECISION)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("op", "rule", "attrs"), SETTINGS)
def test_twenty_steps_follow_pytorch(op, rule, attrs, kind, precision):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = rng.standard_normal(N).astype(precision)
    parameter = torch.tensor(start.copy(), requires_grad=True)
    theirs, ours = torch_optimizer(torch, rule, parameter, attrs), Flat(kind, op, start, **attrs)
    for i in range(STEPS):
        g, lr = rng.standard_normal(N).astype(precision), 0.1 / (i + 1)
        theirs.param_groups[0]["lr"] = lr
        parameter.grad = torch.tensor(g)
        theirs.step()
        got = ours.step(g, lr)
    want = parameter.detach().numpy()
    scale = np.abs(want).max()
    np.testing.assert_allclose(
        got, want, rtol=PRECISION[precision], atol=1e-2 * PRECISION[precision] * scale
    )


STEP_OPS = ["sgd_step", "momentum_step", "rmsprop_step", "adam_step"]


def needed(name):
    return {"momentum": 0.9} if name in ("momentum_step", "rmsprop_step") else {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STEP_OPS)
def test_l1_is_the_gradient_plus_the_sign_of_the_parameter(name, kind):
    rng = np.random.default_rng(1)
    p, g = rng.standard_normal(N), rng.standard_normal(N)
    p[3] = 0.0
    penalised, plain = (Flat(kind, name, p, **needed(name), l1=l1) for l1 in (0.2, 0.0))
    got = penalised.step(g, 0.1)
    assert np.allclose(got, plain.step(g + 0.2 * np.sign(p), 0.1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STEP_OPS)
def test_decoupled_decay_shrinks_the_parameter_and_leaves_the_gradient(name, kind):
    rng = np.random.default_rng(2)
    p, g = rng.standard_normal(N), rng.standard_normal(N)
    decayed = Flat(kind, name, p, **needed(name), weight_decay=0.3, decoupled=True)
    plain = Flat(kind, name, p, **needed(name))
    got = decayed.step(g, 0.1) + 0.1 * 0.3 * p
    assert np.allclose(got, plain.step(g, 0.1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STEP_OPS)
def test_a_halted_step_changes_no_bit(name, kind):
    rng = np.random.default_rng(3)
    flat = Flat(kind, name, rng.standard_normal(N), **needed(name), weight_decay=0.1, l1=0.1)
    flat.step(rng.standard_normal(N), 0.1)
    flat.operands["halt"][0] = 1
    before = {k: v.copy() for k, v in flat.operands.items() if v is not None and k != "step"}
    flat.step(np.full(N, np.nan), 0.1)
    for key, value in before.items():
        assert value.tobytes() == flat.operands[key].tobytes(), key


@pytest.mark.parametrize("name", STEP_OPS)
def test_a_step_has_the_same_bits_however_it_is_cut(name):
    rng = np.random.default_rng(4)
    p, g = (rng.standard_normal(1000).astype(np.float32) for _ in range(2))
    found = []
    for rows in (None, 7, 333):
        flat = Flat("default", name, p, **needed(name))
        operands = {**flat.operands, "g": g, "lr": scalar(0.1), "step": scalar(1)}
        ins = [operands[key] for key in registry.op(name).inputs]
        run("default", name, *ins, rows=rows, **flat.attrs)
        found.append(flat.operands["p"].tobytes())
    assert len(set(found)) == 1
    assert found[0] != p.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_adam_moves_every_weight_by_lr_in_its_first_step(kind):
    g = np.array([1e-3, -1e3, 5.0])
    flat = Flat(kind, "adam_step", np.zeros(3), eps=0.0)
    assert np.allclose(flat.step(g, 0.01), -0.01 * np.sign(g), rtol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_centred_rmsprop_stays_finite_when_the_gradient_never_changes(kind, precision):
    g = np.random.default_rng(5).standard_normal(N).astype(precision)
    flat = Flat(kind, "rmsprop_step", np.zeros(N, precision), centered=True, alpha=0.5, eps=1e-3)
    for _ in range(100):  # the variance of the gradient falls to 0, and by rounding below
        p = flat.step(g, 0.001)
    assert np.isfinite(p).all()


# --- clipping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [None, 1, 3, 64])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_sum_of_squares_is_the_exact_one(precision, rows, kind):
    import math

    g = (np.random.default_rng(5).standard_normal(1003) * 1e15).astype(precision)
    (got,) = run(kind, "sum_of_squares", g, rows=rows)
    assert got.dtype == np.float64
    assert got[0] == pytest.approx(math.fsum(float(x) ** 2 for x in g), rel=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_norm", [0.5, 8.0, 1e3])
def test_clipping_by_norm_is_that_of_pytorch(max_norm, kind):
    torch = pytest.importorskip("torch")
    g = np.random.default_rng(6).standard_normal(N)
    parameter = torch.zeros(N, dtype=torch.float64, requires_grad=True)
    parameter.grad = torch.tensor(g.copy())
    norm = torch.nn.utils.clip_grad_norm_([parameter], max_norm)
    (squares,) = run(kind, "sum_of_squares", g)
    run(kind, "clip_by_norm", g, squares, scalar(0, np.int32), max_norm=max_norm)
    assert np.sqrt(squares[0]) == pytest.approx(float(norm), rel=1e-13)
    np.testing.assert_allclose(g, parameter.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_within_the_norm_keeps_its_bits(kind):
    g = np.random.default_rng(7).standard_normal(N).astype(np.float32)
    before = g.tobytes()
    (squares,) = run(kind, "sum_of_squares", g)
    run(kind, "clip_by_norm", g, squares, scalar(0, np.int32), max_norm=100.0)
    assert g.tobytes() == before


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
def test_clipping_by_value_is_that_of_pytorch_and_keeps_nan(kind):
    torch = pytest.importorskip("torch")
    g = np.random.default_rng(8).standard_normal(N)
    g[:3] = np.nan, np.inf, -np.inf
    want = torch.tensor(g.copy()).clamp(-0.5, 0.5).numpy()
    run(kind, "clip_by_value", g, limit=0.5)
    np.testing.assert_array_equal(g, want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_raises_the_flag_which_stays(value, kind):
    halt = scalar(0, np.int32)
    run(kind, "check_finite", np.array([1.0, 2.0]), halt)
    assert halt[0] == 0
    run(kind, "check_finite", np.array([1.0, value]), halt)
    assert halt[0] == 1
    run(kind, "check_finite", np.array([1.0, 2.0]), halt)
    assert halt[0] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_nan_anywhere_in_the_gradient_halts_the_step_through_its_norm(kind):
    g, p, halt = np.ones(1000, np.float32), np.ones(1000, np.float32), scalar(0, np.int32)
    g[777] = np.nan
    (squares,) = run(kind, "sum_of_squares", g, rows=100)
    run(kind, "check_finite", squares, halt)
    run(kind, "clip_by_norm", g, squares, halt, max_norm=1.0)
    run(kind, "sgd_step", p, g, scalar(0.1), halt)
    assert np.array_equal(p, np.ones(1000, np.float32))
    assert np.isnan(g).sum() == 1


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("sgd_step", [(5,), (4,), (1,), (1,)]),
        ("sgd_step", [(5, 2), (5, 2), (1,), (1,)]),
        ("sgd_step", [(5,), (5,), (5,), (1,)]),
        ("adam_step", [(5,), (5,), (5,), (3,), (1,), (1,), (1,)]),
        ("clip_by_norm", [(5,), (2,), (1,)]),
    ],
)
def test_buffers_that_do_not_fit_together_are_refused(name, shapes):
    specs = [Spec(shape, np.dtype(np.float32)) for shape in shapes]
    attrs = {"max_norm": 1.0} if name == "clip_by_norm" else {}
    with pytest.raises(ValueError, match=name):
        registry.op(name).infer(*specs, **attrs)


@pytest.mark.parametrize("attrs", [{"momentum": 0.9}, {"centered": True}])
def test_rmsprop_refuses_a_state_that_is_missing(attrs):
    flat, one = Spec((5,), np.dtype(np.float32)), Spec((1,), np.dtype(np.float64))
    with pytest.raises(ValueError, match="rmsprop_step"):
        registry.op("rmsprop_step").infer(flat, flat, flat, None, None, one, one, **attrs)


# --- steps on rows --------------------------------------------------------------------------------

ROW_STEPS = {
    "sgd_rows_step": ("sgd_step", {}),
    "momentum_rows_step": ("momentum_step", {"momentum": 0.9, "dampening": 0.2, "nesterov": True}),
    "adam_rows_step": ("adam_step", {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3}),
}


def tables(name, v=13, d=5):
    """The tables that a step on rows moves, by name."""
    rng = np.random.default_rng(9)
    states = [s for s in registry.op(name).inputs if s in ("p", "m", "v")]
    return {s: abs(rng.standard_normal((v, d))) for s in states}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("t", [1, 5])
@pytest.mark.parametrize("name", ROW_STEPS)
def test_a_step_on_rows_is_the_step_of_their_elements_and_leaves_the_others(name, t, kind):
    flat_name, attrs = ROW_STEPS[name]
    index, rows = np.array([0, 3, 4, 11, 13, 13]), [0, 3, 4, 11]  # 13: no row, left over
    g = np.random.default_rng(10).standard_normal((len(index), 5))
    found = tables(name)
    want = {key: values.copy() for key, values in found.items()}
    rest = {"index": index, "g": g, "lr": scalar(0.1), "step": scalar(t)}
    rest |= {"halt": scalar(0, np.int32)}
    operands = {**found, **rest}
    run(kind, name, *[operands[key] for key in registry.op(name).inputs], rows=2, **attrs)
    picked = {key: values[rows].reshape(-1) for key, values in want.items()}
    operands = {**picked, **rest, "g": g[:4].reshape(-1)}
    inputs = registry.op(flat_name).inputs
    run("reference", flat_name, *[operands[key] for key in inputs], **attrs)
    for key, values in want.items():
        values[rows] = picked[key].reshape(4, 5)
        np.testing.assert_allclose(found[key], values, rtol=1e-13, atol=1e-15)
        unread = np.delete(np.arange(13), rows)
        assert found[key][unread].tobytes() == values[unread].tobytes()


@pytest.mark.parametrize("name", ROW_STEPS)
def test_rows_that_are_not_of_the_table_are_refused(name):
    op, wide = registry.op(name), np.dtype(np.float32)
    shapes = {"index": (3,), "g": (3, 4), "lr": (1,), "step": (1,), "halt": (1,)}
    specs = {key: Spec(shapes.get(key, (9, 5)), wide) for key in op.inputs}
    specs["index"] = Spec((3,), np.dtype(np.int64))
    attrs = {"momentum": 0.9} if name == "momentum_rows_step" else {}
    with pytest.raises(ValueError, match=name):
        op.infer(*specs.values(), **attrs)
