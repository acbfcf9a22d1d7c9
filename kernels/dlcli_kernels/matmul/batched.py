"""Products of many pairs of matrices: out[n] = A[n] · B[n], n over all axes but the last two.

a is (…, M, K), or (…, K, M) with `ta`; b is (…, K, N), or (…, N, K) with `tb`. Both have the same
axes before.
"""

import math

import numpy as np

from ..spec import Op, Tol, case, normal

SIZES = [(1, 1, 1), (2, 3, 5), (9, 9, 9), (5, 1, 7), (1, 12, 3), (17, 19, 23), (33, 68, 64)]
SIZES += [(65, 63, 20), (4, 8, 3)]
EMPTY = [((0,), 4, 3, 2), ((3,), 0, 3, 2), ((3,), 4, 0, 2), ((3,), 4, 3, 0)]
BENCH = [((64,), 20, 256, 20), ((64,), 1, 256, 20), ((256,), 200, 64, 200)]  # … M, N, K
WAYS = [(False, False), (False, True), (True, False), (True, True)]


def extents(a, b, ta, tb):
    """((…), M, N, K); ValueError if the operands do not fit together."""
    fits = len(a.shape) == len(b.shape) >= 3 and a.shape[:-2] == b.shape[:-2]
    (m, k), (k2, n) = a.shape[-2:][:: -1 if ta else 1], b.shape[-2:][:: -1 if tb else 1]
    if not fits or k != k2:
        raise ValueError(f"bmm: {a.shape} and {b.shape} (ta={ta}, tb={tb}) do not fit together")
    return a.shape[:-2], m, n, k


def infer(a, b, *, ta=False, tb=False):
    batch, m, n, _ = extents(a, b, ta, tb)
    return {"out": a.like(*batch, m, n)}


def bmm(a, b, *, ta=False, tb=False):
    left, right = np.swapaxes(a, -1, -2) if ta else a, np.swapaxes(b, -1, -2) if tb else b
    return np.einsum("...mk,...kn->...mn", left, right)


def gradient(call, ins, outs, douts, needed, *, ta=False, tb=False):
    """Those of `matmul`, pair by pair."""
    grads, d = {}, douts.out
    if "a" in needed:
        grads["a"] = (
            call("bmm", ins.b, d, ta=tb, tb=True)
            if ta
            else call("bmm", d, ins.b, ta=False, tb=not tb)
        )
    if "b" in needed:
        grads["b"] = (
            call("bmm", d, ins.a, ta=True, tb=ta)
            if tb
            else call("bmm", ins.a, d, ta=not ta, tb=False)
        )
    return grads


def operands(batch, m, n, k, ta=False, tb=False, layout="C"):
    return {
        "a": normal(*batch, *((k, m) if ta else (m, k)), layout=layout),
        "b": normal(*batch, *((n, k) if tb else (k, n))),
        "ta": ta,
        "tb": tb,
    }


def flops(a, b, *, ta=False, tb=False):
    batch, m, n, k = extents(a, b, ta, tb)
    return 2 * math.prod(batch) * m * n * k


BMM = Op(
    "bmm",
    infer,
    bmm,
    gradient,
    cut={"a": 0, "b": 0, "out": 0},
    tolerance={
        "float32": Tol(1e-5, 1.5e-5, why="as of one product: a chain of K sums"),
        "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
    },
    cases=[case(**operands((3,), *s, *way)) for s in SIZES for way in WAYS]
    + [case(**operands(*s)) for s in EMPTY]
    + [case(**operands((2, 3), 4, 5, 6, *way)) for way in WAYS]
    + [case(**operands((4,), 3, 5, 6, layout=layout)) for layout in ("F", "strided", "reversed")],
    bench=[case(**operands(*s)) for s in BENCH],
    flops=flops,
    sized=lambda N=64, M=64, K=64, C=64: case(**operands((N,), M, C, K)),
    prefer={
        **{("cpu", p): ("cpu_blas",) for p in ("float32", "float64")},
        ("cuda", "float32"): ("cuda_raw_batched",),
    },
)
