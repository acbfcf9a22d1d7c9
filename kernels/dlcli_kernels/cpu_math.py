"""e^x and tanh x for kernels: plain arithmetic, which LLVM turns into vectors.

Numba calls the C library for them, one element at a time. They are right to a bit or two of their
own type.
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from .cpu_compile import FASTMATH

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


def hyperbolic_tangent(x):
    """tanh x in the type of x, right to a few bits of it however small x is. For kernels.

    −m / (m + 2) with m = e^(−2|x|) − 1, and m = 2ⁿ (eʳ − 1) + (2ⁿ − 1) with |r| ≤ ½ log 2: the
    series of eʳ − 1 begins with r, so that nothing is lost where x is near 0.
    """
    raise NotImplementedError("only kernels call it")


@overload(hyperbolic_tangent, jit_options={"fastmath": IN_ORDER, "error_model": "numpy"})
def _hyperbolic_tangent_of_type(x):
    real, whole = (np.float32, np.int32) if x == types.float32 else (np.float64, np.int64)
    single = real is np.float32
    limit, log2_e = real(10.0 if single else 20.0), real(1.4426950408889634)  # tanh is 1 beyond
    # n times the high part of log 2 is exact: its lowest bits are 0
    high = real(0.693359375 if single else 0.6931471803691238)
    low = real(-2.12194440054690583e-4 if single else 1.9082149292705877e-10)
    bias, mantissa = whole(127 if single else 1023), whole(23 if single else 52)
    degree = 7 if single else 13
    series = tuple(real(c) for c in INVERSE_FACTORIALS[degree:0:-1])  # of (eʳ − 1) / r
    terms = len(series)
    zero, half, one, two = real(0.0), real(0.5), real(1.0), real(2.0)

    def compute(x):
        size = abs(x)
        normal = size <= limit
        c = -two * size if normal else zero
        n = np.floor(c * log2_e + half)
        r = (c - n * high) - n * low
        y = series[0]
        for i in range(1, terms):
            y = y * r + series[i]
        power = float_of_bits(whole((whole(np.int32(n)) + bias) << mantissa))
        m = power * (y * r) + (power - one)
        t = -m / (m + two) if normal else (one if size > limit else size)  # NaN is neither
        return -t if x < zero else t

    return compute
