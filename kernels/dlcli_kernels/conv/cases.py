"""The cases, shapes and tolerances of the convolutions."""

import numpy as np

from ..spec import Tol, case, normal, uniform
from .geometry import extents, linear

SHAPES = [  # N, H, W, C, K, R, S, stride, padding, dilation, groups
    (2, 6, 5, 3, 4, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (3, 7, 7, 1, 8, 3, 3, (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (2, 11, 9, 1, 32, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 8, 9, 2, 5, 2, 3, (2, 1), ((0, 1), (2, 0)), (1, 1), 1),
    (2, 9, 8, 4, 6, 3, 2, (2, 3), ((1, 0), (1, 2)), (2, 1), 2),
    (2, 7, 6, 6, 6, 3, 3, (1, 1), ((1, 1), (1, 1)), (1, 1), 6),
    (2, 9, 7, 5, 5, 3, 3, (2, 2), ((1, 1), (1, 1)), (1, 2), 5),
    (3, 5, 5, 17, 13, 1, 1, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 1, 13, 3, 4, 1, 5, (1, 2), ((0, 0), (2, 2)), (1, 1), 1),
    (5, 5, 5, 8, 16, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (5, 4, 4, 3, 2, 4, 4, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (0, 6, 6, 2, 3, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (7, 10, 10, 3, 16, 5, 5, (1, 1), ((2, 2), (2, 2)), (1, 1), 1),
    (2, 6, 6, 0, 8, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (2, 6, 6, 3, 0, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (2, 6, 7, 1, 8, 2, 2, (3, 3), ((1, 0), (1, 0)), (1, 1), 1),
]  # fmt: skip
TILED = [  # beyond and at the edges of tiles; whole vectors of channels; depthwise and by groups
    (4, 16, 16, 8, 128, 1, 1, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (4, 17, 16, 8, 129, 1, 1, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (4, 16, 16, 128, 8, 1, 1, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 9, 9, 32, 132, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (2, 10, 11, 8, 68, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 9, 8, 20, 36, 3, 3, (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    (2, 9, 11, 8, 4, 3, 5, (3, 2), ((1, 2), (2, 1)), (2, 2), 1),
    (3, 8, 9, 33, 65, 1, 1, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 7, 8, 8, 16, 3, 3, (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    (2, 7, 9, 8, 8, 3, 3, (1, 1), ((1, 1), (1, 1)), (1, 1), 8),
    (1, 9, 11, 12, 12, 5, 5, (2, 1), ((2, 2), (2, 1)), (1, 1), 12),
    (2, 6, 6, 3, 12, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (3, 8, 8, 3, 8, 4, 4, (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    (2, 15, 14, 48, 64, 3, 3, (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (3, 14, 13, 64, 48, 3, 3, (1, 1), ((0, 2), (2, 1)), (1, 1), 1),
]  # fmt: skip
BENCH = [
    (128, 28, 28, 1, 32, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (128, 13, 13, 32, 64, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (128, 5, 5, 64, 64, 3, 3, (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (64, 32, 32, 3, 64, 4, 4, (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    (64, 16, 16, 64, 128, 4, 4, (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    (64, 8, 8, 128, 256, 4, 4, (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
]  # fmt: skip


def output_of(shape):
    n, h, w, c, k, r, s, stride, padding, dilation, groups = shape
    return (n, *extents((h, w), (r, s), stride, padding, dilation), k)


def attributes(shape, **more):
    return {**linear(*shape[7:]), **more}


def moderate(*shape):
    """Values whose sums a saturating activation leaves in size, so that errors can be compared."""
    return uniform(-0.7, 0.7, *shape)


def forward_case(shape, name="", value=normal, bias=True, **more):
    n, h, w, c, k, r, s, *_, groups = shape
    b = {"b": value(k)} if bias else {}
    return case(
        name,
        smooth=value in (normal, moderate),
        x=value(n, h, w, c),
        w=value(k, r, s, c // groups),
        **b,
        **attributes(shape, **more),
    )


def dgrad_case(shape, name="", **more):
    n, h, w, c, k, r, s, *_, groups = shape
    dout = normal(*output_of(shape))
    return case(
        name, dout=dout, w=normal(k, r, s, c // groups), size=(h, w), **attributes(shape, **more)
    )


def wgrad_case(shape, name="", bias=True, **more):
    n, h, w, c, k, r, s, *_ = shape
    dout = normal(*output_of(shape))
    return case(
        name,
        dout=dout,
        x=normal(n, h, w, c),
        filters=(r, s),
        bias=bias,
        **attributes(shape, **more),
    )


def plain():
    return linear((1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def infinite(rng, dtype):
    """Images whose first element is infinite: it makes one output infinite, and no NaN."""
    x = rng.standard_normal((2, 5, 5, 1)).astype(dtype)
    x[0, 0, 0, 0], x[1, 0, 0, 0] = np.inf, -np.inf
    return {"x": x}


TOLERANCE = {
    "float32": Tol(
        1e-5,
        4e-6,
        why="sums of up to 4,608 products in blocks: about √n · 6e-8 of the result's size",
    ),
    "tf32": Tol(
        1e-3,
        6e-3,
        why="operands rounded to 11 bits, by 2e-4 each: 3e-4 of the size of a sum, the worst of 10⁸"
        " six times that, and three times more where sums are of unequal length (edges, strides);"
        " a single product by at most 2 · 2⁻¹¹",
    ),
    "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
}
