"""The scores of additive attention (Bahdanau et al. 2015) and their gradient.

    scores[n, q, s] = Σ_u v[u] · tanh(queries[n, q, u] + keys[n, s, u])

queries (N, Q, U) and keys (N, S, U) are already projected to U units, v is (U,). Keys past
lengths[n] (N,) int32 are padding: their scores are 0, and nothing is computed for them. No array
of N·Q·S·U elements exists: the gradient computes every tanh again.
"""

import numpy as np

from ..spec import Op, Tol, case, integers, normal, uniform
from .masked import PREFER, check_lengths, some_lengths, within

# N, Q, S, U
SIZES = [(1, 1, 1, 7), (3, 1, 5, 4), (2, 4, 3, 11), (5, 7, 6, 1), (2, 3, 2, 129), (9, 2, 3, 64)]
SIZES += [(0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0)]
LENGTHS = [(3, 2, 5, 4), (7, 1, 9, 33), (4, 5, 3, 100), (2, 37, 6, 5), (2, 3, 35, 6)]
BENCH = [(64, 1, 20, 256), (64, 20, 20, 256), (32, 1, 200, 64)]
SCORES = {
    "float32": Tol(5e-6, 2e-6, why="a sum of some hundred terms, each a tanh to a few bits"),
    "float64": Tol(1e-13, 1e-14, why="the same in double precision"),
}
GRADIENT = {
    "float32": Tol(1e-5, 5e-6, why="sums over queries, keys or both, of 1 − tanh² to a few bits"),
    "float64": Tol(1e-12, 1e-13, why="the same in double precision"),
}
OF_ROWS = ("queries", "keys", "lengths", "out", "dout", "dqueries", "dkeys")
CUT = dict.fromkeys(OF_ROWS, 0)


def extents(op, queries, keys, v, lengths):
    """(N, Q, S, U); ValueError if the operands do not fit each other."""
    fits = len(queries.shape) == len(keys.shape) == 3
    if not fits or queries.shape[::2] != keys.shape[::2] or v.shape != keys.shape[2:]:
        shapes = f"{queries.shape}, {keys.shape} and {v.shape}"
        raise ValueError(f"{op}: (N, Q, U), (N, S, U) and (U,) are needed, not {shapes}")
    check_lengths(op, keys.shape[0], lengths)
    return *queries.shape[:2], *keys.shape[1:]


def infer_scores(queries, keys, v, lengths=None):
    n, q, s, _ = extents("additive_scores", queries, keys, v, lengths)
    return {"out": queries.like(n, q, s)}


def live(keys, lengths):
    """(N, 1, S) bool: whether a key is within its sequence's length."""
    n, s, _ = keys.shape
    counts = np.full(n, s) if lengths is None else within(lengths, s)
    return np.arange(s) < counts[:, np.newaxis, np.newaxis]


def hidden(queries, keys):
    """tanh of each pair's sum (N, Q, S, U)."""
    return np.tanh(queries[:, :, np.newaxis] + keys[:, np.newaxis])


def additive_scores(queries, keys, v, lengths=None):
    return np.where(live(keys, lengths), hidden(queries, keys) @ v, 0).astype(keys.dtype)


def scores_gradient(call, ins, outs, douts, needed):
    names = ("queries", "keys", "v")
    operands = (douts.out, ins.queries, ins.keys, ins.v, ins.lengths)
    return dict(zip(names, call("additive_scores_grad", *operands), strict=True))


def infer_grad(dout, queries, keys, v, lengths=None):
    n, q, s, _ = extents("additive_scores_grad", queries, keys, v, lengths)
    if dout.shape != (n, q, s):
        raise ValueError(f"additive_scores_grad: dout is {(n, q, s)}, not {dout.shape}")
    return {"dqueries": queries, "dkeys": keys, "dv": v}


def additive_scores_grad(dout, queries, keys, v, lengths=None):
    h = hidden(queries, keys)
    d = np.where(live(keys, lengths), dout, 0)
    within_length = live(keys, lengths)[..., np.newaxis]
    dz = np.where(within_length, d[..., np.newaxis] * v * (1 - h * h), 0)
    dv = np.where(within_length, d[..., np.newaxis] * h, 0).sum(axis=(0, 1, 2))
    return dz.sum(axis=2), dz.sum(axis=1), dv.astype(v.dtype)


def grain(*specs):
    """Ranges of 100,000 tanh and more: some 0.05 ms forwards."""
    q, (s, u) = specs[-4].shape[1], specs[-3].shape[1:]
    return max(1, 100_000 // max(q * s * u, 1))


def flops(n, q, s, u):
    """Of the sums and products, a tanh counting as one operation."""
    return 4 * n * q * s * u


def operands(n, q, s, u, lengths=False, layout="C"):
    """v of the size that a layer begins with."""
    bound = max(u, 1) ** -0.5
    made = {"queries": normal(n, q, u, layout=layout), "keys": normal(n, s, u)}
    made["v"] = uniform(-bound, bound, u)
    return made | ({"lengths": some_lengths(n, s)} if lengths else {})


def one_unit(n, q, s):
    """A single unit, all of whose products are positive: no sum is nearly 0."""
    positive = {"queries": uniform(0.2, 1.5, n, q, 1), "keys": uniform(0.2, 1.5, n, s, 1)}
    return {**positive, "v": uniform(0.2, 1.5, 1)}


def cases(more):
    """Every size, with what `more(n, q, s)` adds to the operands."""
    return (
        [case(**more(*s[:3]), **operands(*s)) for s in SIZES]
        + [case(**more(*s[:3]), **operands(*s, lengths=True)) for s in LENGTHS]
        + [case("one unit", **more(2, 3, 4), **one_unit(2, 3, 4))]
        + [
            case(
                "lengths beyond both ends",
                **more(5, 2, 3),
                **operands(5, 2, 3, 6),
                lengths=integers(-3, 8, 5, dtype=np.int32),
            )
        ]
        + [
            case(**more(4, 2, 3), **operands(4, 2, 3, 5, layout=layout))
            for layout in ("F", "strided", "reversed")
        ]
    )


def cotangent(n, q, s):
    return {"dout": normal(n, q, s)}


ADDITIVE_SCORES = Op(
    "additive_scores",
    infer_scores,
    additive_scores,
    scores_gradient,
    cut=CUT,
    grain=grain,
    tolerance=SCORES,
    cases=cases(lambda *s: {}),
    bench=[case(**operands(*s)) for s in BENCH],
    flops=lambda queries, keys, v, lengths=None: flops(*queries.shape[:2], *keys.shape[1:]),
    sized=lambda N=64, Q=20, S=20, U=256: case(**operands(N, Q, S, U)),
    prefer=PREFER,
)
ADDITIVE_SCORES_GRAD = Op(
    "additive_scores_grad",
    infer_grad,
    additive_scores_grad,
    cut=CUT,
    partial=("dv",),
    grain=grain,
    tolerance=GRADIENT,
    cases=cases(cotangent),
    bench=[case(**cotangent(*s[:3]), **operands(*s)) for s in BENCH],
    flops=lambda dout, queries, keys, v, lengths=None: (
        2 * flops(*queries.shape[:2], *keys.shape[1:])
    ),
    sized=lambda N=64, Q=20, S=20, U=256: case(**cotangent(N, Q, S), **operands(N, Q, S, U)),
    prefer=PREFER,
)
