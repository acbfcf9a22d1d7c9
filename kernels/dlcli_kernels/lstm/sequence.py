"""All steps of an LSTM layer in one op; its gradients are in `sequence_grad.py`.

    z[n, t] = zx[n, t] + h[n, t−1] · wᵀ;   then a step as in `cell.py`

The input products with their bias, zx (N, T, 4H), are one matmul before; w (4H, H) is W_hh. Row n
has lengths[n] steps, at the front, whichever way it runs; `reverse` runs them from the last to the
first, and out stands at its own time. Past its length a row's h and c are carried unchanged, and
out, gates and cells are 0; what zx holds there is not used. A length below 0 counts as 0, one
above T as T.
"""

import numpy as np

from ..spec import Op, Tol, case, integers, normal, uniform
from .cell import PREFER, one_unit, step

# N, T, H
SIZES = [(1, 1, 7), (3, 1, 5), (2, 3, 4), (5, 7, 11), (37, 4, 3), (0, 3, 2), (3, 0, 2), (2, 3, 0)]
# units up to a power of two and beyond it, in ones, twos and fours of sequences
LARGE = [(2, 2, 127), (9, 2, 128), (1, 1, 129), (20, 2, 64), (131, 2, 5)]
WHOLE = ("cuda_raw_persistent", "cuda_raw_tiles")
ON_CUDA = PREFER | {("cuda", "float32"): WHOLE}
LENGTHS = [(7, 5, 3), (5, 1, 2), (1, 4, 6), (19, 6, 9), (0, 3, 2)]
LARGE_LENGTHS = [(4, 2, 128), (17, 2, 68)]  # the second: two tiles of sequences, nine of units
BENCH = [(32, 28, 128), (128, 28, 128), (512, 28, 128), (32, 200, 128), (64, 100, 256)]
BENCH += [(16, 8, 1536)]  # more units than multiprocessors can hold the weights of
SEQUENCE = {
    "float32": Tol(1e-5, 3e-6, why="products of H terms, and what a step passes on to the next"),
    "float64": Tol(2e-14, 6e-15, why="the same in double precision"),
}
OF_ROWS = ("zx", "h0", "c0", "lengths", "out", "h_last", "c_last", "gates", "cells")
OF_ROWS_GRAD = ("dout", "dh_last", "dc_last", "dz", "dh0", "dc0")
CUT = dict.fromkeys((*OF_ROWS, *OF_ROWS_GRAD), 0)  # by sequences: each needs the whole of w
MOST_ROWS = 32  # of a range: a product with fewer rows is mostly a copy of w into BLAS's layout


def runs(small, large):
    """(*size, reverse): small sizes forwards and backwards in time, large ones by turns."""
    both = [(*size, reverse) for size in small for reverse in (False, True)]
    return both + [(*size, bool(i % 2)) for i, size in enumerate(large)]


RUNS, RUNS_WITH_LENGTHS = runs(SIZES, LARGE), runs(LENGTHS, LARGE_LENGTHS)


