"""The tiled convolutions at the edges of images, tiles, panels and blocks, where the shapes that
every variant is verified with do not lead.
"""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.conv import cpu_tiled, tiled_layout
from dlcli_kernels.conv.cases import output_of
from dlcli_kernels.conv.geometry import linear
from dlcli_kernels.cpu_tile import BITS, WIDEST
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec, as_tuple

SAME, VALID, ONES = ((1, 1), (1, 1)), ((0, 0), (0, 0)), (1, 1)
SHAPES = {  # N, H, W, C, K, R, S, stride, padding, dilation, groups
    "a panel and a half": (3, 5, 6, 32, 96, 3, 3, ONES, SAME, ONES, 1),
    "three vectors": (2, 7, 5, 48, 48, 3, 3, ONES, SAME, ONES, 1),
    "stride 2": (5, 8, 8, 32, 16, 4, 4, (2, 2), SAME, ONES, 1),
    "an odd image": (3, 7, 9, 32, 32, 4, 4, (2, 2), SAME, ONES, 1),
    "padding on one side": (2, 6, 5, 32, 16, 3, 2, (2, 1), ((2, 0), (0, 1)), ONES, 1),
    "patches in the padding alone": (2, 3, 3, 32, 16, 2, 2, ONES, ((3, 2), (2, 3)), ONES, 1),
    "the same in a frame": (2, 3, 3, 2, 16, 2, 2, ONES, ((3, 2), (2, 3)), ONES, 1),
    "dilation": (2, 9, 8, 32, 16, 3, 3, (2, 1), ((2, 2), (2, 2)), (2, 3), 1),
    "stride beyond the filter": (2, 9, 9, 32, 32, 2, 2, (3, 3), VALID, ONES, 1),
    "pixels in no patch": (2, 8, 8, 16, 16, 1, 1, (3, 2), VALID, ONES, 1),
    "a sum in several parts": (2, 5, 5, 80, 16, 3, 3, ONES, SAME, ONES, 1),
    "several blocks": (21, 18, 18, 16, 16, 3, 3, ONES, SAME, ONES, 1),
    "large filters": (70, 2, 2, 128, 128, 3, 3, ONES, SAME, ONES, 1),
    "one channel": (9, 10, 10, 1, 16, 4, 4, (2, 2), SAME, ONES, 1),
}
POOL = {"pool": (2, 2)}


def operands(shape):
    n, h, w, c, k, r, s, *_ = shape
    rng = np.random.default_rng(0)
    sizes = ((n, h, w, c), (k, r, s, c), (k,), output_of(shape))
    return [rng.standard_normal(z).astype(np.float32) for z in sizes]


def calls(shape):
    """Every op on this shape: (name, operands, attributes)."""
    x, w, b, dout = operands(shape)
    geometry = linear(*shape[7:])
    yield "conv2d", (x, w, b), {"act": "relu", **geometry}
    yield "conv2d", (x, w, b), {"act": "leaky_relu", **geometry}
    yield "conv2d", (x, w, None), {"act": None, **geometry}
    yield "conv2d_dgrad", (dout, w), {"size": x.shape[1:3], **geometry}
    yield "conv2d_wgrad", (dout, x), {"filters": w.shape[1:3], "bias": True, **geometry}
    if min(dout.shape[1:3]) > 1:
        yield "conv2d_pool", (x, w, b), {"act": "relu", **POOL, **geometry}


def tiled(name):
    return registry.variant(
        registry.op(name), "cpu_tiled_wgrad" if name == "conv2d_wgrad" else "cpu_tiled"
    )


def run(name, ins, attrs, rows=None):
    op, specs = registry.op(name), [None if a is None else Spec.of(a) for a in ins]
    launch = Launch(op, tiled(name), specs, attrs, rows=rows)
    outs = launch.allocate(lambda s: np.full(s.shape, 77, s.dtype))
    launch.run(outs, ins)
    return outs


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_tiled_convolution_and_its_gradients_equal_the_reference(shape):
    compared = 0
    for name, ins, attrs in calls(shape):
        op, specs = registry.op(name), [None if a is None else Spec.of(a) for a in ins]
        if not tiled(name).supports(specs, attrs):
            continue
        exact = [None if a is None else a.astype(np.float64) for a in ins]
        want = as_tuple(op.reference(*exact, **attrs))
        for rows in (None, len(ins[0])):
            for found, right in zip(run(name, ins, attrs, rows)[:1], want, strict=False):
                size = np.sqrt(np.mean(right**2)) + 1e-30
                np.testing.assert_allclose(found, right, rtol=1e-5, atol=4e-6 * size)
                compared += 1
    assert compared >= (6 if BITS == WIDEST or shape[3] < cpu_tiled.FEW_CHANNELS else 0)


def test_the_bias_of_a_weight_gradient_is_the_sum_of_dout():
    _, _, _, dout = operands(SHAPES["stride 2"])
    for name, ins, attrs in calls(SHAPES["stride 2"]):
        if name == "conv2d_wgrad":
            np.testing.assert_allclose(run(name, ins, attrs)[1], dout.sum((0, 1, 2)), rtol=1e-4)


def test_no_product_is_made_with_padding_where_there_are_many_channels():
    x, w, b, _ = operands(SHAPES["three vectors"])
    w[:, 0, :, :] = np.inf  # the first row of the filters meets padding above the first row
    found = run("conv2d", (x, w, b), {"act": None, **linear(ONES, SAME, ONES, 1)})[0]
    assert np.isfinite(found[:, 0]).all()
    assert not np.isfinite(found[:, 1:]).any()


def test_pixels_are_grouped_by_the_part_of_a_filter_that_lies_within():
    groups = tiled_layout.reached(5, 2, [-1, 0, 1, 2], 9)
    assert [(list(pixels), first, end) for pixels, first, end in groups] == [
        ([0], 1, 4),
        ([1, 2, 3], 0, 4),
        ([4], 0, 2),
    ]
    assert tiled_layout.reached(2, 1, [-3], 2)[0][1:] == (0, 0)


def test_narrow_vectors_are_used_for_short_sums_alone(monkeypatch):
    monkeypatch.setattr(cpu_tiled, "BITS", WIDEST // 2)
    attrs = {"act": None, **linear(ONES, SAME, ONES, 1)}
    for channels, taken in ((3, True), (32, False)):
        x, w, _, _ = operands((1, 4, 4, channels, 16, 3, 3, ONES, SAME, ONES, 1))
        assert cpu_tiled.supports("conv2d", Spec.of(x), Spec.of(w), None, **attrs) is taken
