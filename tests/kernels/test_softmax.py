"""Softmax and its logarithm: against loops, Jacobians and PyTorch; the kernels' exponential."""

import math

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

NAN, INF = float("nan"), float("inf")


def run(name, *ins, optional=False, **attrs):
    """The outputs of the variant that runs by default on the CPU; not in a list if it is one."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    specs = [None if a is None else Spec.of(a) for a in ins]
    launch = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs, optional=optional)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    outs = [o for o in outs if o is not None]
    return outs[0] if len(outs) == 1 else outs


BOTH = pytest.mark.parametrize("call", [run, check.call_references], ids=["variant", "reference"])


@BOTH
def test_softmax_is_exp_over_the_sum_of_exps_along_the_last_axis(call):
    x = np.random.default_rng(1).standard_normal((2, 3, 7))
    y, logarithm = call("softmax", x), call("log_softmax", x)
    for at in np.ndindex(2, 3):
        total = math.fsum(math.exp(v) for v in x[at])
        for k in range(7):
            assert y[at][k] == pytest.approx(math.exp(x[at][k]) / total, rel=1e-14)
            assert logarithm[at][k] == pytest.approx(x[at][k] - math.log(total), rel=1e-13)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_masked_and_extreme_rows(call, dtype):
    x = np.array(
        [[0, -INF, 0], [-INF] * 3, [1e4, -1e4, 1e4], [INF, 0, 0], [0, NAN, 0], [-3e4, -3e4, -INF]],
        dtype,
    )
    with np.errstate(all="ignore"):
        y = call("softmax", x)
    half, nan = [0.5, 0.0, 0.5], [NAN] * 3
    want = np.array([half, nan, half, nan, nan, [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=0, equal_nan=True)


@BOTH
def test_the_gradients_of_softmax_are_their_jacobians_times_the_cotangent(call):
    rng = np.random.default_rng(2)
    x, dout = rng.standard_normal(6), rng.standard_normal(6)
    y = call("softmax", x)
    jacobian = np.diag(y) - np.outer(y, y)
    np.testing.assert_allclose(call("softmax_grad", y, dout), jacobian @ dout, rtol=1e-12)
    jacobian = np.eye(6) - np.outer(y, np.ones(6))
    dx = call("log_softmax_grad", call("log_softmax", x), dout)
    np.testing.assert_allclose(dx, jacobian @ dout, rtol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "end", "error"), [(np.float32, 87, 1.5 * 2.0**-23), (np.float64, 708, 2.0**-52)]
)
def test_the_exponential_of_the_kernels_is_right_from_end_to_end(dtype, end, error):
    from dlcli_kernels.cpu import kernel
    from dlcli_kernels.cpu_math import exponential

    @kernel
    def exponentials(out, x):
        for i in range(x.size):
            out[i] = exponential(x[i])

    x = np.concatenate([np.linspace(-end, end, 20011), np.linspace(-1, 1, 5003)]).astype(dtype)
    out = np.empty_like(x)
    exponentials(out, x)
    assert np.max(np.abs(out / np.exp(x.astype(np.longdouble)) - 1)) < error
    exponentials(out[:6], np.array([-INF, -750, 0, 750, INF, NAN], dtype))
    assert np.array_equal(out[:6], [0, 0, 1, INF, INF, NAN], equal_nan=True)


# --- PyTorch --------------------------------------------------------------------------------------


def gradients(name, ins, out_names, outs, dout, needed, **attrs):
    """What `grad` gives for `needed`, run on the variants."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    douts = op.namespace([dout, *[None] * (len(outs) - 1)], out_names)
    return op.grad(
        run, op.namespace(ins), op.namespace(outs, out_names), douts, set(needed), **attrs
    )


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_its_first_and_second_gradients_are_those_of_pytorch(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(11)
    x, dout, g = (rng.standard_normal((4, 6)) for _ in range(3))
    tx, td = torch.tensor(x, requires_grad=True), torch.tensor(dout, requires_grad=True)
    y = getattr(torch, name)(tx, -1)
    (first,) = torch.autograd.grad(y, tx, td, create_graph=True)
    out = run(name, x)
    np.testing.assert_allclose(out, y.detach().numpy(), rtol=1e-12)
    dx = gradients(name, [x], ("out",), [out], dout, ["x"])["x"]
    np.testing.assert_allclose(dx, first.detach().numpy(), rtol=1e-11, atol=1e-14)
    second_x, second_d = torch.autograd.grad(first, (tx, td), torch.tensor(g))
    grads = gradients(f"{name}_grad", [out, dout], ("out",), [dx], g, ["y", "dout"])
    np.testing.assert_allclose(grads["dout"], second_d.numpy(), rtol=1e-11, atol=1e-14)
    through_y = gradients(name, [x], ("out",), [out], grads["y"], ["x"])["x"]
    np.testing.assert_allclose(through_y, second_x.numpy(), rtol=1e-10, atol=1e-14)
