"""Batch norm and layer norm against loops, against PyTorch, and where numbers are hard.

Every test runs the reference and the variant that runs by default.
"""

import math

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec
from hypothesis import given, settings
from hypothesis import strategies as st

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
        assert variant.name in ("cpu_numba", "cpu_numba_layer")
    launch = Launch(op, variant, specs, attrs, optional=optional, rows=rows)
    outs = launch.allocate(lambda s: np.empty(s.shape, s.dtype))
    launch.run(outs, ins)
    return outs


def close(got, want, rtol=1e-10):
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max(initial=0.0))


def operands(shape, seed=0):
    """x, dout, gamma, beta in float64."""
    rng = np.random.default_rng(seed)
    x, dout = rng.standard_normal((2, *shape))
    gamma, beta = rng.standard_normal((2, shape[-1]))
    return x, dout, gamma, beta


# --- loops ----------------------------------------------------------------------------------------

SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SIZES, st.integers(1, 7), st.sampled_from([None, 1, 3]), st.sampled_from(KINDS))
def test_batch_norm_equals_a_loop_over_channels(leading, c, rows, kind):
    x, _, gamma, beta = operands((*leading, c))
    out, mean, var, inv_std = run(kind, "batchnorm", x, gamma, beta, rows=rows, eps=1e-3)
    for j in range(c):
        column = x[..., j].reshape(-1).tolist()
        centre = math.fsum(column) / len(column)
        spread = math.fsum((v - centre) ** 2 for v in column) / len(column)
        assert mean[j] == pytest.approx(centre, rel=1e-12, abs=1e-15)
        assert var[j] == pytest.approx(spread, rel=1e-12, abs=1e-15)
        assert inv_std[j] == pytest.approx((spread + 1e-3) ** -0.5, rel=1e-12)
        want = [(v - centre) / math.sqrt(spread + 1e-3) * gamma[j] + beta[j] for v in column]
        np.testing.assert_allclose(out[..., j].reshape(-1), want, rtol=1e-11, atol=1e-12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(SIZES, st.integers(1, 7), st.sampled_from([None, 1, 3]), st.sampled_from(KINDS))
def test_layer_norm_equals_a_loop_over_rows(leading, c, rows, kind):
    x, _, gamma, beta = operands((*leading, c))
    out, mean, rstd = run(kind, "layernorm", x, gamma, beta, rows=rows, eps=1e-3)
    for at in np.ndindex(*leading):
        row = x[at].tolist()
        centre = math.fsum(row) / c
        spread = math.fsum((v - centre) ** 2 for v in row) / c
        assert mean[at] == pytest.approx(centre, rel=1e-12, abs=1e-15)
        assert rstd[at] == pytest.approx((spread + 1e-3) ** -0.5, rel=1e-12)
        want = [
            (v - centre) / math.sqrt(spread + 1e-3) * gamma[j] + beta[j] for j, v in enumerate(row)
        ]
        np.testing.assert_allclose(out[at], want, rtol=1e-11, atol=1e-12)


# --- PyTorch --------------------------------------------------------------------------------------


def leaves(torch, *arrays):
    return [None if a is None else torch.tensor(a, requires_grad=True) for a in arrays]


@pytest.mark.oracle
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [SHAPE, (40, 9), (2, 3, 70)])
def test_batch_norm_in_training_follows_pytorch(shape, kind, affine):
    torch = pytest.importorskip("torch")
    x, dout, gamma, beta = operands(shape)
    gamma, beta = (gamma, beta) if affine else (None, None)
    tx, tg, tb = leaves(torch, x, gamma, beta)
    c, n = shape[-1], x.size // shape[-1]
    rm, rv = torch.zeros(c, dtype=torch.float64), torch.ones(c, dtype=torch.float64)
    y = torch.nn.functional.batch_norm(tx.reshape(-1, c), rm, rv, tg, tb, True, 0.1, 1e-4)
    y.backward(torch.tensor(dout).reshape(-1, c))
    out, mean, var, _ = run(kind, "batchnorm", x, gamma, beta, eps=1e-4)
    dx, dgamma, dbeta = run(kind, "batchnorm_grad", x, gamma, mean, var, dout, None, None, eps=1e-4)
    close(out.reshape(-1, c), y.detach())
    close(dx, tx.grad)
    if affine:
        close(dgamma, tg.grad)
        close(dbeta, tb.grad)
    running_mean, running_var = np.zeros(c), np.ones(c)
    run(kind, "update_running", running_mean, mean, momentum=0.1, correction=1.0)
    run(kind, "update_running", running_var, var, momentum=0.1, correction=n / (n - 1))
    close(running_mean, rm)
    close(running_var, rv)


