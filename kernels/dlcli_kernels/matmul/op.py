"""Matrix product with bias and activation as epilogue: out[m, n] = act(bias[n] + Σₖ A[m, k] · B[k,
n]).

a is (M, K), or (K, M) with `ta`; b is (K, N), or (N, K) with `tb`; bias (N,). A dense layer is
matmul(x, w, bias, tb=True) with w (out, in). Products of many pairs are in `batched.py`.
"""

import numpy as np

from ..elementwise.activations import EPILOGUES, activate
from ..spec import Op, Tol, case, normal, uniform
from .batched import BMM  # noqa: F401  (an op of this family)


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


def by_columns(m, n):
    """Whether the columns of the result are cut rather than its rows: where they are twice as many,
    since rows are what lies together.
    """
    return n > 2 * m


def cut(a, b, bias=None, *, ta=False, tb=False, act=None):
    """By rows of the result, or by its columns: b is then the operand that is cut."""
    m, n, _ = extents(a, b, ta, tb)
    if by_columns(m, n):
        return {"b": 0 if tb else 1, "bias": 0, "out": 1}
    return {"a": 1 if ta else 0, "out": 0}


def grain(a, b, bias=None, *, ta=False, tb=False, act=None):
    """Ranges of 8 MFLOP and more, or two of 4 and more; at most 16, a power of two of them so that
    threads share evenly.

    Each range packs the whole of the other operand anew, so that thin ones are slow: up to four are
    64 rows or columns thick where that can be, more of them 128.
    """
    m, n, k = extents(a, b, ta, tb)
    long, flops = n if by_columns(m, n) else m, 2 * m * n * k
    most = max(flops // 8_000_000, 1)
    ranges = 2 if most == 1 and flops >= 8_000_000 else min(16, 1 << most.bit_length() - 1)
    while ranges > 2 and long < ranges * (128 if ranges > 4 else 64):
        ranges //= 2
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
TILED = [  # around the tiles of the variants, 32 … 256 by 32 … 256, and cut along k
    (31, 33, 64),
    (32, 32, 65),
    (129, 33, 17),
    (512, 36, 20),
    (508, 65, 36),
    (256, 260, 33),
    (130, 257, 70),
    (24, 12, 700),
    (65, 33, 600),
    (264, 392, 40),
    (264, 520, 72),
    (8, 1032, 392),  # more tiles than blocks of a persistent grid, more strips than buffers
]


def operands(m, n, k, ta, tb):
    return {
        "a": normal(*((k, m) if ta else (m, k))),
        "b": normal(*((n, k) if tb else (k, n))),
        "ta": ta,
        "tb": tb,
    }


def flops(a, b, bias=None, **attrs):
    m, n, k = extents(a, b, attrs.get("ta", False), attrs.get("tb", False))
    return 2 * m * n * k


def sized(M=1024, N=1024, K=1024):
    return case(**operands(M, N, K, False, False))


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
            1.5e-5,
            why="a chain of K sums errs by 2.4e-8 · √K of the result's size: 2.2e-6 at K = 8192,"
            " and the worst of 10⁸ elements by six times that",
        ),
        "tf32": Tol(
            1e-3,
            2e-3,
            why="operands rounded to 11 bits, by 2e-4 each: 3e-4 of the result's size, the worst"
            " of 10⁸ elements six times that; a single product by at most 2 · 2⁻¹¹",
        ),
        "bfloat16": Tol(
            4e-3,
            1e-4,
            why="the result is rounded to 8 bits, by at most 2⁻⁸; products are exact, sums are"
            " float32 that the tensor cores cut off: some 2⁻²⁴ · K/16 of the result's size",
        ),
        "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
    },
    cases=[
        case(**operands(*s, ta, tb)) for s in SIZES for ta in (False, True) for tb in (False, True)
    ]
    + [
        case(a=normal(33, 29), b=uniform(-0.3, 0.3, 31, 29), tb=True, bias=normal(31), act=act)
        for act in (None, "relu", "tanh", "sigmoid", "leaky_relu")
    ]
    + [case("tiles", **operands(*s, i % 2 == 1, i // 2 % 2 == 1)) for i, s in enumerate(TILED)]
    + [
        case(
            "aligned rows",
            a=normal(136, 72),
            b=uniform(-0.2, 0.2, 72, 264),
            bias=normal(264),
            act="relu",
        ),
        case(
            "aligned rows",
            a=normal(72, 136),
            b=uniform(-0.2, 0.2, 131, 72),
            ta=True,
            tb=True,
            bias=normal(131),
            act="tanh",
        ),
    ]
    + [
        case(
            "cut along k",
            a=normal(40, 900),
            b=uniform(-0.05, 0.05, 900, n),
            bias=normal(n),
            act="tanh",
        )
        for n in (8, 9)
    ]
    + [
        case(a=normal(12, 10, layout=la), b=normal(10, 14, layout=lb))
        for la in ("F", "strided")
        for lb in ("F", "reversed")
    ],
    bench=[
        case("dense 576→64", **operands(128, 64, 576, False, True), bias=normal(64), act="relu"),
        case("dense 576→64 dw", **operands(64, 576, 128, True, False)),
        *(
            case(f"square {n}", **operands(n, n, n, False, False))
            for n in (256, 512, 1024, 2048, 4096, 8192)
        ),
    ],
    flops=flops,
    sized=sized,
    prefer={
        **{("cpu", p): ("cpu_blas",) for p in ("float32", "float64")},
        ("cuda", "float32"): ("cuda_raw_warptile", "cuda_numba_tiled"),
        ("cuda", "tf32"): ("cuda_raw_tf32",),
        ("cuda", "bfloat16"): ("cuda_raw_wgmma", "cuda_raw_bf16"),
    },
)
