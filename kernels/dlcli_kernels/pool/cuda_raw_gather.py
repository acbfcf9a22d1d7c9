"""Pooling and its gradients, a thread for four neighbouring channels of what is written; the
average of whole images is a reduction.

Bound by memory: all is read once and written once, if the caches serve what windows share. The
backward ops gather, so that nothing is added by atomics. Chosen by that count; not measured.
"""

import math
from functools import lru_cache

import numpy as np

from ..conv.raw_geometry import DIVISOR, divisor
from ..raw import Source
from ..reduction import cuda_raw_strided
from .average import AVGPOOL, AVGPOOL_GRAD
from .maximum import GATHER, MAXPOOL, MAXPOOL_GRAD

SOURCE = Source(__name__, "cuda_raw_gather.cu")
BLOCK = 256
MOST_ELEMENTS = 2**31 - 2**16  # of an array: an index may go a block beyond it
UNROLLED = (2, 3)  # sides of square windows
IMAGE = (1, 2)  # the axes that global_avgpool reduces
OPS = {op.name: op for op in (MAXPOOL, MAXPOOL_GRAD, GATHER, AVGPOOL, AVGPOOL_GRAD)}

EXTENTS = ("H", "W", "C", "P", "Q", "R", "S", "sh", "sw", "top", "left")
DIVISORS = ("C", "W", "H", "Q", "P", "S", "sh", "sw")  # extents that kernels divide by
STRUCT = np.dtype([(n, np.int32) for n in EXTENTS] + [(f"by_{n}", DIVISOR) for n in DIVISORS])


def supports(op, x, *others, **attrs):
    if op == "global_avgpool":
        return cuda_raw_strided.supports("mean", x, axes=IMAGE)
    out = OPS[op].infer(x, *others, **attrs)["out"]
    return x.dtype == "float32" and max(x.size, out.size) <= MOST_ELEMENTS


def workspace(op, x, *others, **attrs):
    return cuda_raw_strided.workspace("mean", x, axes=IMAGE) if op == "global_avgpool" else None


@lru_cache(maxsize=512)
def struct(image, pooled, window, stride, padding, vector):
    """`struct Windows`: of images (H, W, C), pooled to (P, Q), `vector` channels to an access."""
    h, w, c = image
    corner = padding[0][0], padding[1][0]
    extents = (h, w, c // vector, *pooled, *window, *stride, *corner)
    value = np.zeros((), STRUCT)
    for name, extent in zip(EXTENTS, extents, strict=True):
        value[name] = extent
    for name in DIVISORS:
        value[f"by_{name}"] = divisor(int(value[name]))
    return value[()]


def run(kernel, outs, ins, image, pooled, *rest, window, stride, padding):
    """Launches a kernel with a thread for each `vector` elements of the first output."""
    vector = 4 if image[2] % 4 == 0 else 1
    whole = kernel in ("maxpool2d", "avgpool2d") and window[0] == window[1]
    side = window[0] if whole and window[0] in UNROLLED else 0
    count = math.prod(outs[0].shape) // vector
    g = struct(tuple(image), tuple(pooled), window, stride, padding, vector)
    SOURCE.kernel(kernel, VEC=vector, SIDE=side)(
        -(-count // BLOCK), BLOCK, *outs, *ins, g, *rest, count
    )


def maxpool2d(out, argmax, x, **attrs):
    run("maxpool2d", (out, argmax), (x,), x.shape[1:], out.shape[1:3], **attrs)


def maxpool2d_grad(out, dout, argmax, *, x_shape, **attrs):
    run("maxpool2d_grad", (out,), (dout, argmax), x_shape[1:], dout.shape[1:3], **attrs)


def maxpool2d_gather(out, x, argmax, **attrs):
    run("maxpool2d_gather", (out,), (x, argmax), x.shape[1:], out.shape[1:3], **attrs)


def avgpool2d(out, x, *, count_include_pad, **attrs):
    padded = int(count_include_pad)
    run("avgpool2d", (out,), (x,), x.shape[1:], out.shape[1:3], padded, **attrs)


def avgpool2d_grad(out, dout, *, x_shape, count_include_pad, **attrs):
    padded = int(count_include_pad)
    run("avgpool2d_grad", (out,), (dout,), x_shape[1:], dout.shape[1:3], padded, **attrs)


def global_avgpool(out, x, *, scratch=None):
    cuda_raw_strided.mean(out, x, axes=IMAGE, scratch=scratch)
