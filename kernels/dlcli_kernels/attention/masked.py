"""Softmax over the first elements of each row: the weights of keys, of which a batch's sequence n
has lengths[n].

x is (N, …, S): any number of rows for each n. out is 0 past the length, and all of a row is 0 where
the length is 0: it has nothing to see. A length below 0 counts as 0, one above S as S. What x holds
past a length is not used. The gradient is `softmax_grad`, for which a 0 is a 0.
"""

import numpy as np

from ..softmax.op import SOFTMAX, softmax_reference
from ..spec import Op, case, integers, normal

SHAPES = [(1, 1), (1, 7), (3, 1, 1), (7, 4, 5), (5, 31), (3, 2, 2, 6), (0, 4), (3, 0, 2), (3, 2, 0)]
SHAPES += [(5, 33), (9, 2, 36), (3, 128), (2, 1000), (40, 3, 12)]
BENCH = [(64, 20, 20), (32, 8, 200, 200)]
PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_pairs",),
}


def some_lengths(n, s):
    """Lengths 0 … S."""
    return integers(0, s + 1, n, dtype=np.int32)


def within(lengths, s):
    """How many of `s` keys each sequence has: lengths (N,), or all where it is None."""
    return None if lengths is None else np.clip(lengths, 0, s)


def check_lengths(op, n, lengths):
    """ValueError unless lengths are (N,) int32, or None."""
    if lengths is not None and (lengths.shape != (n,) or lengths.dtype != np.int32):
        raise ValueError(f"{op}: lengths are ({n},) int32, not {lengths.shape} {lengths.dtype}")


def infer(x, lengths):
    if len(x.shape) < 2:
        raise ValueError(f"masked_softmax: x is (N, …, S), not {x.shape}")
    check_lengths("masked_softmax", x.shape[0], lengths)
    return {"out": x}


def masked_softmax(x, lengths):
    """Each sequence by itself."""
    out = np.zeros_like(x)
    for n, length in enumerate(within(lengths, x.shape[-1])):
        out[n, ..., :length] = softmax_reference(x[n, ..., :length])
    return out


def gradient(call, ins, outs, douts, needed):
    return {"x": call("softmax_grad", outs.out, douts.out)}


def operands(*shape, layout="C"):
    return {"x": normal(*shape, layout=layout), "lengths": some_lengths(shape[0], shape[-1])}


MASKED_SOFTMAX = Op(
    "masked_softmax",
    infer,
    masked_softmax,
    gradient,
    cut=dict.fromkeys(("x", "lengths", "out"), 0),
    tolerance=SOFTMAX,
    cases=[case(**operands(*s)) for s in SHAPES]
    + [
        case(
            "lengths beyond both ends",
            x=normal(6, 3, 5),
            lengths=integers(-4, 12, 6, dtype=np.int32),
        )
    ]
    + [case(**operands(4, 3, 5, layout=layout)) for layout in ("F", "strided", "reversed")],
    bench=[case(**operands(*s)) for s in BENCH],
    sized=lambda N=64, Q=20, S=20: case(**operands(N, Q, S)),
    prefer=PREFER,
)
