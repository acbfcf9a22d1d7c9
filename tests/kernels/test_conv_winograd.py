"""Winograd's convolutions where tiles, blocks of tiles and images do not come out even; what is not
finite; and where they are chosen.
"""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.conv import cpu_winograd
from dlcli_kernels.conv.cases import output_of
from dlcli_kernels.conv.geometry import linear
from dlcli_kernels.cpu_tile import BITS, WIDEST
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

F32 = np.dtype("float32")
ONES, SAME, VALID = (1, 1), ((1, 1), (1, 1)), ((0, 0), (0, 0))
WHOLE = BITS // 32  # channels that fill a vector
SHAPES = {  # N, H, W, C, K, R, S, stride, padding, dilation, groups
    "one tile": (1, 4, 4, WHOLE, WHOLE, 3, 3, ONES, VALID, ONES, 1),
    "a tile of one pixel": (2, 3, 3, WHOLE, WHOLE, 3, 3, ONES, VALID, ONES, 1),
    "odd maps": (3, 7, 9, WHOLE, WHOLE, 3, 3, ONES, SAME, ONES, 1),
    "rows that are even, columns that are odd": (2, 6, 5, WHOLE, WHOLE, 3, 3, ONES, SAME, ONES, 1),
    "one row": (2, 1, 9, WHOLE, WHOLE, 3, 3, ONES, SAME, ONES, 1),
    "several tiles' blocks in an image": (2, 19, 18, WHOLE, WHOLE, 3, 3, ONES, SAME, ONES, 1),
    "blocks of images, the last one short": (9, 8, 8, WHOLE, WHOLE, 3, 3, ONES, SAME, ONES, 1),
    "a panel and a half": (2, 5, 5, WHOLE, 6 * WHOLE, 3, 3, ONES, SAME, ONES, 1),
    "more channels than filters": (2, 5, 5, 3 * WHOLE, WHOLE, 3, 3, ONES, SAME, ONES, 1),
    "padding on one side": (2, 6, 7, WHOLE, WHOLE, 3, 3, ONES, ((2, 0), (0, 2)), ONES, 1),
}


@pytest.fixture(autouse=True)
def _everywhere(monkeypatch):
    """Wherever it can be computed, not only where it is faster."""
    monkeypatch.setattr(cpu_winograd, "BITS", WIDEST)
    for name in ("LEAST_CHANNELS", "LEAST_TILES", "LEAST_SAVED"):
        monkeypatch.setattr(cpu_winograd, name, 0)


def operands(shape, dtype=np.float32):
    n, h, w, c, k, *_ = shape
    rng = np.random.default_rng(0)
    sizes = ((n, h, w, c), (k, 3, 3, c), (k,), output_of(shape))
    return [rng.standard_normal(size).astype(dtype) for size in sizes]


def run(name, ins, attrs, rows=None):
    op, specs = registry.op(name), [None if a is None else Spec.of(a) for a in ins]
    variant = registry.variant(op, "cpu_winograd")
    assert variant.supports(specs, attrs)
    launch = Launch(op, variant, specs, attrs, rows=rows)
    outs = launch.allocate(lambda s: np.full(s.shape, 77, s.dtype))
    launch.run(outs, ins)
    return outs[0]


def exact(name, ins, attrs):
    doubles = [None if a is None else a.astype(np.float64) for a in ins]
    return registry.op(name).reference(*doubles, **attrs)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_convolution_and_its_gradient_equal_the_reference(shape):
    x, w, b, dout = operands(shape)
    geometry = linear(*shape[7:])
    for name, ins, attrs in (
        ("conv2d", (x, w, b), {"act": "relu", **geometry}),
        ("conv2d", (x, w, b), {"act": "leaky_relu", **geometry}),
        ("conv2d", (x, w, None), {"act": None, **geometry}),
        ("conv2d_dgrad", (dout, w), {"size": x.shape[1:3], **geometry}),
    ):
        right = exact(name, ins, attrs)
        size = np.sqrt(np.mean(right**2))
        for rows in (None, len(x), 1):
            found = run(name, ins, attrs, rows)
            np.testing.assert_allclose(found, right, rtol=1e-5, atol=4e-6 * size)


def test_nan_stays_and_reaches_no_further_than_the_tiles_that_read_it():
    shape = SHAPES["odd maps"]
    x, w, _, _ = operands(shape)
    x[1, 3, 4, 2] = np.nan
    found = run("conv2d", (x, w, None), {"act": "relu", **linear(*shape[7:])})
    assert np.isnan(found[1, 2:5, 3:6]).all()
    assert np.isfinite(found[[0, 2]]).all()
    assert np.isfinite(found[1, 0]).all()
    assert np.isfinite(found[1, :, 8]).all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"stride": (2, 1)}, "a step of 2"),
        ({"dilation": (1, 2)}, "dilation"),
        ({"groups": 2}, "groups"),
        ({"padding": ((3, 0), (0, 0))}, "padding beyond the filter"),
    ],
)
def test_what_it_cannot_do_is_left_to_others(change, why):
    x, w = (
        Spec((2, 8, 8, 32), F32),
        Spec((32, 3, 3, 32 // change.get("groups", 1)), F32),
    )
    attrs = {"act": None, **linear(ONES, SAME, ONES, 1)}
    assert cpu_winograd.supports("conv2d", x, w, None, **attrs)
    assert not cpu_winograd.supports("conv2d", x, w, None, **{**attrs, **change}), why


def test_it_is_chosen_for_many_channels_and_maps_of_some_size(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(cpu_winograd, "BITS", WIDEST)
    attrs = {"act": None, **linear(ONES, SAME, ONES, 1)}
    for side, channels, taken in ((32, 64, True), (8, 256, True), (4, 512, False), (32, 32, False)):
        x = Spec((32, side, side, channels), F32)
        w = Spec((channels, 3, 3, channels), F32)
        assert cpu_winograd.supports("conv2d", x, w, None, **attrs) is taken
    x, valid = Spec((128, 5, 5, 64), F32), {**attrs, "padding": VALID}
    assert not cpu_winograd.supports("conv2d", x, Spec((64, 3, 3, 64), F32), None, **valid)
