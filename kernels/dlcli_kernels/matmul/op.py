"""Matrix product with bias and activation as epilogue: out[m, n] = act(bias[n] + Σₖ A[m, k] · B[k,
n]).

a is (M, K), or (K, M) with `ta`; b is (K, N), or (N, K) with `tb`; bias (N,). A dense layer is
matmul(x, w, bias, tb=True) with w (out, in).
"""

import numpy as np

from ..elementwise.activations import EPILOGUES, activate
from ..spec import Op, Tol, case, normal


def extents(a, b, ta, tb):
    """(M, N, K) of the product; ValueError if the operands do not fit together."""
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise ValueError(f"matmul: two matrices are needed, not {a.shape} and {b.shape}")
    (m, k), (k2, n) = a.shape[:: -1 if ta else 1], b.shape[:: -1 if tb else 1]
    if k != k2:
        raise ValueError(f"matmul: {m}×{k} and {k2}×{n} do not fit together")
    return m, n, k


def infer(a, b, bias=None, *, ta=False, tb=False, act=None):
    m, n, _ = extents(a, b, ta, tb)
    if bias is not None and bias.shape != (n,):
        raise ValueError(f"matmul: the bias has shape {bias.shape}, not ({n},)")
    if act is not None and act not in EPILOGUES:
        raise ValueError(
            f"matmul: {act!r} cannot be an epilogue; there is: {', '.join(sorted(EPILOGUES))}"
        )
    return {"out": a.like(m, n)}


def reference(a, b, bias=None, *, ta=False, tb=False, act=None):
    out = np.einsum("mk,kn->mn", a.T if ta else a, b.T if tb else b)
    return activate(out if bias is None else out + bias, act)


def grad(call, ins, outs, douts, needed, *, ta=False, tb=False, act=None):
    dz = douts.out if act is None else call("act_grad", outs.out, douts.out, act=act)
    grads = {}
    if "a" in needed:
        grads["a"] = (
            call("matmul", ins.b, dz, ta=tb, tb=True)
            if ta
            else call("matmul", dz, ins.b, tb=not tb)
        )
    if "b" in needed:
        grads["b"] = (
            call("matmul", dz, ins.a, ta=True, tb=ta)
            if tb
            else call("matmul", ins.a, dz, ta=not ta)
        )
    if "bias" in needed:
        grads["bias"] = call("sum", dz, axes=(0,))
    return grads


def cut(a, b, bias=None, *, ta=False, tb=False, act=None):
    """By rows of the result, or by its columns where they are more: b is then the operand that is
    cut.
    """
    m, n, _ = extents(a, b, ta, tb)
    if n > 4 * m:
        return {"b": 0 if tb else 1, "bias": 0, "out": 1}
    return {"a": 1 if ta else 0, "out": 0}


def grain(a, b, bias=None, *, ta=False, tb=False, act=None):
    """Ranges of 8 MFLOP and more, at most 16, a power of two of them so that threads share evenly.

    Each range packs the whole of the other operand anew, so that thin ones are slow.
    """
    m, n, k = extents(a, b, ta, tb)
    long = n if n > 4 * m else m
    ranges = min(16, 1 << max(2 * m * n * k // 8_000_000, 1).bit_length() - 1)
    return max(16, -(-long // ranges // 16) * 16)


SIZES = [
    (1, 1, 1),
    (2, 3, 5),
    (9, 9, 9),
    (17, 19, 23),
    (64, 10, 64),
    (5, 1, 7),
    (1, 129, 3),
    (0, 4, 3),
    (4, 0, 3),
    (4, 3, 0),
]


def operands(m, n, k, ta, tb):
    return {
        "a": normal(*((k, m) if ta else (m, k))),
        "b": normal(*((n, k) if tb else (k, n))),
        "ta": ta,
        "tb": tb,
    }


MATMUL = Op(
    "matmul",
    infer,
    reference,
    grad,
    cut=cut,
    grain=grain,
    tolerance={
        "float32": Tol(
            1e-5,
            2e-6,
            why="a sum of K products in blocks: error about √K · 6e-8 of the result's size",
        ),
        "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
    },
    cases=[
        case(**operands(*s, ta, tb)) for s in SIZES for ta in (False, True) for tb in (False, True)
    ]
    + [
        case(**operands(33, 31, 29, False, True), bias=normal(31), act=act)
        for act in (None, "relu", "tanh", "sigmoid", "leaky_relu")
    ]
    + [
        case(a=normal(12, 10, layout=la), b=normal(10, 14, layout=lb))
        for la in ("F", "strided")
        for lb in ("F", "reversed")
    ],
    bench=[
        case("dense 576→64", **operands(128, 64, 576, False, True), bias=normal(64), act="relu"),
        case("dense 576→64 dw", **operands(64, 576, 128, True, False)),
        case("square", **operands(1024, 1024, 1024, False, False)),
    ],
    prefer={("cpu", p): ("cpu_blas",) for p in ("float32", "float64")},
)
