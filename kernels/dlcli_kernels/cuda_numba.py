"""numba-cuda for the readable CUDA tier: how its kernels are compiled and launched, and what they
share (activations, the inner loop of products). No other file imports numba.cuda.

Kernels are made by functions of what is constant in them, the float type foremost: constants of a
wider type would make Numba compute in it. Arrays come from any library that exports
`__cuda_array_interface__`; a launch goes to the stream that the first of them names. In Numba's
simulator (NUMBA_ENABLE_CUDASIM=1, set before Python starts) arrays are NumPy's.
"""

import math
from functools import cache

import cuda.bindings as _bindings  # noqa: F401  (numba.cuda needs it, and says so less clearly)
import numba_cuda as _numba_cuda  # noqa: F401  (likewise: the home of numba.cuda)
import numpy as np
from numba import cuda
from numba.cuda.core import config

from .raw import LaunchError

__all__ = [
    "ACROSS",
    "ALIGNMENT",
    "SIMULATED",
    "activation",
    "blocks",
    "countable",
    "cuda",
    "device",
    "index",
    "launch",
    "launch_flat",
    "np",
    "owned",
    "products",
    "split",
]

SIMULATED = bool(config.ENABLE_CUDASIM)

# Numba waits for the stream that an array names, once for every argument; a launch on that same
# stream needs no waiting. A grid of few blocks is what small layers have: no warning.
config.CUDA_ARRAY_INTERFACE_SYNC = 0
config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


def device(function):
    """A function that kernels call, compiled into them; nothing of `cuda` may be named in it.

    In the simulator it is the plain function: many times faster.
    """
    if SIMULATED:
        return function
    return cuda.jit(function, device=True, forceinline=True)


# --- launching ------------------------------------------------------------------------------------


@cache
def _stream(handle):
    return cuda.external_stream(handle)


def launch(kernel, grid, block, *args):
    """Starts a kernel behind what the arrays' stream holds, and returns; nothing for an empty grid.

    grid, block: numbers of blocks and of threads, up to three each. args: arrays, numbers, None.
    LaunchError for NumPy's arrays, but in the simulator.
    """
    if 0 not in grid:
        kernel[grid, block, _stream_of(args)](*args)


def launch_flat(kernel, grid, block, *args):
    """`launch`, the kernel getting each array (contiguous) with one axis: what `index` is for.

    A number may be one of NumPy's, and keeps its type.
    """
    flat = (a.reshape(-1) if getattr(a, "shape", ()) else a for a in args)
    launch(kernel, grid, block, *flat)


def _stream_of(args):
    """The stream that the first array names; Numba's default one where it names none."""
    array = next(a for a in args if hasattr(a, "reshape"))
    if SIMULATED:
        return 0
    exported = getattr(array, "__cuda_array_interface__", None)
    if exported is None:
        raise LaunchError(
            "kernels in Numba need arrays of a GPU, or its simulator (NUMBA_ENABLE_CUDASIM=1)"
        )
    handle = exported.get("stream")
    return _stream(handle) if handle else 0


def blocks(count, size):
    """How many blocks of `size` hold `count`."""
    return -(-count // size)


# --- indices --------------------------------------------------------------------------------------


@device
def index(i):
    """i, known to be 0 … 2³² − 1: computed in 32 bits, and never counted from the end.

    Numba computes in 64 bits, and allows for a negative index at each access.
    """
    return np.int64(np.uint32(i))


def countable(*specs):
    """Whether `index` reaches every element of every array (None: an absent one)."""
    return all(spec is None or spec.size < 1 << 32 for spec in specs)


@device
def split(i, n):
    """(i // n, i % n) in 32 bits, of numbers that are not negative."""
    quotient = np.uint32(i) // np.uint32(n)
    return np.int64(quotient), index(i - np.int64(quotient) * n)


# --- activations ----------------------------------------------------------------------------------


@cache
def activation(act, real):
    """The device function real → real of an epilogue (see `elementwise/activations.py`), the
    identity for None. NaN stays NaN; nothing overflows on the way.

    real: the NumPy type of the values.
    """
    zero, one, six = real(0), real(1), real(6)
    slope = real(0.2 if act == "leaky_relu_0.2" else 0.01)
    selu_a, selu_s = real(1.6732632423543772), real(1.0507009873554805)

    def identity(z):
        return z

    def relu(z):
        return zero if z <= zero else z

    def relu6(z):
        return zero if z < zero else six if z > six else z

    def hard_tanh(z):
        return -one if z < -one else one if z > one else z

    def leaky_relu(z):
        return z if z > zero else slope * z

    def elu(z):
        return z if z > zero else real(math.expm1(z))

    def selu(z):
        return selu_s * z if z > zero else selu_s * (selu_a * real(math.expm1(z)))

    def sigmoid(z):
        e = real(math.exp(-abs(z)))
        return (e if z < zero else one) / (one + e)

    def tanh(z):
        return real(math.tanh(z))

    def softplus(z):
        tail = real(math.log1p(math.exp(-abs(z))))
        return tail if z < zero else z + tail

    table = {
        None: identity,
        "relu": relu,
        "relu6": relu6,
        "hard_tanh": hard_tanh,
        "leaky_relu": leaky_relu,
        "leaky_relu_0.2": leaky_relu,
        "elu": elu,
        "selu": selu,
        "sigmoid": sigmoid,
        "tanh": tanh,
        "softplus": softplus,
    }
    return device(table[act])


# --- products -------------------------------------------------------------------------------------

ACROSS = 8  # threads along each edge of a square tile of results
RUN = 4  # neighbouring rows that one thread owns: one 128-bit access, and no bank conflict
ALIGNMENT = None if SIMULATED else 16  # bytes, of a strip: what a 128-bit access needs


@device
def owned(thread, i):
    """The row (or column) of a tile that a thread's i-th own one is: runs of four, a whole edge of
    threads apart.
    """
    return i // RUN * (ACROSS * RUN) + thread * RUN + i % RUN


@cache
def products(own, depth, pitch):
    """A device function: acc[i, j] += Σ over k of a[k, row i] · b[k, column j], for a thread's
    `own` × `own` results, from strips a and b in shared memory: `depth` rows, `pitch` apart.

    2 · own values are read for own² products: registers, not shared memory, feed the arithmetic.
    u and v are local arrays of `own` elements for them.
    """

    @device
    def accumulate(acc, u, v, a, b, down, right):
        for k in range(depth):
            a_row, b_row = index(k * pitch + down * RUN), index(k * pitch + right * RUN)
            for i in range(own):
                u[i] = a[a_row + owned(0, i)]
                v[i] = b[b_row + owned(0, i)]
            for i in range(own):
                for j in range(own):
                    acc[i, j] += u[i] * v[j]

    return accumulate
