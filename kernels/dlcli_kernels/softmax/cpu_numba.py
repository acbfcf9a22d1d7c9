"""A row at a time while it is in the L1 cache, with an exponential that vectorises.

Numba calls the C library for exp, one element at a time; NumPy's is vectorised but makes a pass
over memory for each step. `exponential` is plain arithmetic, right to a bit or two of its own type,
which LLVM turns into vectors. Sums are in double precision.
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from ..cpu import FASTMATH, kernel

IN_ORDER = FASTMATH - {"reassoc"}  # or the two parts of log 2 would be added first
INVERSE_FACTORIALS = tuple(1.0 / math.factorial(i) for i in range(14))


@intrinsic
def float_of_bits(typingctx, bits):
    """The float64 with the bits of an int64, the float32 with those of an int32."""
    result, ir_type = {
        types.int64: (types.float64, ir.DoubleType()),
        types.int32: (types.float32, ir.FloatType()),
    }[bits]

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir_type)

    return result(bits), codegen


def exponential(x):
    """e^x in the type of x: 2ⁿ · e^r with |r| ≤ ½ log 2, and the Taylor series of e^r. For kernels.

    NaN stays NaN; where e^x is not a normal number it is 0 or infinity.
    """
    raise NotImplementedError("only kernels call it")


@overload(exponential, jit_options={"fastmath": IN_ORDER, "error_model": "numpy"})
def _exponential_of_type(x):
    real, whole = (np.float32, np.int32) if x == types.float32 else (np.float64, np.int64)
    single = real is np.float32
    limit, log2_e = real(87.0 if single else 708.0), real(1.4426950408889634)
    # n times the high part of log 2 is exact: its lowest bits are 0
    high = real(0.693359375 if single else 0.6931471803691238)
    low = real(-2.12194440054690583e-4 if single else 1.9082149292705877e-10)
    bias, mantissa = whole(127 if single else 1023), whole(23 if single else 52)
    degree = 7 if single else 13
    series = tuple(real(c) for c in INVERSE_FACTORIALS[degree::-1])
    zero, half, infinity = real(0.0), real(0.5), real(np.inf)

    def compute(x):
        normal = abs(x) <= limit
        c = x if normal else zero
        n = np.floor(c * log2_e + half)
        r = (c - n * high) - n * low
        y = series[0]
        for i in range(1, degree + 1):
            y = y * r + series[i]
        y *= float_of_bits(whole((whole(np.int32(n)) + bias) << mantissa))
        return y if normal else (zero if x < zero else x + infinity)

    return compute


@kernel
def row_max(x, scratch):
    """The largest element of a row of at least one, by halves, which vectorises.

    `scratch` is as long as the row. A NaN may be passed over: whatever is computed from the row is
    NaN all the same.
    """
    half = (x.size + 1) // 2
    for i in range(half):
        scratch[i] = x[i]
    for i in range(x.size - half):
        u, v = x[half + i], scratch[i]
        scratch[i] = u if u > v else v
    while half > 1:
        count = half
        half = (count + 1) // 2
        for i in range(count - half):
            u, v = scratch[half + i], scratch[i]
            scratch[i] = u if u > v else v
    return scratch[0]


@kernel
def sum_of_exponentials(x, largest):
    """Σ exp(x − largest) of a row, in float64."""
    total = 0.0
    for i in range(x.size):
        total += np.float64(exponential(x[i] - largest))
    return total


@kernel
def softmax_rows(out, x):
    for r in range(x.shape[0]):
        o, row = out[r], x[r]
        largest = row_max(row, o)
        total = 0.0
        for i in range(row.size):
            e = exponential(row[i] - largest)
            o[i] = e
            total += np.float64(e)
        share = o.dtype.type(1.0 / total)
        for i in range(row.size):
            o[i] *= share


@kernel
def log_softmax_rows(out, x):
    for r in range(x.shape[0]):
        o, row = out[r], x[r]
        largest = row_max(row, o)
        logarithm = np.log(sum_of_exponentials(row, largest))
        for i in range(row.size):
            o[i] = (row[i] - largest) - logarithm


@kernel
def softmax_grad_rows(out, y, dout):
    for r in range(y.shape[0]):
        o, row, d = out[r], y[r], dout[r]
        dot = 0.0
        for i in range(row.size):
            dot += np.float64(row[i]) * d[i]
        for i in range(row.size):
            o[i] = row[i] * (d[i] - dot)


@kernel
def log_softmax_grad_rows(out, y, dout):
    for r in range(y.shape[0]):
        o, row, d = out[r], y[r], dout[r]
        total = 0.0
        for i in range(row.size):
            total += np.float64(d[i])
        for i in range(row.size):
            o[i] = d[i] - exponential(row[i]) * total


def over_rows(rows, *arrays):
    """Runs a kernel on arrays of any rank as matrices whose rows are their last axis."""
    if arrays[0].size:
        rows(*[a.reshape(-1, a.shape[-1]) for a in arrays])


def softmax(out, x):
    over_rows(softmax_rows, out, x)


def log_softmax(out, x):
    over_rows(log_softmax_rows, out, x)


def softmax_grad(out, y, dout):
    over_rows(softmax_grad_rows, out, y, dout)


def log_softmax_grad(out, y, dout):
    over_rows(log_softmax_grad_rows, out, y, dout)
