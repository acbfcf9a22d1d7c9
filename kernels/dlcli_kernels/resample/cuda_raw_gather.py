"""Resampling and its transposes, a thread for four neighbouring channels of what is written.

Bound by memory: all is written once and read once, if the caches serve what outputs share. The
transposes gather from where an element was used, so that nothing is added by atomics. Chosen by
that count; not measured.
"""

import math
from functools import lru_cache

import numpy as np

from ..conv.raw_geometry import DIVISOR, divisor
from ..raw import Source
from .reflect import PAD_REFLECT, PAD_REFLECT_GRAD
from .upsample import BILINEAR, BILINEAR_GRAD, NEAREST, NEAREST_GRAD

SOURCE = Source(__name__, "cuda_raw_gather.cu")
BLOCK = 256
MOST_ELEMENTS = 2**31 - 2**16  # of an array: an index may go a block beyond it
EVERY = (NEAREST, NEAREST_GRAD, BILINEAR, BILINEAR_GRAD, PAD_REFLECT, PAD_REFLECT_GRAD)
OPS = {op.name: op for op in EVERY}

EXTENTS = ("H", "W", "C", "P", "Q", "fh", "fw", "top", "left")
DIVISORS = ("C", "W", "H", "Q", "P", "fh", "fw", "2fh", "2fw")
STRUCT = np.dtype([(n, np.int32) for n in EXTENTS] + [(f"by_{n}", DIVISOR) for n in DIVISORS])


def supports(op, x, **attrs):
    out = OPS[op].infer(x, **attrs)["out"]
    return x.dtype == "float32" and max(x.size, out.size) <= MOST_ELEMENTS


@lru_cache(maxsize=512)
def struct(small, large, factor, corner, vector):
    """`struct Map`: of images (H, W, C) to (P, Q), `vector` channels to an access."""
    h, w, c = small
    extents = (h, w, c // vector, *large, *factor, *corner)
    value = np.zeros((), STRUCT)
    for name, extent in zip(EXTENTS, extents, strict=True):
        value[name] = extent
    for name in DIVISORS:
        by = 2 * int(value[name[1:]]) if name[0] == "2" else int(value[name])
        value[f"by_{name}"] = divisor(max(by, 1))
    return value[()]


def run(kernel, out, x, small, large, factor=(1, 1), corner=(0, 0)):
    """Launches a kernel with a thread for each `vector` elements of the output."""
    vector = 4 if small.shape[3] % 4 == 0 else 1
    count = math.prod(out.shape) // vector
    g = struct(tuple(small.shape[1:]), tuple(large.shape[1:3]), tuple(factor), corner, vector)
    SOURCE.kernel(kernel, VEC=vector)(-(-count // BLOCK), BLOCK, out, x, g, count)


def upsample_nearest(out, x, *, factor):
    run("nearest", out, x, x, out, factor)


def upsample_nearest_grad(out, dout, *, factor):
    run("nearest_grad", out, dout, out, dout, factor)


def upsample_bilinear(out, x, *, factor):
    run("bilinear", out, x, x, out, factor)


def upsample_bilinear_grad(out, dout, *, factor):
    run("bilinear_grad", out, dout, out, dout, factor)


def pad_reflect(out, x, *, padding):
    run("reflect", out, x, x, out, corner=(padding[0][0], padding[1][0]))


def pad_reflect_grad(out, dout, *, padding):
    run("reflect_grad", out, dout, out, dout, corner=(padding[0][0], padding[1][0]))
