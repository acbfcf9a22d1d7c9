"""Reflection padding, x (N, H, W, C), padding ((top, bottom), (left, right)), each less than the
extent it mirrors: the image continued by its mirror image, whose axis is its outermost pixel.

The gradient is the transpose: each pixel collects from where it was copied to.
"""

from ..spec import Op, case, normal
from . import taps
from .upsample import BLENDED, COPIED, CUT, PREFER, sized_by


def infer(x, *, padding):
    """ValueError where there is not enough to be mirrored."""
    if len(x.shape) != 4:
        raise ValueError(f"pad_reflect: x (N, H, W, C) is needed, not {x.shape}")
    n, h, w, c = x.shape
    check("pad_reflect", (h, w), padding)
    return {"out": x.like(n, h + sum(padding[0]), w + sum(padding[1]), c)}


def check(op, size, padding):
    for extent, both in zip(size, padding, strict=True):
        if not all(0 <= p < max(extent, 1) for p in both):
            raise ValueError(f"{op}: {both} of padding is not below the extent, {extent}")


def size_of(dout, padding):
    """(H, W) before the padding."""
    return tuple(n - sum(both) for n, both in zip(dout.shape[1:3], padding, strict=True))


def infer_grad(dout, *, padding):
    if len(dout.shape) != 4:
        raise ValueError(f"pad_reflect_grad: dout (N, H, W, C) is needed, not {dout.shape}")
    size = size_of(dout, padding)
    check("pad_reflect_grad", size, padding)
    return {"out": dout.like(dout.shape[0], *size, dout.shape[3])}


def reference(x, *, padding):
    for axis in (1, 2):
        x = taps.apply(x, axis, *taps.reflect(x.shape[axis], *padding[axis - 1]))
    return x


def grad_reference(dout, *, padding):
    for axis, extent in enumerate(size_of(dout, padding), 1):
        dout = taps.transpose(dout, axis, extent, *taps.reflect(extent, *padding[axis - 1]))
    return dout


def gradient(call, ins, outs, douts, needed, *, padding):
    return {"x": call("pad_reflect_grad", douts.out, padding=padding)}


def grad_gradient(call, ins, outs, douts, needed, *, padding):
    return {"dout": call("pad_reflect", douts.out, padding=padding)}


SHAPES = [  # N, H, W, C, padding
    (2, 5, 4, 3, ((1, 1), (1, 1))),
    (1, 4, 6, 4, ((3, 3), (3, 3))),
    (2, 3, 7, 1, ((0, 2), (4, 1))),
    (3, 1, 2, 2, ((0, 0), (1, 0))),
    (2, 6, 5, 8, ((0, 0), (0, 0))),
    (1, 7, 3, 67, ((6, 5), (2, 2))),
    (4, 4, 4, 16, ((3, 3), (1, 2))),
    (0, 3, 3, 2, ((1, 1), (1, 1))),
    (2, 3, 3, 0, ((1, 1), (1, 1))),
]
BENCH = [(1, 128, 128, 3, ((3, 3), (3, 3))), (1, 32, 32, 256, ((1, 1), (1, 1)))]


def forward_case(shape, **more):
    *x, padding = shape
    return case(x=normal(*x, **more), padding=padding)


def backward_case(shape, **more):
    n, h, w, c, padding = shape
    large = n, h + sum(padding[0]), w + sum(padding[1]), c
    return case(dout=normal(*large, **more), padding=padding)


PAD_REFLECT, PAD_REFLECT_GRAD = (
    Op(
        name,
        shapes,
        by_taps,
        grad,
        cut=CUT,
        tolerance=tolerance,
        cases=[made(s) for s in SHAPES]
        + [made(SHAPES[0], layout=layout) for layout in ("F", "strided", "reversed")],
        bench=[made(s) for s in BENCH],
        sized=sized_by(made, ((1, 1), (1, 1))),
        prefer=PREFER,
    )
    for name, shapes, by_taps, grad, tolerance, made in (
        ("pad_reflect", infer, reference, gradient, COPIED, forward_case),
        ("pad_reflect_grad", infer_grad, grad_reference, grad_gradient, BLENDED, backward_case),
    )
)