def grain(*specs, **attrs):
    """Equal ranges, which two or four threads share: of fewer than 16 sequences the products are
    thin, with more than 32 threads are idle. A remainder would keep one of them waiting.
    """
    n = next(s.shape[0] for s in specs if s is not None)
    ranges = 1 if n <= MOST_ROWS // 2 else 2 if n < 2 * MOST_ROWS else 4 * -(-n // (4 * MOST_ROWS))
    return -(-n // ranges)


def check(op, z, w, lengths, sequences=(), states=()):
    """(N, T, H) of z (N, T, 4H) and w (4H, H); ValueError if an operand does not fit them.

    sequences: what must be (N, T, H); states: what must be (N, H). None is absent.
    """
    if len(z.shape) != 3 or len(w.shape) != 2 or w.shape != (z.shape[2], z.shape[2] // 4):
        raise ValueError(f"{op}: (N, T, 4H) and (4H, H) are needed, not {z.shape} and {w.shape}")
    n, t, h = *z.shape[:2], w.shape[1]
    if w.shape[0] != 4 * h:
        raise ValueError(f"{op}: the {w.shape[0]} rows of w are not four gates of {h} units")
    for group, shape in ((sequences, (n, t, h)), (states, (n, h))):
        found = [s.shape for s in group if s is not None and s.shape != shape]
        if found:
            raise ValueError(f"{op}: {shape} is needed, not {found[0]}")
    if lengths is not None and (lengths.shape != (n,) or lengths.dtype != np.int32):
        raise ValueError(f"{op}: lengths are ({n},) int32, not {lengths.shape} {lengths.dtype}")
    return n, t, h


def steps(t, reverse):
    """The steps 0 … T−1 in the order in which they run."""
    return range(t)[::-1] if reverse else range(t)


def live(t, lengths, like):
    """(N, 1) bool: whether step t is within the row's length."""
    n = like.shape[0]
    return np.ones((n, 1), bool) if lengths is None else (t < lengths)[:, np.newaxis]


def flops(n, t, h):
    """Of the products with w, in the pass that makes them or either of its gradients."""
    return 8 * n * t * h * h


def infer_sequence(zx, h0, c0, w, lengths=None, *, reverse=False):
    n, t, h = check("lstm_sequence", zx, w, lengths, states=(h0, c0))
    out = zx.like(n, t, h)
    return {"out": out, "h_last": h0, "c_last": c0, "gates": zx, "cells": out}


def sequence(zx, h0, c0, w, lengths=None, *, reverse=False):
    """A step after the other; a row past its length keeps its state."""
    out = np.zeros((*zx.shape[:2], w.shape[1]), zx.dtype)
    gates, cells = np.zeros_like(zx), np.zeros_like(out)
    h, c = h0, c0
    for t in steps(zx.shape[1], reverse):
        within = live(t, lengths, zx)
        h_next, c_next, activated = step(zx[:, t] + h @ w.T, c)
        out[:, t] = np.where(within, h_next, 0)
        gates[:, t] = np.where(within, activated, 0)
        cells[:, t] = np.where(within, c_next, 0)
        h, c = np.where(within, h_next, h), np.where(within, c_next, c)
    return out, h, c, gates, cells


def sequence_gradient(call, ins, outs, douts, needed, *, reverse=False):
    """dzx is dz; dw is one product over all steps."""
    dz, dh0, dc0 = call(
        "lstm_sequence_grad",
        douts.out,
        douts.h_last,
        douts.c_last,
        outs.gates,
        outs.cells,
        ins.c0,
        ins.w,
        ins.lengths,
        reverse=reverse,
    )
    grads = {"zx": dz, "h0": dh0, "c0": dc0}
    if "w" in needed:
        operands = (dz, outs.out, ins.h0, ins.lengths)
        grads["w"] = call("lstm_sequence_wgrad", *operands, reverse=reverse)
    return grads


def weights(h):
    """w as a layer begins with it: the products of a step have the size of its inputs."""
    bound = max(h, 1) ** -0.5
    return uniform(-bound, bound, 4 * h, h)


def operands(n, t, h, layout="C"):
    return {
        "zx": normal(n, t, 4 * h, layout=layout),
        "h0": normal(n, h),
        "c0": normal(n, h),
        "w": weights(h),
    }


def some_lengths(n, t):
    """Lengths 0 … T."""
    return integers(0, t + 1, n, dtype=np.int32)


LSTM_SEQUENCE = Op(
    "lstm_sequence",
    infer_sequence,
    sequence,
    sequence_gradient,
    optional=("gates", "cells"),
    cut=CUT,
    grain=grain,
    tolerance=SEQUENCE,
    cases=[case(**operands(*s), reverse=reverse) for *s, reverse in RUNS]
    + [case("one unit", **one_unit(zx=(1, 2, 4), h0=(1, 1), c0=(1, 1), w=(4, 1)), reverse=False)]
    + [
        case(**operands(n, t, h), lengths=some_lengths(n, t), reverse=reverse)
        for n, t, h, reverse in RUNS_WITH_LENGTHS
    ]
    + [
        case(
            "lengths beyond both ends",
            **operands(9, 4, 3),
            lengths=integers(-2, 7, 9, dtype=np.int32),
            reverse=reverse,
        )
        for reverse in (False, True)
    ]
    + [case(**operands(5, 3, 4, layout), reverse=False) for layout in ("F", "strided", "reversed")],
    bench=[case(**operands(*s), reverse=False) for s in BENCH],
    flops=lambda zx, h0, c0, w, lengths=None, **attrs: flops(*zx.shape[:2], w.shape[1]),
    sized=lambda N=128, T=28, H=128: case(**operands(N, T, H), reverse=False),
    prefer=ON_CUDA,
)
