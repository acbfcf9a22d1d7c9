"""The geometry of a convolution as the CUDA C++ kernels take it: `struct Geometry` of
`include/conv.cuh`, one scalar passed by value.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .geometry import extents

MOST_ELEMENTS = 2**31 - 1  # of an array: what 32 bits can count


class Geometry(NamedTuple):
    """The extents of a convolution, in the order of the struct's fields.

    C and K count all channels, Cg and Kg those of a group; P, Q are the map's before pooling by
    windows of ph × pw, rows × columns the pooled map's.
    """

    N: int
    H: int
    W: int
    C: int
    K: int
    R: int
    S: int
    P: int
    Q: int
    Cg: int
    Kg: int
    groups: int
    sh: int
    sw: int
    top: int
    left: int
    dh: int
    dw: int
    ph: int
    pw: int
    rows: int
    columns: int

    @property
    def taps(self):
        """Products per element of the map: R · S · Cg."""
        return self.R * self.S * self.Cg


# extents that kernels divide by
DIVISORS = ("W", "H", "Q", "P", "columns", "rows", "S", "Cg", "Kg", "pw")
DIVISOR = np.dtype([("multiplier", np.uint32), ("shift", np.int32)])
STRUCT = np.dtype(
    [(n, np.int32) for n in Geometry._fields] + [(f"by_{n}", DIVISOR) for n in DIVISORS]
)


def divisor(d):
    """(multiplier, shift) with n // d = (n · multiplier >> 32) >> shift for 0 ≤ n < 2³¹; (0, 0)
    for d = 1.

    With l = ⌈log₂ d⌉ the multiplier is ⌈2^(31+l) / d⌉, which has at most 32 bits.
    """
    if d <= 1:
        return 0, 0
    length = (d - 1).bit_length()
    return -(-(1 << 31 + length) // d), length - 1


@lru_cache(maxsize=512)
def struct(g):
    """The geometry as the scalar that kernels take."""
    value = np.zeros((), STRUCT)
    for field, extent in g._asdict().items():
        value[field] = extent
    for n in DIVISORS:
        value[f"by_{n}"] = divisor(getattr(g, n))
    return value[()]


@lru_cache(maxsize=512)
def geometry(x, w, *, stride, padding, dilation, groups, pool=(1, 1)):
    """The geometry from the shapes of x and w."""
    (k, r, s, cg), (p, q) = w, extents(x[1:3], w[1:3], stride, padding, dilation)
    corner = padding[0][0], padding[1][0]
    of_group = cg, k // groups, groups
    small = p // pool[0], q // pool[1]
    return Geometry(*x, k, r, s, p, q, *of_group, *stride, *corner, *dilation, *pool, *small)


def geometry_of(name, *ins, filters=None, size=None, act=None, bias=False, **attrs):
    """The geometry of a call of the op `name`, from its inputs' specs and its attributes."""
    first, *_, last = (spec.shape for spec in ins if spec is not None)
    if name in ("conv2d", "conv2d_pool"):
        x, w = first, ins[1].shape
    elif name in ("conv2d_dgrad", "conv2d_pool_dgrad"):
        x, w = (first[0], *size, last[3] * attrs["groups"]), last
    else:
        x, w = last, (first[3], *filters, last[3] // attrs["groups"])
    return geometry(x, w, **attrs)


def countable(g, *ins):
    """Whether the call is one in float32 of arrays whose elements 32 bits can count."""
    sizes = g.N * g.H * g.W * g.C, g.N * g.P * g.Q * g.K, g.K * g.taps
    return ins[0].dtype == np.float32 and max(sizes) <= MOST_ELEMENTS


def blocks(count, each):
    """How many pieces of `each` hold `count`."""
    return -(-count // each)
