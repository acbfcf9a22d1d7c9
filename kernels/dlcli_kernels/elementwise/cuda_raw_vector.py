"""Element by element in 128-bit accesses, as many threads as the device holds at once.

Bound by memory: one load per operand and one store per element. Chosen by that count; not
measured.
"""

import numpy as np

from ..raw import Source, target
from .activations import NUMBERS

SOURCE = Source(__name__, "cuda_raw_vector.cu")
BLOCK = 256
BLOCKS = 8  # per multiprocessor: 2,048 threads, all that it holds


def supports(op, x, *others, **attrs):
    return x.dtype == "float32" or (op == "add_to" and x.dtype == "float64")


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
