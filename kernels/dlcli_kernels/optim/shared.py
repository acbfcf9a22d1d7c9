"""What all optimiser steps and clipping have in common: checks, ranges, tolerances, cases."""

import numpy as np

from ..spec import Tol, integers, zeros

STATE = ("p", "g", "m", "v", "avg")
CUT = dict.fromkeys(STATE, 0)
TOLERANCE = {
    "float32": Tol(2e-6, 1e-6, why="about ten roundings of one element, one root, one quotient"),
    "float64": Tol(4e-15, 2e-15, why="the same in double precision"),
}
PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_flat",),
}


def check_buffers(op, p, *state, scalars):
    """ValueError unless p and the states are flat, of one length, and scalars of one element."""
    shapes = [s.shape for s in (p, *state) if s is not None]
    if len(p.shape) != 1 or any(shape != p.shape for shape in shapes):
        raise ValueError(f"{op}: flat buffers of one length are needed, not {shapes}")
    if any(s.shape != (1,) for s in scalars):
        raise ValueError(f"{op}: lr, step and halt are buffers of one element")


def grain(p, *others, **attrs):
    """At most 16 equal ranges of at least 32,768: calls of a range cost as much as 10,000."""
    ranges = min(max(p.size >> 15, 1), 16)
    return -(-p.size // ranges)


LENGTHS = (1, 2, 7, 64, 131, 4099, 0)
CNN, LARGE = 93_322, 25_000_000  # the parameters of the `cnn` model; well past every cache
RUNNING, HALTED = zeros(1, dtype=np.int32), integers(1, 3, 1, dtype=np.int32)


def damaged(rng, dtype):
    """A gradient with NaN and infinity in it."""
    g = rng.standard_normal(37).astype(dtype)
    g[[0, 5, 36]] = np.nan, np.inf, -np.inf
    return {"g": g}
