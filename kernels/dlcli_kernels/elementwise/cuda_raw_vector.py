"""Element by element in 128-bit accesses, as many threads as the device holds at once.

Bound by memory: one load per operand and one store per element. Chosen by that count; not
measured.
"""

import numpy as np

from ..conv.raw_geometry import DIVISOR, divisor
from ..raw import Source, target
from .activations import NUMBERS

SOURCE = Source(__name__, "cuda_raw_vector.cu")
BLOCK = 256
BLOCKS = 8  # per multiprocessor: 2,048 threads, all that it holds
MOST_ELEMENTS = 2**31 - 2**24  # where rows are counted in 32 bits: a turn of the grid goes beyond


def supports(op, x, *others, **attrs):
    if op == "add_to" and x.dtype == "float64":
        return True
    return x.dtype == "float32" and (op != "bias_act" or x.size <= MOST_ELEMENTS)


def run(kernel, out, *args):
    """Launches one of the kernels over the elements of `out`, its first argument."""
    n = out.size
    blocks = min(-(-n // (4 * BLOCK)), BLOCKS * target().multiprocessors)
    arrays = [a for a in args if not isinstance(a, int | float)]
    rest = [a for a in args if isinstance(a, int | float)]
    SOURCE.kernel(kernel)(blocks, BLOCK, out, *arrays, np.int64(n), *rest)


def act(out, x, *, act):
    run("act", out, x, NUMBERS[act])


def act_grad(out, saved, dout, *, act):
    run("act_grad", out, saved, dout, NUMBERS[act])


def scale(out, x, *, by):
    run("scale", out, x, float(by))


def add(out, x, y):
    run("add", out, x, y)


def mul(out, x, y):
    run("mul", out, x, y)


def div(out, x, y):
    run("divide", out, x, y)


def fill(target, *, value):
    run("fill", target, float(value))


def assign(target, x):
    run("assign", target, x)


def add_to(target, x):
    run("add_to" if target.dtype == np.float32 else "add_to_double", target, x)


def act_curve(out, saved, dout, *, act):
    run("act_curve", out, saved, dout, NUMBERS[act])


def shift(out, x, *, by):
    run("shift", out, x, float(by))


def sqrt(out, x):
    run("square_root", out, x)


def bias_act(out, x, b, *, act=None):
    columns = x.shape[-1]
    vector = 4 if columns % 4 == 0 else 1
    n = out.size // vector
    blocks = min(-(-n // BLOCK), BLOCKS * target().multiprocessors)
    row = max(columns // vector, 1)
    by = np.array(divisor(row), DIVISOR)[()]
    SOURCE.kernel("bias_act", VEC=vector)(blocks, BLOCK, out, x, b, n, row, by, NUMBERS[act])
