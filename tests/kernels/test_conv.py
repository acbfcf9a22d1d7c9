"""Convolution: references against loops, adjoints, what the contract refuses, empty channels."""

from itertools import product

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.conv.cases import SHAPES, output_of
from dlcli_kernels.conv.conv2d import reference
from dlcli_kernels.conv.cpu_blocks import images_per_block
from dlcli_kernels.conv.geometry import LARGE_FILTERS, MANY_FILTERS, images_for, linear
from dlcli_kernels.conv.pooled import reference_pool
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec, as_tuple

GROUPED = (2, 6, 5, 4, 6, 3, 2, (2, 1), ((1, 0), (0, 2)), (1, 2), 2)
PLAIN = linear((1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def operands(shape, dtype=np.float64):
    n, h, w, c, k, r, s, *_, groups = shape
    rng = np.random.default_rng(0)
    x, f, b = (rng.standard_normal(z) for z in ((n, h, w, c), (k, r, s, c // groups), (k,)))
    return x.astype(dtype), f.astype(dtype), b.astype(dtype)


def run(name, *ins, optional=True, **attrs):
    op = registry.op(name)
    ins = (*ins, *(None,) * (len(op.inputs) - len(ins)))
    specs = [None if a is None else Spec.of(a) for a in ins]
    launch = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs, optional=optional)
    outs = launch.allocate(lambda s: np.full(s.shape, 77, s.dtype))
    launch.run(outs, ins)
    return outs


def by_loops(x, w, b, stride, padding, dilation, groups):
    """The formula of the contract, one product at a time."""
    (n, h, wd, _), (k, r, s, cg) = x.shape, w.shape
    (top, bottom), (left, right) = padding
    p = (h + top + bottom - dilation[0] * (r - 1) - 1) // stride[0] + 1
    q = (wd + left + right - dilation[1] * (s - 1) - 1) // stride[1] + 1
    out = np.zeros((n, p, q, k)) + b
    for i, y, z, f in product(range(n), range(p), range(q), range(k)):
        first = f // (k // groups) * cg  # the channels of the filter's group
        for u, v, e in product(range(r), range(s), range(cg)):
            row = y * stride[0] + u * dilation[0] - top
            column = z * stride[1] + v * dilation[1] - left
            if 0 <= row < h and 0 <= column < wd:
                out[i, y, z, f] += x[i, row, column, first + e] * w[f, u, v, e]
    return out


@pytest.mark.parametrize("shape", [GROUPED, *SHAPES[:7], SHAPES[8]], ids=str)
def test_the_reference_is_the_formula_term_by_term(shape):
    x, w, b = operands(shape)
    want = by_loops(x, w, b, *shape[7:])
    np.testing.assert_allclose(
        reference(x, w, b, **linear(*shape[7:]), act=None), want, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("shape", [GROUPED, *SHAPES[:7]], ids=str)
def test_dgrad_and_wgrad_are_the_adjoints_of_the_convolution(shape):
    x, w, b = operands(shape)
    geometry = linear(*shape[7:])
    dout = np.random.default_rng(1).standard_normal(output_of(shape))
    inner = np.sum(run("conv2d", x, w, None, act=None, **geometry)[0] * dout)
    dx = run("conv2d_dgrad", dout, w, size=x.shape[1:3], **geometry)[0]
    dw, db = run("conv2d_wgrad", dout, x, filters=w.shape[1:3], bias=True, **geometry)
    np.testing.assert_allclose([np.sum(dx * x), np.sum(dw * w)], inner, rtol=1e-11)
    np.testing.assert_allclose(np.sum(db * b), np.sum(dout * b), rtol=1e-11)


def test_the_pooled_reference_is_the_maximum_of_each_window_and_its_place():
    x, w, b = operands(SHAPES[0])
    z = reference(x, w, b, **PLAIN, act=None)  # 4 × 3: the third column is left out
    out, argmax = reference_pool(x, w, b, **PLAIN, act="relu", pool=(2, 2))
    assert out.shape == argmax.shape == (2, 2, 1, 4)
    for n, i, k in product(range(2), range(2), range(4)):
        window = z[n, 2 * i : 2 * i + 2, 0:2, k].reshape(-1)
        assert out[n, i, 0, k] == max(window.max(), 0)
        assert argmax[n, i, 0, k] == window.argmax()


@pytest.mark.parametrize("name", ["conv2d", "conv2d_pool"])
@pytest.mark.parametrize(("channels", "filters"), [(0, 8), (0, 3), (2, 0), (0, 0)])
def test_without_channels_the_output_is_the_bias_and_without_filters_it_is_empty(
    name, channels, filters
):
    x, w = np.ones((2, 5, 5, channels)), np.ones((filters, 3, 3, channels))
    pool = {"pool": (2, 2)} if name == "conv2d_pool" else {}
    out = run(name, x, w, np.arange(float(filters)), act=None, **PLAIN, **pool)[0]
    assert out.shape[3] == filters
    np.testing.assert_array_equal(out, np.broadcast_to(np.arange(float(filters)), out.shape))


@pytest.mark.parametrize("filters", [(2, 2), (5, 5), (3, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_infinite_pixel_makes_its_outputs_infinite_and_none_of_them_nan(filters, dtype):
    x, w = np.ones((1, 8, 8, 1), dtype), np.ones((8, *filters, 1), dtype)
    x[0, 3, 4, 0] = np.inf
    out = run("conv2d", x, w, act=None, **PLAIN)[0]
    assert not np.isnan(out).any()
    want = reference(x, w, **PLAIN, act=None)
    np.testing.assert_array_equal(np.isinf(out), np.isinf(want))


@pytest.mark.parametrize("optional", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("corner", [0, 5])
@pytest.mark.parametrize("filters", [8, 5], ids=["direct", "im2col"])
def test_a_nan_pixel_survives_relu_and_pooling(filters, corner, optional):
    x, w = np.ones((1, 6, 6, 1), np.float32), -np.ones((filters, 3, 3, 1), np.float32)
    x[0, corner, corner, 0] = np.nan
    for name, pool in (("conv2d_pool", {"pool": (2, 2)}), ("conv2d", {})):
        out = run(name, x, w, act="relu", optional=optional, **PLAIN, **pool)[0]
        at = -1 if corner else 0
        assert np.isnan(out[0, at, at]).all()
        assert np.isnan(out).sum() == filters
        assert (out[~np.isnan(out)] == 0).all()


def test_gradients_of_a_map_that_does_not_belong_to_the_images_are_refused():
    x, w, _ = operands(SHAPES[0])
    wrong = np.ones((2, 3, 3, 4))  # it is 4 × 3
    with pytest.raises(ValueError, match="but dout is"):
        run("conv2d_dgrad", wrong, w, size=(6, 5), **PLAIN)
    with pytest.raises(ValueError, match="but dout is"):
        run("conv2d_wgrad", wrong, x, filters=(3, 3), bias=False, **PLAIN)
    small, argmax = np.ones((2, 2, 1, 4)), np.zeros((2, 1, 1, 4), np.uint8)
    with pytest.raises(ValueError, match="argmax"):
        run("conv2d_pool_dgrad", small, argmax, w, size=(6, 5), pool=(2, 2), **PLAIN)
    with pytest.raises(ValueError, match="argmax"):
        run("conv2d_pool_wgrad", small, argmax, x, filters=(3, 3), bias=False, pool=(2, 2), **PLAIN)


# --- large filters --------------------------------------------------------------------------------

LARGE = (9, 8, 8, 64, 128, 4, 4, (2, 2), ((1, 1), (1, 1)), (1, 1), 1)  # 131,072 floats of filters


def test_large_filters_are_packed_for_few_ranges_and_small_ones_cut_by_the_cache():
    assert images_for(MANY_FILTERS - 1, 16, 64) is None
    assert images_for(MANY_FILTERS, 16, 64) == 8  # eight ranges, though they have 128 rows
    assert images_for(LARGE_FILTERS, 16, 64) == 16  # four ranges, though they have 256 rows
    assert images_for(LARGE_FILTERS, 64, 64) == 8  # of 512 rows
    assert images_for(LARGE_FILTERS, 1024, 64) == 4  # sixteen ranges, though of 4,096 rows
    assert images_for(LARGE_FILTERS, 1024, 9) == 1
    assert images_for(LARGE_FILTERS, 16, 0) == 1
    assert images_per_block(16, 1024, LARGE_FILTERS) == 32
    assert images_per_block(16, 1024, LARGE_FILTERS - 1) == 8


def test_products_with_large_filters_of_several_blocks_equal_the_reference():
    x, w, b = operands(LARGE, np.float32)
    attrs = linear(*LARGE[7:])
    dout = np.random.default_rng(1).standard_normal(output_of(LARGE)).astype(np.float32)
    calls = [
        ("conv2d", (x, w, b), {"act": None}),
        ("conv2d_dgrad", (dout, w), {"size": (8, 8)}),
        ("conv2d_wgrad", (dout, x), {"filters": (4, 4), "bias": True}),
    ]
    for name, ins, more in calls:
        wide = [a.astype(np.float64) for a in ins]
        want = as_tuple(registry.op(name).reference(*wide, **attrs, **more))
        for got, exact in zip(run(name, *ins, **attrs, **more), want, strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-5, atol=4e-6 * exact.std())
