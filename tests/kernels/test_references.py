"""References of the product and of elementwise ops, against what cannot share their mistake.

Loops over single elements, identities between an operation and its adjoint, and PyTorch. The other
families' references are verified beside their variants.
"""

import math

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.check import call_references
from dlcli_kernels.elementwise.activations import ACTIVATIONS, EPILOGUES

RNG = np.random.default_rng
EVERY = sorted(ACTIVATIONS)
POINTS = np.array(
    [-30.0, -6.5, -6.0, -3.0, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.0, 3.0, 6.0, 6.5, 30]
)

# Each activation as its paper or textbook has it, for one number.
FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "leaky_relu_0.2": lambda x: x if x > 0 else 0.2 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": lambda x: (math.exp(2 * x) - 1) / (math.exp(2 * x) + 1),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "hard_tanh": lambda x: min(max(x, -1.0), 1.0),
}


def saved_of(name, x, y):
    """What the gradient of an activation is computed from: its output or its input."""
    return y if ACTIVATIONS[name].saved == "y" else x


# --- matrix product -------------------------------------------------------------------------------


def product_by_loops(a, b, bias, ta, tb):
    """out[i, j] = bias[j] + Σ a[i, k] b[k, j], one product at a time, in Python's own numbers."""
    m, k = a.shape[::-1] if ta else a.shape
    n = b.shape[0] if tb else b.shape[1]
    out = np.zeros((m, n))
    for i in range(m):
        for j in range(n):
            total = 0.0 if bias is None else float(bias[j])
            for p in range(k):
                total += float(a[p, i] if ta else a[i, p]) * float(b[j, p] if tb else b[p, j])
            out[i, j] = total
    return out


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (2, 3, 4), (3, 3, 3), (4, 1, 2), (2, 2, 0)])
def test_the_product_is_the_sum_of_single_products(m, n, k, ta, tb, with_bias):
    rng = RNG(m * 100 + n * 10 + k)
    a = rng.standard_normal((k, m) if ta else (m, k))
    b = rng.standard_normal((n, k) if tb else (k, n))
    bias = rng.standard_normal(n) if with_bias else None
    got = registry.op("matmul").reference(a, b, bias, ta=ta, tb=tb)
    np.testing.assert_allclose(got, product_by_loops(a, b, bias, ta, tb), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("ta", [False, True])
def test_the_gradients_of_a_product_are_its_adjoints(ta, tb):
    """⟨A·B, D⟩ = ⟨A, dA⟩ = ⟨B, dB⟩ for every D: the product is linear in each operand."""
    rng, op = RNG(7), registry.op("matmul")
    a = rng.standard_normal((4, 3) if ta else (3, 4))
    b = rng.standard_normal((5, 4) if tb else (4, 5))
    dout = rng.standard_normal((3, 5))
    out = op.reference(a, b, ta=ta, tb=tb)
    ins, outs, douts = op.namespace([a, b, None]), op.namespace([out], ["out"]), None
    douts = op.namespace([dout], ["out"])
    grads = op.grad(call_references, ins, outs, douts, {"a", "b"}, ta=ta, tb=tb)
    inner = np.sum(out * dout)
    assert np.sum(a * grads["a"]) == pytest.approx(inner, rel=1e-12)
    assert np.sum(b * grads["b"]) == pytest.approx(inner, rel=1e-12)
    assert grads["a"].shape == a.shape
    assert grads["b"].shape == b.shape


def test_the_gradient_of_the_bias_is_the_sum_over_rows():
    op, rng = registry.op("matmul"), RNG(8)
    a, b, bias, dout = (rng.standard_normal(s) for s in ((3, 4), (4, 5), (5,), (3, 5)))
    ins = op.namespace([a, b, bias])
    douts = op.namespace([dout], ["out"])
    grads = op.grad(call_references, ins, None, douts, {"bias"})
    np.testing.assert_allclose(grads["bias"], dout.sum(axis=0), rtol=1e-14)


@pytest.mark.parametrize("act", sorted(EPILOGUES))
def test_an_epilogue_is_the_activation_of_product_and_bias(act):
    rng = RNG(9)
    a, b, bias = (rng.standard_normal(s) for s in ((3, 4), (4, 5), (5,)))
    z = product_by_loops(a, b, bias, False, False)
    want = [[FORMULAS[act](v) for v in row] for row in z.tolist()]
    got = registry.op("matmul").reference(a, b, bias, act=act)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@pytest.mark.oracle
@pytest.mark.parametrize("act", [None, "relu", "sigmoid", "tanh", "leaky_relu", "softplus", "elu"])
def test_a_dense_layer_and_its_gradients_are_those_of_pytorch(act):
    torch = pytest.importorskip("torch")
    rng, op = RNG(10), registry.op("matmul")
    x, w, bias, dout = (rng.standard_normal(s) for s in ((6, 4), (5, 4), (5,), (6, 5)))
    tensors = [torch.tensor(v, requires_grad=True) for v in (x, w, bias)]
    z = torch.nn.functional.linear(*tensors)
    theirs = z if act is None else getattr(torch.nn.functional, act)(z)
    theirs.backward(torch.tensor(dout))
    out = op.reference(x, w, bias, tb=True, act=act)
    outs, douts = op.namespace([out], ["out"]), op.namespace([dout], ["out"])
    needed = {"a", "b", "bias"}
    grads = op.grad(
        call_references, op.namespace([x, w, bias]), outs, douts, needed, tb=True, act=act
    )
    np.testing.assert_allclose(out, theirs.detach().numpy(), rtol=1e-12, atol=1e-14)
    for name, tensor in zip(("a", "b", "bias"), tensors, strict=True):
        np.testing.assert_allclose(grads[name], tensor.grad.numpy(), rtol=1e-11, atol=1e-13)


# --- activations ----------------------------------------------------------------------------------


def test_every_activation_has_its_formula_here():
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", EVERY)
def test_an_activation_is_its_formula(name):
    got = registry.op("act").reference(POINTS, act=name)
    want = [FORMULAS[name](x) for x in POINTS.tolist()]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_of_an_activation_is_the_slope_of_its_formula(name):
    kinks = {-1.0, 0.0, 1.0, 6.0}
    x = np.array([p for p in POINTS if p not in kinks and abs(p) > 0.01])
    h = 1e-6
    slopes = np.array([(FORMULAS[name](p + h) - FORMULAS[name](p - h)) / (2 * h) for p in x])
    saved = saved_of(name, x, registry.op("act").reference(x, act=name))
    got = registry.op("act_grad").reference(saved, np.full_like(x, 2.0), act=name)
    np.testing.assert_allclose(got, 2 * slopes, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EVERY)
def test_an_activation_keeps_its_dtype_and_overflows_nowhere(name, dtype):
    x = np.array([-1e4, -800, -90, 0, 90, 800, 1e4], dtype)
    y = registry.op("act").reference(x, act=name)
    dx = registry.op("act_grad").reference(saved_of(name, x, y), np.ones_like(x), act=name)
    assert y.dtype == dx.dtype == dtype
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("name", EVERY)
def test_a_nan_survives_every_activation(name):
    with np.errstate(invalid="ignore"):
        y = registry.op("act").reference(np.array([1.0, np.nan]), act=name)
    assert np.isnan(y).tolist() == [False, True]
    saved = np.array([0.5, 0.5])
    dx = registry.op("act_grad").reference(saved, np.array([1.0, np.nan]), act=name)
    assert np.isnan(dx).tolist() == [False, True]


@pytest.mark.parametrize("name", EVERY)
def test_what_a_gradient_is_computed_from_says_whether_it_may_be_an_epilogue(name):
    """As an epilogue only the output is kept."""
    assert (name in EPILOGUES) == (ACTIVATIONS[name].saved == "y")


TORCH = {  # what is not called in torch.nn.functional as it is here
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "hard_tanh": "hardtanh",
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", EVERY)
def test_activations_and_their_gradients_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    slope = {"leaky_relu_0.2": 0.2}.get(name)
    x = np.concatenate([POINTS, RNG(11).standard_normal(40)])
    dout = RNG(12).standard_normal(x.size)
    tensor = torch.tensor(x, requires_grad=True)
    if slope is not None:
        theirs = functional.leaky_relu(tensor, slope)
    else:
        theirs = getattr(functional, TORCH.get(name, name))(tensor)
    theirs.backward(torch.tensor(dout))
    y = registry.op("act").reference(x, act=name)
    dx = registry.op("act_grad").reference(saved_of(name, x, y), dout, act=name)
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=1e-9, atol=1e-12)


# --- the other elementwise ops --------------------------------------------------------------------


def test_sums_products_and_multiples_are_those_of_single_numbers():
    x, y = (RNG(i).standard_normal((2, 3)) for i in (13, 14))
    pairs = list(zip(x.reshape(-1).tolist(), y.reshape(-1).tolist(), strict=True))
    assert registry.op("add").reference(x, y).reshape(-1).tolist() == [p + q for p, q in pairs]
    assert registry.op("mul").reference(x, y).reshape(-1).tolist() == [p * q for p, q in pairs]
    assert registry.op("scale").reference(x, by=-0.7).reshape(-1).tolist() == [
        p * -0.7 for p, _ in pairs
    ]
