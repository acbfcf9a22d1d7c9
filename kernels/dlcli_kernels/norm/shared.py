"""What the norms have in common: affine scaling, sums in float64, plain ops, cases."""

from math import prod

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


def in_plain_ops(call, x, gamma, beta, axes, eps):
    """out, mean and var of a norm over `axes`, by sums, products and a root."""
    shape = tuple(x.shape)
    share = 1.0 / max(prod(shape[a] for a in axes), 1)

    def mean_of(y):
        return call("scale", call("sum", y, axes=axes), by=share)

    def spread(y, over=axes):
        return call("broadcast", y, shape=shape, axes=over)

    mean = mean_of(x)
    centred = call("add", x, call("scale", spread(mean), by=-1.0))
    var = mean_of(call("mul", centred, centred))
    out = call("div", centred, spread(call("sqrt", call("shift", var, by=eps))))
    rows = tuple(range(len(shape) - 1))
    out = out if gamma is None else call("mul", out, spread(gamma, rows))
    out = out if beta is None else call("add", out, spread(beta, rows))
    return out, mean, var


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
