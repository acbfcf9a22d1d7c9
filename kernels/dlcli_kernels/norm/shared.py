"""What batch norm and layer norm have in common: affine scaling, sums in float64, cases."""

import numpy as np

from ..spec import Tol, normal

TOLERANCE = {
    "float32": Tol(2e-6, 2e-6, why="sums are in float64; a few roundings of an element remain"),
    "float64": Tol(
        1e-12, 5e-13, why="a mean of 1,000 deviations has its last digit at 10⁻¹³ of one"
    ),
}
CUT_ROWS = dict.fromkeys(("x", "out", "dout", "dx"), 0)


def grain_rows(x, *others, **attrs):
    """At most 16 ranges of at least 32,768 elements: a range costs a few microseconds of calls."""
    return -(-x.shape[0] // min(max(x.size >> 15, 1), 16))


def scaled(normalised, gamma, beta):
    out = normalised if gamma is None else normalised * gamma
    return out if beta is None else out + beta


def per_channel(x):
    """The sum of x over all axes but the last, in float64."""
    return np.sum(x, axis=tuple(range(x.ndim - 1)), dtype=np.float64)


def for_inputs(grads, needed):
    """dx, dgamma and dbeta by the names of the inputs that need them."""
    return {n: g for n, g in zip(("x", "gamma", "beta"), grads, strict=True) if n in needed}


def cast(x, *values):
    """The values in the precision of x."""
    return tuple(v.astype(x.dtype, copy=False) for v in values)


SHAPES = [
    (7, 3),
    (2, 1),
    (1, 5),
    (3, 5, 7),
    (2, 3, 5, 11),
    (13, 1, 300),
    (301, 2),
    (0, 4),
    (3, 0),
    (5, 67),
    (515, 36),  # as many rows as are summed in two parts or more
    (131, 33),
]
AFFINE = [(True, True), (True, False), (False, True), (False, False)]
BENCH = [(128, 26, 26, 32), (128, 11, 11, 64), (128, 64), (512, 512)]


def affine(c, gamma=True, beta=True):
    return ({"gamma": normal(c)} if gamma else {}) | ({"beta": normal(c)} if beta else {})


def offset(rng, dtype):
    """Channels whose mean is a thousand times their standard deviation."""
    return {"x": (1e3 + rng.standard_normal((40, 5))).astype(dtype)}