@pytest.mark.oracle
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_batch_norm_at_inference_follows_pytorch(kind, affine):
    torch = pytest.importorskip("torch")
    x, dout, gamma, beta = operands(SHAPE)
    gamma, beta = (gamma, beta) if affine else (None, None)
    mean, var = np.random.default_rng(9).uniform(0.5, 2.0, (2, 6))
    tx, tg, tb = leaves(torch, x, gamma, beta)
    y = torch.nn.functional.batch_norm(
        tx.reshape(-1, 6), torch.tensor(mean), torch.tensor(var), tg, tb, False, 0.1, 1e-4
    )
    y.backward(torch.tensor(dout).reshape(-1, 6))
    (out,) = run(kind, "batchnorm_inference", x, gamma, beta, mean, var, eps=1e-4)
    dx, dgamma, dbeta = run(kind, "batchnorm_inference_grad", x, gamma, mean, var, dout, eps=1e-4)
    close(out.reshape(-1, 6), y.detach())
    close(dx, tx.grad)
    if affine:
        close(dgamma, tg.grad)
        close(dbeta, tb.grad)


@pytest.mark.oracle
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [SHAPE, (40, 129)])
def test_layer_norm_follows_pytorch(shape, kind, affine):
    torch = pytest.importorskip("torch")
    x, dout, gamma, beta = operands(shape)
    gamma, beta = (gamma, beta) if affine else (None, None)
    tx, tg, tb = leaves(torch, x, gamma, beta)
    y = torch.nn.functional.layer_norm(tx, shape[-1:], tg, tb, 1e-4)
    y.backward(torch.tensor(dout))
    out, mean, rstd = run(kind, "layernorm", x, gamma, beta, eps=1e-4)
    dx, dgamma, dbeta = run(kind, "layernorm_grad", x, gamma, mean, rstd, dout)
    close(out, y.detach())
    close(dx, tx.grad)
    if affine:
        close(dgamma, tg.grad)
        close(dbeta, tb.grad)


# --- hard numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("precision", "rtol"), [("float32", 1e-6), ("float64", 1e-11)])
@pytest.mark.parametrize("far", [1e4, -1e6])
def test_a_mean_far_from_zero_costs_no_digits_of_the_variance(far, precision, rtol, kind):
    x = (far + np.random.default_rng(0).standard_normal((4000, 3))).astype(precision)
    exact = [np.longdouble(x[:, j].astype(np.longdouble)).var() for j in range(3)]
    out, mean, var, _ = run(kind, "batchnorm", x, None, None, eps=0.0)
    close(var, np.array(exact, np.float64), rtol)
    close(mean, x.astype(np.longdouble).mean(axis=0).astype(np.float64), rtol)
    normalised = (x.astype(np.longdouble) - x.astype(np.longdouble).mean(axis=0)) / np.sqrt(exact)
    close(out, normalised.astype(np.float64), 3 * rtol if precision == "float32" else 1e-9)
    rows = np.ascontiguousarray(x.T)
    across, _, rstd = run(kind, "layernorm", rows, None, None, eps=0.0)
    close(rstd, 1 / np.sqrt(np.array(exact, np.float64)), rtol)
    close(across, out.T, 3 * rtol if precision == "float32" else 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_an_outlier_in_the_first_row_does_not_spoil_the_other_channels_or_its_own(kind):
    x = np.random.default_rng(0).standard_normal((1001, 2)).astype(np.float32)
    x[0, 0] = 1e6
    _, _, var, _ = run(kind, "batchnorm", x, None, None)
    close(var, x.astype(np.longdouble).var(axis=0).astype(np.float64), 1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 3.25, 1e8])
