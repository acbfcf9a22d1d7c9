"""Sums, means, maxima: against loops, adjoint identities and PyTorch; long sums, ties and NaN."""

import itertools
import math

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

AXES = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (2, 1, 0), ()]
NAN = float("nan")


def run(name, *ins, **attrs):
    """The first output of the variant that runs by default on the CPU, from arrays as they lie."""
    op, specs = registry.op(name), [Spec.of(a) for a in ins]
    launch = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    return outs[0]


def by_loops(combine, x, axes):
    """combine(list of the elements) for each element of the result, index by index."""
    kept = [i for i in range(x.ndim) if i not in axes]
    out = np.empty([x.shape[i] for i in kept])
    for at in itertools.product(*map(range, out.shape)):
        out[at] = combine([x[i] for i in np.ndindex(*x.shape) if tuple(i[k] for k in kept) == at])
    return out


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(
    ("name", "combine"),
    [("sum", math.fsum), ("mean", lambda v: math.fsum(v) / len(v)), ("max", max)],
)
def test_a_reduction_combines_exactly_the_elements_along_its_axes(name, combine, axes):
    x = np.random.default_rng(1).standard_normal((3, 2, 4))
    want = by_loops(combine, x, axes)
    for op in (check.call_references, run):
        np.testing.assert_allclose(op(name, x, axes=axes), want, rtol=1e-14, atol=1e-15)
    kept = run(name, x, axes=axes, keepdims=True)
    assert kept.shape == tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    assert np.array_equal(kept.ravel(), run(name, x, axes=axes).ravel())


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", AXES)
def test_broadcast_is_the_transpose_of_sum(axes, keepdims):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((5, 3, 7))
    total = run("sum", x, axes=axes, keepdims=keepdims)
    y = rng.standard_normal(total.shape)
    spread = run("broadcast", y, shape=x.shape, axes=axes)
    np.testing.assert_allclose(np.sum(total * y), np.sum(x * spread), rtol=1e-12)


@pytest.mark.parametrize("shape", [(128 * 26 * 26, 3), (128 * 26 * 26, 1), (3, 128 * 26 * 26)])
def test_a_float32_sum_of_86528_numbers_is_right_to_three_roundings(shape):
    x = np.random.default_rng(3).uniform(9.0, 10.0, shape).astype(np.float32)
    axes = (int(np.argmax(shape)),)
    want = x.astype(np.float64).sum(axis=axes)
    error = np.abs(run("sum", x, axes=axes) - want) / want
    assert error.max() < 3 * 2.0**-24
    naive = np.abs(np.add.accumulate(x, axis=axes[0]).take(-1, axes[0]) - want) / want
    assert naive.max() > 3 * 2.0**-24  # one after the other would not do


def test_a_mean_is_a_scaled_sum():
    mean = registry.op("mean")
    x = np.random.default_rng(4).standard_normal((4, 5, 6))
    for axes in AXES:
        parts = mean.decompose(check.call_references, x, axes=axes)
        np.testing.assert_allclose(parts, x.mean(axis=axes), rtol=1e-13)


def test_the_mean_of_nothing_is_nan_and_the_sum_of_nothing_is_zero():
    x = np.empty((0, 3), np.float32)
    assert np.isnan(run("mean", x, axes=(0,))).all()
    assert np.array_equal(run("sum", x, axes=(0,)), np.zeros(3))


def test_the_maximum_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to choose from"):
        registry.op("max").infer(Spec((0, 3), np.dtype(np.float32)), axes=(0,))


@pytest.mark.parametrize("axes", [(0, 0), (2,), (-1,)])
def test_axes_that_are_not_different_axes_of_the_array_are_refused(axes):
    with pytest.raises(ValueError, match="not different axes"):
        registry.op("sum").infer(Spec((4, 3), np.dtype(np.float32)), axes=axes)


def test_a_broadcast_to_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="broadcast over axes"):
        registry.op("broadcast").infer(Spec((3,), np.dtype(np.float32)), shape=(4, 5), axes=(0,))


def test_a_sum_over_axes_that_are_not_neighbours_falls_back_to_the_reference():
    op, spec = registry.op("sum"), Spec((2, 3, 4), np.dtype(np.float32))
    assert registry.resolve(op, "cpu", [spec], {"axes": (0, 2)}).name == "cpu_reference"
    assert registry.resolve(op, "cpu", [spec], {"axes": (0, 1)}).name == "cpu_numba"


def test_the_gradient_of_a_maximum_is_shared_equally_among_ties():
    x = np.array([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    dout = np.array([1.0, -8.0])
    dx = run("max_grad", x, x.max(axis=1), dout, axes=(1,))
    assert np.array_equal(dx, [[0.0, 0.5, 0.5, 0.0], [-2.0] * 4])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("row", [[NAN, 1.0, 3.0], [1.0, NAN, 3.0], [1.0, 3.0, NAN]])
def test_a_nan_is_the_maximum_and_makes_its_gradient_nan(row, axis):
    x = np.moveaxis(np.array([row, [1.0, 2.0, 0.0]]), 1, axis)
    largest = run("max", x, axes=(axis,))
    assert np.array_equal(largest, [NAN, 2.0], equal_nan=True)
    dx = np.moveaxis(run("max_grad", x, largest, np.ones(2), axes=(axis,)), axis, 1)
    assert np.array_equal(dx, [[NAN] * 3, [0.0, 1.0, 0.0]], equal_nan=True)


@pytest.mark.parametrize("name", ["sum", "mean"])
def test_a_nan_or_infinity_reaches_its_own_sum_alone(name):
    x = np.ones((100, 5), np.float32)
    x[70, 1], x[3, 2], x[99, 4], x[1, 4] = NAN, np.inf, np.inf, -np.inf
    out = run(name, x, axes=(0,))
    one = 100.0 if name == "sum" else 1.0
    assert np.array_equal(out, [one, NAN, np.inf, one, NAN], equal_nan=True)


@pytest.mark.oracle
@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["sum", "mean", "amax"])
def test_reductions_and_their_gradients_are_those_of_pytorch(name, axes):
    torch = pytest.importorskip("torch")
    op = registry.op(name.removeprefix("a"))
    x = np.random.default_rng(5).integers(-3, 4, (4, 5, 6)).astype(np.float64)  # with ties
    t = torch.tensor(x, requires_grad=True)
    y = getattr(torch, name)(t, dim=axes)
    out = run(op.name, x, axes=axes)
    np.testing.assert_allclose(out, y.detach().numpy(), rtol=1e-14)
    dout = np.asarray(np.random.default_rng(6).standard_normal(out.shape))
    y.backward(torch.tensor(dout))
    ins, outs = op.namespace([x]), op.namespace([out], ["out"])
    douts = op.namespace([dout], ["out"])
    dx = op.grad(run, ins, outs, douts, {"x"}, axes=axes)["x"]
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=1e-14)
