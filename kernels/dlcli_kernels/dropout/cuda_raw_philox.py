"""Philox in registers, four elements to a block of words, in 128-bit accesses.

Bound by memory: 9 bytes per element with a mask. Key and counter are read on the device, so that a
recorded step draws anew each time. Chosen by that count; not measured.
"""

import numpy as np

from ..raw import Source, target
from .op import gain, threshold

SOURCE = Source(__name__, "cuda_raw_philox.cu")
BLOCK = 256
BLOCKS = 8  # per multiprocessor: 2,048 threads, all that it holds


def supports(op, x, *others, **attrs):
    return op == "advance" or x.dtype == "float32"


def run(kernel, out, *args):
    """Launches one of the kernels over include/map.cuh, with the number of elements of `out`."""
    blocks = min(-(-out.size // (4 * BLOCK)), BLOCKS * target().multiprocessors)
    SOURCE.kernel(kernel)(blocks, BLOCK, out, *args)


def dropout(out, mask, x, rng, *, p, start=0):
    """The whole tensor: `start` is 0, for a device is given no ranges."""
    run("dropout", out, mask, x, rng, np.int64(out.size), np.uint64(threshold(p)), gain(p))


def dropout_grad(out, dout, mask, *, p):
    run("dropout_grad", out, dout, mask, np.int64(out.size), float(gain(p)))


def advance(rng):
    SOURCE.kernel("advance")(1, 1, rng)