def test_a_constant_channel_becomes_beta(value, kind):
    x = np.full((50, 3), value, np.float32)
    beta = np.array([1, 2, 3], np.float32)
    out, mean, var, _ = run(kind, "batchnorm", x, np.ones(3, np.float32), beta)
    assert np.array_equal(out, np.broadcast_to(beta, x.shape))
    assert np.array_equal(mean, x[0])
    assert not var.any()


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_gives_beta_and_no_rows_give_zeros(kind):
    beta = np.array([1.0, 2.0])
    out, mean, var, _ = run(kind, "batchnorm", np.array([[5.0, -6.0]]), None, beta)
    assert np.array_equal(out, [beta])
    assert np.array_equal(mean, [5.0, -6.0])
    assert np.array_equal(var, [0, 0])
    out, mean, var, _ = run(kind, "batchnorm", np.empty((0, 2)), None, beta)
    assert out.shape == (0, 2)
    assert np.array_equal([mean, var], np.zeros((2, 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_nan_stays_in_its_own_channel_or_row(kind):
    x = np.random.default_rng(0).standard_normal((20, 4))
    x[3, 1] = np.nan
    out, _, var, _ = run(kind, "batchnorm", x, None, None)
    assert np.array_equal(np.isnan(out).any(axis=0), [False, True, False, False])
    assert np.isnan(var[1])
    rows = run(kind, "layernorm", x, None, None)[0]
    assert np.array_equal(np.flatnonzero(np.isnan(rows).any(axis=1)), [3])


# --- what gradients must satisfy ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_batch_norm_is_orthogonal_to_shifts_and_scalings_of_its_input(kind):
    x, dout, gamma, _ = operands((50, 6))
    _, mean, var, _ = run(kind, "batchnorm", x, gamma, None, eps=0.0)
    dx, _, _ = run(kind, "batchnorm_grad", x, gamma, mean, var, dout, None, None, eps=0.0)
    assert np.abs(dx.sum(axis=0)).max() < 1e-12
    assert np.abs((dx * (x - mean)).sum(axis=0)).max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_statistics_are_those_of_mean_and_variance(kind):
    x, _, _, _ = operands((7, 3))
    dmean, dvar = np.random.default_rng(1).standard_normal((2, 3))
    mean, var, zero = x.mean(axis=0), x.var(axis=0), np.zeros((7, 3))
    dx, _, _ = run(kind, "batchnorm_grad", x, None, mean, var, zero, dmean, dvar)
    np.testing.assert_allclose(dx, dmean / 7 + 2 * dvar * (x - mean) / 7, rtol=1e-12)


@pytest.mark.parametrize("name", ["batchnorm", "layernorm"])
def test_the_result_does_not_depend_on_how_the_work_is_cut(name):
    x, _, gamma, beta = operands((30, 40))
    whole = run("default", name, x, gamma, beta)[0]
    for rows in (1, 7, 16):
        cut = run("default", name, x, gamma, beta, rows=rows)[0]
        np.testing.assert_allclose(cut, whole, rtol=1e-12, atol=1e-14)


def test_a_large_batch_of_many_channels_is_cut_by_channels_and_a_small_one_is_not():
    op = registry.op("batchnorm")

    def ranges(*shape):
        specs = [Spec(shape, np.dtype(np.float32)), None, None]
        return Launch(op, registry.resolve(op, "cpu", specs, {}), specs, {}).ranges

    assert ranges(128, 26, 26, 128) == [(0, 64), (64, 128)]
    assert len(ranges(128, 26, 26, 32)) == 1
    assert len(ranges(128, 512)) == 1


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("batchnorm", [(5,), None, None]),
        ("batchnorm", [(5, 3), (4,), None]),
        ("batchnorm_inference", [(5, 3), None, None, (3,), (2,)]),
        ("layernorm", [(5, 3), (5,), None]),
        ("layernorm_grad", [(5, 3), None, (3,), (5,), (5, 3)]),
        ("batchnorm_grad", [(5, 3), None, (3,), (3,), (5, 3), (2,)]),
    ],
)
def test_operands_that_do_not_fit_together_are_refused(name, shapes):
    specs = [None if s is None else Spec(s, np.dtype(np.float32)) for s in shapes]
    with pytest.raises(ValueError, match=name.split("_")[0]):
        registry.op(name).infer(*specs)
