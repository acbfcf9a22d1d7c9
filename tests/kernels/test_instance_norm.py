"""Instance norm against loops, PyTorch and batch norm of single images; hard numbers."""

import math

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

KINDS = ["reference", "default"]
SHAPE = (3, 4, 5, 6)


def run(kind, name, *ins, rows=None, optional=True, **attrs):
    """Runs an op by its reference or its default variant; its outputs."""
    op = registry.op(name)
    specs = [None if a is None else Spec.of(a) for a in ins]
    if kind == "reference":
        variant = registry.variant(op, "reference")
    else:
        variant = registry.resolve(op, "cpu", specs, attrs)
        assert variant.name.startswith("cpu_numba")
    launch = Launch(op, variant, specs, attrs, optional=optional, rows=rows)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    return outs


def operands(shape, seed=0):
    """x, dout, gamma, beta in float64."""
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((2, *shape))
    gamma, beta = rng.standard_normal((2, shape[-1]))
    return x, dout, gamma, beta


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_a_loop_over_images_and_channels(kind):
    x, _, gamma, beta = operands((2, 3, 4, 5))
    out, mean, var = run(kind, "instancenorm", x, gamma, beta, eps=1e-3)
    for n, c in np.ndindex(2, 5):
        values = x[n, ..., c].reshape(-1).tolist()
        centre = math.fsum(values) / 12
        spread = math.fsum((v - centre) ** 2 for v in values) / 12
        want = [(v - centre) / math.sqrt(spread + 1e-3) * gamma[c] + beta[c] for v in values]
        assert mean[n, c] == pytest.approx(centre, rel=1e-12, abs=1e-15)
        assert var[n, c] == pytest.approx(spread, rel=1e-12)
        np.testing.assert_allclose(out[n, ..., c].reshape(-1), want, rtol=1e-11, atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [SHAPE, (2, 9, 70)])
def test_outputs_and_gradients_follow_pytorch(shape, kind, affine):
    torch = pytest.importorskip("torch")
    x, dout, gamma, beta = operands(shape)
    gamma, beta = (gamma, beta) if affine else (None, None)
    leaves = [None if a is None else torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    first = torch.movedim(leaves[0], -1, 1)
    y = torch.nn.functional.instance_norm(first, weight=leaves[1], bias=leaves[2], eps=1e-4)
    torch.movedim(y, 1, -1).backward(torch.tensor(dout))
    out, mean, var = run(kind, "instancenorm", x, gamma, beta, eps=1e-4)
    grads = run(kind, "instancenorm_grad", x, gamma, mean, var, dout, eps=1e-4)
    np.testing.assert_allclose(out, torch.movedim(y, 1, -1).detach(), rtol=1e-10, atol=1e-11)
    for got, leaf in zip(grads, leaves, strict=True):
        if leaf is not None:
            np.testing.assert_allclose(got, leaf.grad, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_normalised_as_a_batch_of_its_own(kind):
    x, dout, gamma, beta = operands(SHAPE)
    out, mean, var = run(kind, "instancenorm", x, gamma, beta)
    dx, dgamma, dbeta = run(kind, "instancenorm_grad", x, gamma, mean, var, dout)
    sums = np.zeros((2, SHAPE[-1]))
    for n in range(SHAPE[0]):
        alone, m, v, _ = run(kind, "batchnorm", x[n], gamma, beta)
        da, dg, db = run(kind, "batchnorm_grad", x[n], gamma, m, v, dout[n], None, None)
        np.testing.assert_allclose(out[n], alone, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(dx[n], da, rtol=1e-11, atol=1e-12)
        sums += dg, db
    np.testing.assert_allclose((dgamma, dbeta), sums, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_statistics_the_output_is_the_same(kind):
    x, _, gamma, beta = (a.astype(np.float32) for a in operands(SHAPE))
    out, mean, var = run(kind, "instancenorm", x, gamma, beta, optional=False)
    assert mean is None
    assert var is None
    np.testing.assert_array_equal(out, run(kind, "instancenorm", x, gamma, beta)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("precision", "rtol"), [("float32", 1e-6), ("float64", 1e-11)])
def test_a_mean_far_from_zero_costs_no_digits_of_the_variance(precision, rtol, kind):
    x = (1e4 + np.random.default_rng(0).standard_normal((2, 1000, 3))).astype(precision)
    _, mean, var = run(kind, "instancenorm", x, None, None, eps=0.0)
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(mean, exact.mean(1).astype(np.float64), rtol=rtol)
    np.testing.assert_allclose(var, exact.var(1).astype(np.float64), rtol=rtol)


@pytest.mark.parametrize("kind", KINDS)
def test_one_pixel_becomes_beta_and_a_nan_stays_in_its_image_and_channel(kind):
    beta = np.array([1.0, 2.0])
    out, _, _ = run(kind, "instancenorm", np.array([[[5.0, -6.0]]]), None, beta)
    np.testing.assert_array_equal(out, [[beta]])
    x = operands((3, 7, 4))[0]
    x[1, 2, 3] = np.nan
    out, _, _ = run(kind, "instancenorm", x, None, None)
    spoilt = np.isnan(out)
    assert spoilt[1, :, 3].all()
    assert spoilt.sum() == 7


def test_the_result_does_not_depend_on_how_the_work_is_cut():
    x, dout, gamma, beta = operands((6, 3, 3, 5))
    out, mean, var = run("default", "instancenorm", x, gamma, beta)
    whole = run("default", "instancenorm_grad", x, gamma, mean, var, dout)
    for rows in (1, 4):
        np.testing.assert_array_equal(
            run("default", "instancenorm", x, gamma, beta, rows=rows)[0], out
        )
        cut = run("default", "instancenorm_grad", x, gamma, mean, var, dout, rows=rows)
        for got, want in zip(cut, whole, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("instancenorm", [(5, 3), None, None]),
        ("instancenorm", [(2, 5, 3), (4,), None]),
        ("instancenorm_grad", [(2, 5, 3), None, (3,), (2, 3), (2, 5, 3)]),
        ("instancenorm_grad", [(2, 5, 3), None, (2, 3), (2, 3), (2, 4, 3)]),
    ],
)
def test_operands_that_do_not_fit_together_are_refused(name, shapes):
    specs = [None if s is None else Spec(s, np.dtype(np.float32)) for s in shapes]
    with pytest.raises(ValueError, match="instancenorm"):
        registry.op(name).infer(*specs)
