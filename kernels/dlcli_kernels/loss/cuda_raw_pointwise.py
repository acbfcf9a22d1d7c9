"""Losses of single elements in 128-bit accesses, as many threads as the device holds at once.

Bound by memory: one load per operand and one store per element. Where positives are weighed by
column, and for the weights of labels, a thread takes one element. Chosen by that count; not
measured.
"""

import numpy as np

from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_pointwise.cu")
BLOCK = 256
BLOCKS = 8  # per multiprocessor: 2,048 threads, all that it holds
MOST_ELEMENTS = 2**31 - 2**16  # of an operand: an index may go a block beyond it


def supports(op, *ins, **attrs):
    floats = [a for a in ins if a is not None and a.dtype.kind == "f"]
    countable = all(a.size <= MOST_ELEMENTS for a in ins if a is not None)
    return countable and all(a.dtype == "float32" for a in floats)


def run(kernel, out, *ins, **rest):
    """Launches one of the kernels over include/map.cuh."""
    blocks = min(-(-out.size // (4 * BLOCK)), BLOCKS * target().multiprocessors)
    SOURCE.kernel(kernel)(blocks, BLOCK, out, *ins, np.int64(out.size), *rest.values())


def squared_error(out, x, y):
    run("squared_error", out, x, y)


def squared_error_grad(out, x, y, dout):
    run("squared_error_grad", out, x, y, dout)


def absolute_error(out, x, y):
    run("absolute_error", out, x, y)


def absolute_error_grad(out, x, y, dout):
    run("absolute_error_grad", out, x, y, dout)


def huber(out, x, y, *, delta):
    run("huber", out, x, y, delta=float(delta))


def huber_grad(out, x, y, dout, *, delta):
    run("huber_grad", out, x, y, dout, delta=float(delta))


def bce_with_logits(out, x, y, pos_weight):
    if pos_weight is None:
        run("bce", out, x, y)
    else:
        one_by_one("bce_weighted", out, x, y, pos_weight, columns=pos_weight.size)


def bce_with_logits_grad(out, x, y, pos_weight, dout):
    if pos_weight is None:
        run("bce_grad", out, x, y, dout)
    else:
        one_by_one("bce_weighted_grad", out, x, y, pos_weight, dout, columns=pos_weight.size)


def class_weight_of(out, y, weight):
    one_by_one("class_weight_of", out, y, weight, columns=weight.size)


def one_by_one(kernel, out, *ins, columns):
    """Launches one of the kernels in which a thread takes one element."""
    SOURCE.kernel(kernel)(-(-out.size // BLOCK), BLOCK, out, *ins, out.size, columns)
