"""Upsampling by whole factors, x (N, H, W, C) → (N, H · fh, W · fw, C), factor (fh, fw).

upsample_nearest repeats pixels; upsample_bilinear blends the four around (corners not aligned, as
in PyTorch). Their gradients are the transposes, and the gradients of those are the maps again.
"""

from ..spec import Op, Tol, case, normal
from . import taps

CUT = {"x": 0, "dout": 0, "out": 0}
PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_gather",),
}
COPIED = {p: Tol(0.0, 0.0, why="elements are copied") for p in ("float32", "float64")}
BLENDED = {
    "float32": Tol(2e-6, 1e-6, why="sums of a few products, each rounded"),
    "float64": Tol(4e-15, 2e-15, why="the same in double precision"),
}


def check(op, x, factor):
    if len(x.shape) != 4 or min(factor) < 1:
        raise ValueError(f"{op}: x (N, H, W, C) and positive factors, not {x.shape}, {factor}")


def upsampled(op):
    """`infer` of an upsampling."""

    def infer(x, *, factor):
        check(op, x, factor)
        n, h, w, c = x.shape
        return {"out": x.like(n, h * factor[0], w * factor[1], c)}

    return infer


def downsampled(op):
    """`infer` of its transpose; ValueError unless the extents are multiples of the factors."""

    def infer(dout, *, factor):
        check(op, dout, factor)
        n, p, q, c = dout.shape
        if p % factor[0] or q % factor[1]:
            raise ValueError(f"{op}: {p}×{q} is not an image enlarged by {factor}")
        return {"out": dout.like(n, p // factor[0], q // factor[1], c)}

    return infer


def references(make):
    """The reference of an upsampling by taps of `make(extent, factor)`, and of its transpose."""

    def forward(x, *, factor):
        for axis in (1, 2):
            x = taps.apply(x, axis, *make(x.shape[axis], factor[axis - 1]))
        return x

    def backward(dout, *, factor):
        for axis in (1, 2):
            extent = dout.shape[axis] // factor[axis - 1]
            dout = taps.transpose(dout, axis, extent, *make(extent, factor[axis - 1]))
        return dout

    return forward, backward


def gradient(operand, other):
    """The gradient of a linear map for its one operand: op `other`."""

    def grad(call, ins, outs, douts, needed, *, factor):
        return {operand: call(other, douts.out, factor=factor)}

    return grad


SHAPES = [  # N, H, W, C, factor
    (2, 3, 4, 3, (2, 2)),
    (1, 5, 3, 4, (3, 2)),
    (2, 4, 5, 1, (4, 3)),
    (3, 1, 1, 2, (2, 5)),
    (2, 6, 7, 8, (1, 2)),
    (1, 2, 1, 67, (2, 1)),
    (5, 4, 4, 32, (2, 2)),
    (0, 3, 3, 2, (2, 2)),
    (2, 3, 3, 0, (2, 2)),
]
BENCH = [(64, 16, 16, 128, (2, 2)), (64, 32, 32, 64, (2, 2)), (1, 128, 128, 64, (2, 2))]


def forward_case(shape, **more):
    *x, factor = shape
    return case(x=normal(*x, **more), factor=factor)


def backward_case(shape, **more):
    n, h, w, c, factor = shape
    return case(dout=normal(n, h * factor[0], w * factor[1], c, **more), factor=factor)


def sized_by(made, attribute):
    """`sized` of an op: the case of images of these extents and this factor or padding."""

    def sized(N=64, H=32, W=32, C=64):
        return made((N, H, W, C, attribute))

    return sized


def ops(name, make, tolerance):
    """An upsampling and its gradient."""
    back = f"{name}_grad"
    forward, backward = references(make)
    kinds = (
        (name, upsampled(name), forward, gradient("x", back), tolerance, forward_case),
        (back, downsampled(back), backward, gradient("dout", name), BLENDED, backward_case),
    )
    return [
        Op(
            op,
            infer,
            reference,
            grad,
            cut=CUT,
            tolerance=allowed,
            cases=[made(s) for s in SHAPES]
            + [made(SHAPES[0], layout=layout) for layout in ("F", "strided", "reversed")],
            bench=[made(s) for s in BENCH],
            sized=sized_by(made, (2, 2)),
            prefer=PREFER,
        )
        for op, infer, reference, grad, allowed, made in kinds
    ]


NEAREST, NEAREST_GRAD = ops("upsample_nearest", taps.nearest, COPIED)
BILINEAR, BILINEAR_GRAD = ops("upsample_bilinear", taps.bilinear, BLENDED)
