"""All steps of a GRU layer in one op.

The input products with their bias, zx (N, T, 3H), are one matmul before; w (3H, H) is W_hh, b (H,)
the bias of its third part (those of the other two belong in zx). `lengths` and `reverse` are those
of `lstm_sequence`: row n has lengths[n] steps, at the front, whichever way it runs; past them out
and gates are 0 and the state is carried unchanged.
"""

import numpy as np

from ..lstm.sequence import grain, live, runs, some_lengths, steps
from ..spec import Op, Tol, case, normal, uniform
from .cell import PREFER, one_unit, step

# N, T, H
SIZES = [(1, 1, 7), (3, 1, 5), (2, 3, 4), (5, 7, 11), (37, 4, 3), (0, 3, 2), (3, 0, 2), (2, 3, 0)]
LARGE = [(2, 2, 127), (9, 2, 128), (1, 1, 129), (131, 2, 5)]
LENGTHS = [(7, 5, 3), (5, 1, 2), (1, 4, 6), (19, 6, 9), (0, 3, 2)]
LARGE_LENGTHS = [(4, 2, 128), (17, 2, 68)]  # the second: two tiles of sequences, nine of units
RUNS, RUNS_WITH_LENGTHS = runs(SIZES, LARGE), runs(LENGTHS, LARGE_LENGTHS)
BENCH = [(32, 28, 128), (128, 28, 128), (32, 200, 128)]
BENCH += [(16, 8, 1536)]  # more units than multiprocessors can hold the weights of
ON_CUDA = PREFER | {("cuda", "float32"): ("cuda_raw_persistent", "cuda_raw_tiles")}
OF_ROWS = ("zx", "h0", "lengths", "out", "h_last", "gates")
CUT = dict.fromkeys(OF_ROWS, 0)  # by sequences: each needs the whole of w
SEQUENCE = {
    "float32": Tol(1e-5, 3e-6, why="products of H terms, and what a step passes on to the next"),
    "float64": Tol(2e-14, 6e-15, why="the same in double precision"),
}


def check(op, z, w, lengths, sequences=(), states=()):
    """(N, T, H) of z (N, T, 3H) and w (3H, H); ValueError if an operand does not fit them.

    sequences: what must be (N, T, H); states: what must be (N, H). None is absent.
    """
    fits = len(z.shape) == 3 and len(w.shape) == 2
    if not fits or w.shape[0] != z.shape[2] or w.shape[0] != 3 * w.shape[1]:
        raise ValueError(f"{op}: (N, T, 3H) and (3H, H) are needed, not {z.shape} and {w.shape}")
    n, t, h = *z.shape[:2], w.shape[1]
    for group, shape in ((sequences, (n, t, h)), (states, (n, h))):
        found = [s.shape for s in group if s is not None and s.shape != shape]
        if found:
            raise ValueError(f"{op}: {shape} is needed, not {found[0]}")
    if lengths is not None and (lengths.shape != (n,) or lengths.dtype != np.int32):
        raise ValueError(f"{op}: lengths are ({n},) int32, not {lengths.shape} {lengths.dtype}")
    return n, t, h


def flops(n, t, h):
    """Of the products with w, in the pass that makes them or either of its gradients."""
    return 6 * n * t * h * h


def infer_sequence(zx, h0, w, b, lengths=None, *, reverse=False):
    n, t, h = check("gru_sequence", zx, w, lengths, states=(h0,))
    if b.shape != (h,):
        raise ValueError(f"gru_sequence: b is ({h},), not {b.shape}")
    return {"out": zx.like(n, t, h), "h_last": h0, "gates": zx.like(n, t, 4 * h)}


def sequence(zx, h0, w, b, lengths=None, *, reverse=False):
    """A step after the other; a row past its length keeps its state."""
    n, t, h = *zx.shape[:2], w.shape[1]
    out, gates = np.zeros((n, t, h), zx.dtype), np.zeros((n, t, 4 * h), zx.dtype)
    bias = np.concatenate((np.zeros(2 * h, zx.dtype), b))
    hidden = h0
    for now in steps(t, reverse):
        within = live(now, lengths, zx)
        h_next, activated = step(zx[:, now], hidden @ w.T + bias, hidden)
        out[:, now] = np.where(within, h_next, 0)
        gates[:, now] = np.where(within, activated, 0)
        hidden = np.where(within, h_next, hidden)
    return out, hidden, gates


def gradient(call, ins, outs, douts, needed, *, reverse=False):
    """dzx is dz; dw is one product over all steps, db a sum over them."""
    operands = (douts.out, douts.h_last, outs.gates, outs.out, ins.h0, ins.w, ins.lengths)
    dz, dq, dh0 = call("gru_sequence_grad", *operands, reverse=reverse)
    grads = {"zx": dz, "h0": dh0}
    if "w" in needed:
        operands = (dz, dq, outs.out, ins.h0, ins.lengths)
        grads["w"] = call("gru_sequence_wgrad", *operands, reverse=reverse)
    if "b" in needed:
        grads["b"] = call("sum", dq, axes=(0, 1))
    return grads


def operands(n, t, h, layout="C"):
    """w as a layer begins with it: the products of a step have the size of its inputs."""
    bound = max(h, 1) ** -0.5
    return {
        "zx": normal(n, t, 3 * h, layout=layout),
        "h0": normal(n, h),
        "w": uniform(-bound, bound, 3 * h, h),
        "b": uniform(-bound, bound, h),
    }


GRU_SEQUENCE = Op(
    "gru_sequence",
    infer_sequence,
    sequence,
    gradient,
    optional=("gates",),
    cut=CUT,
    grain=grain,
    tolerance=SEQUENCE,
    cases=[case(**operands(*s), reverse=reverse) for *s, reverse in RUNS]
    + [case("one unit", **one_unit(zx=(1, 2, 3), h0=(1, 1), w=(3, 1), b=(1,)), reverse=False)]
    + [
        case(**operands(n, t, h), lengths=some_lengths(n, t), reverse=reverse)
        for n, t, h, reverse in RUNS_WITH_LENGTHS
    ]
    + [case(**operands(5, 3, 4, layout), reverse=False) for layout in ("F", "strided", "reversed")],
    bench=[case(**operands(*s), reverse=False) for s in BENCH],
    flops=lambda zx, h0, w, b, lengths=None, **attrs: flops(*zx.shape[:2], w.shape[1]),
    sized=lambda N=128, T=28, H=128: case(**operands(N, T, H), reverse=False),
    prefer=ON_CUDA,
)
