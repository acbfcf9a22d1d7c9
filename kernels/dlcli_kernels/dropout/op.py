"""Dropout with a counter-based mask: whoever computes an element, in any order, decides it alike.

rng is (5,) uint32: two key words of Philox, then words 1–3 of its counter. Element i of the whole
flattened tensor takes word i mod 4 of block i div 4, and is kept where that word, an integer below
2³², is at least p · 2³²: with probability 1 - p. Kept elements are multiplied by 1 / (1 - p), so
that inference needs no dropout at all (Srivastava et al. 2014, inverted).
"""

from math import ceil, prod

import numpy as np

from .. import philox
from ..spec import Op, Tol, case, integers, normal

EXACT = {
    "float32": Tol(1.3e-7, 0.0, why="the factor and the product are rounded; the mask is exact"),
    "float64": Tol(3e-16, 0.0, why="the factor and the product are rounded; the mask is exact"),
}
PREFER = {
    **{("cpu", p): ("cpu_numba",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_philox",),
}
CUT = dict.fromkeys(("x", "out", "mask", "dout"), 0)


def threshold(p):
    """The least word that keeps an element."""
    return ceil(p * 2**32)


def gain(p):
    """What kept elements are multiplied by; 0 for p = 1, where none is kept."""
    return 0.0 if p == 1 else 1 / (1 - p)


def check_probability(p):
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p is a probability from 0 to 1, not {p}")


def cut_rows(x, *others, **attrs):
    """Along the first axis; a scalar is one piece of work."""
    return CUT if x.shape else None


def grain(x, *others, **attrs):
    """At most 16 ranges of at least 32,768 elements: a range costs a few microseconds of calls."""
    return -(-x.shape[0] // min(max(x.size >> 15, 1), 16))


def infer_dropout(x, rng, *, p):
    check_probability(p)
    if rng.shape != (5,) or rng.dtype != np.uint32:
        raise ValueError(f"dropout: rng is 5 words of uint32, not {rng.shape} {rng.dtype}")
    return {"out": x, "mask": x.like(*x.shape, dtype=np.uint8)}


def dropout(x, rng, *, p, start=0):
    """`start` is the index along axis 0 of the whole tensor at which x begins."""
    first = start * prod(x.shape[1:])
    key, counter = (int(rng[0]), int(rng[1])), (int(rng[2]), int(rng[3]), int(rng[4]))
    block, skip = divmod(first, 4)
    words = philox.blocks(key, counter, block, -(-(skip + x.size) // 4)).reshape(-1)
    mask = (words[skip : skip + x.size].astype(np.uint64) >= threshold(p)).reshape(x.shape)
    return np.where(mask, x, x.dtype.type(0)) * x.dtype.type(gain(p)), mask.astype(np.uint8)


def dropout_gradient(call, ins, outs, douts, needed, *, p):
    return {"x": call("dropout_grad", douts.out, outs.mask, p=p)}


def infer_grad(dout, mask, *, p):
    check_probability(p)
    if dout.shape != mask.shape:
        raise ValueError(f"dropout_grad: dout {dout.shape} and mask {mask.shape} differ")
    return {"out": dout}


def dropout_grad(dout, mask, *, p):
    return np.where(mask != 0, dout, dout.dtype.type(0)) * dout.dtype.type(gain(p))


def dropout_grad_gradient(call, ins, outs, douts, needed, *, p):
    return {"dout": call("dropout_grad", douts.out, ins.mask, p=p)}


def infer_advance(rng):
    return {}


def advance(rng):
    """The next step's counter: word 1 + 1, with a carry into word 2."""
    rng[2] = (int(rng[2]) + 1) & philox.MASK
    if rng[2] == 0:
        rng[3] = (int(rng[3]) + 1) & philox.MASK


RNG = integers(0, 2**32, 5, dtype=np.uint32)
SHAPES = [(1,), (3,), (4,), (8191,), (5, 7), (6, 4), (2, 3, 4, 5), (0, 4), (3, 0), (), (131, 67)]
MANY = (7, 10_001)  # more than the threads of a small device take in one turn
BENCH = [(128, 64), (128, 26, 26, 32), (4_000_000,)]
PROBABILITIES = (0.0, 0.1, 0.5, 1.0)


def counter_at(*words):
    """Key and counter words: those after which a carry comes."""
    return lambda rng, dtype: {"rng": np.array(words, np.uint32)}


def at_threshold():
    """The probability at which the first word of `counter_at(1, 2, 3, 4, 5)` is just kept."""
    return int(philox.bits((1, 2), (3, 4, 5), 1)[0]) / 2**32


DROPOUT = Op(
    "dropout",
    infer_dropout,
    dropout,
    dropout_gradient,
    optional=("mask",),
    cut=cut_rows,
    grain=grain,
    offset=True,
    tolerance=EXACT,
    cases=[case(x=normal(*s), rng=RNG, p=0.3) for s in (*SHAPES, MANY)]
    + [case(x=normal(9, 11), rng=RNG, p=p) for p in PROBABILITIES]
    + [
        case(x=normal(6, 8, layout=layout), rng=RNG, p=0.4)
        for layout in ("F", "strided", "reversed")
    ]
    + [case("at the threshold", counter_at(1, 2, 3, 4, 5), x=normal(9), rng=RNG, p=at_threshold())],
    bench=[case(x=normal(*s), rng=RNG, p=0.5) for s in BENCH],
    sized=lambda N=1 << 20: case(x=normal(N), rng=RNG, p=0.5),
    prefer=PREFER,
)

DROPOUT_GRAD = Op(
    "dropout_grad",
    infer_grad,
    dropout_grad,
    dropout_grad_gradient,
    cut=cut_rows,
    grain=grain,
    tolerance=EXACT,
    cases=[
        case(dout=normal(*s), mask=integers(0, 2, *s, dtype=np.uint8), p=0.3)
        for s in (*SHAPES, MANY)
    ]
    + [
        case(dout=normal(9, 11), mask=integers(0, 2, 9, 11, dtype=np.uint8), p=p)
        for p in PROBABILITIES
    ],
    bench=[case(dout=normal(*s), mask=integers(0, 2, *s, dtype=np.uint8), p=0.5) for s in BENCH],
    prefer=PREFER,
)

ADVANCE = Op(
    "advance",
    infer_advance,
    advance,
    inout=("rng",),
    tolerance=EXACT,
    cases=[case(rng=RNG)]
    + [
        case(name, counter_at(1, 2, *words), rng=RNG)
        for name, words in (("carry", (2**32 - 1, 6, 7)), ("wrap", (2**32 - 1, 2**32 - 1, 7)))
    ],
    bench=[case(rng=RNG)],
    prefer={("cpu", "uint32"): ("cpu_numba",), ("cuda", "uint32"): ("cuda_raw_philox",)},
)
