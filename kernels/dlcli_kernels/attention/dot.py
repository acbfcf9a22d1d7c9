"""Scaled dot-product attention (Vaswani et al. 2017) of several heads, and its gradient.

    p[n, h, t, s] = softmax over the keys s that t sees of scale · Σ_d q[n, t, h, d] · k[n, s, h, d]
    out[n, t, h, d] = Σ_s p[n, h, t, s] · v[n, s, h, d]

q is (N, T, heads, d), k and v are (N, S, heads, d). Keys from lengths[n] (N,) int32 on are padding
(a length below 0 counts as 0, one above S as S); with `causal` query t sees the keys 0 … t,
wherever T and S end, as PyTorch has it. A query that sees nothing gets 0. scale: 1/√d where it is
None.

The weights p are an array in the references alone. Kernels go along the keys block by block (online
softmax: Milakov & Gimelshein 2018; Dao 2023), and keep of a row its lse = log Σ_s exp(score), from
which the gradient makes each block of p again.
"""

import numpy as np

from ..spec import Op, Tol, case, integers, normal
from .masked import check_lengths, some_lengths, within

HEAD = {"q": 2, "k": 2, "v": 2, "out": 2, "dout": 2, "dq": 2, "dk": 2, "dv": 2, "lse": 1}
ROWS = {**dict.fromkeys(HEAD, 0), "lengths": 0}
# N, T, S, heads, d
SIZES = [(1, 1, 1, 1, 1), (2, 3, 5, 2, 4), (1, 7, 7, 3, 5), (3, 1, 9, 1, 8), (2, 6, 1, 2, 3)]
SIZES += [(0, 2, 3, 1, 4), (2, 0, 3, 1, 4), (2, 3, 0, 1, 4), (1, 3, 2, 0, 4), (1, 65, 33, 1, 32)]
CAUSAL = [
    (2, 5, 5, 2, 4),
    (1, 9, 3, 1, 6),
    (1, 4, 11, 2, 3),
    (1, 64, 64, 1, 16),
    (1, 67, 130, 1, 8),
]
LENGTHS = [(5, 4, 6, 2, 3), (7, 1, 3, 1, 8), (3, 66, 70, 1, 9)]
# beyond one tile of a kernel along queries, keys and d
TILED = [(1, 130, 65, 1, 64), (1, 63, 129, 2, 33), (1, 40, 97, 1, 96), (1, 70, 40, 1, 128)]
BENCH = [(32, 64, 64, 4, 32), (8, 256, 256, 8, 64), (1, 1024, 1024, 8, 64), (1, 4096, 4096, 1, 64)]
PREFER = {
    **{("cpu", p): ("cpu_tiled",) for p in ("float32", "float64")},
    ("cuda", "float32"): ("cuda_raw_tiled",),
}
FORWARD = {
    "float32": Tol(2e-5, 5e-6, why="exp of a sum of d products, which errs by 1e-7 of its size"),
    "float64": Tol(1e-12, 1e-14, why="the same in double precision"),
}
GRADIENT = {
    "float32": Tol(5e-5, 2e-5, why="differences of sums, times weights that err as the forward's"),
    "float64": Tol(1e-11, 1e-13, why="the same in double precision"),
}


def extents(op, q, k, v, lengths):
    """(N, T, S, heads, d); ValueError if the operands do not fit each other."""
    fits = len(q.shape) == len(k.shape) == 4 and k.shape == v.shape
    if not fits or (q.shape[0], *q.shape[2:]) != (k.shape[0], *k.shape[2:]):
        raise ValueError(
            f"{op}: q (N, T, heads, d), k and v (N, S, heads, d) are needed, not"
            f" {q.shape}, {k.shape} and {v.shape}"
        )
    check_lengths(op, q.shape[0], lengths)
    return *q.shape[:2], k.shape[1], *k.shape[2:]


def scale_of(scale, d):
    """What scores are multiplied by."""
    return 1.0 / max(d, 1) ** 0.5 if scale is None else scale


def infer(q, k, v, lengths=None, *, causal=False, scale=None):
    n, t, _, heads, _ = extents("attention", q, k, v, lengths)
    return {"out": q, "lse": q.like(n, heads, t)}


def scores_of(q, k, lengths, causal, scale):
    """Scaled products (N, heads, T, S), and which of the pairs see each other, (N, 1, T, S)."""
    (n, t, _, d), s = q.shape, k.shape[1]
    counts = np.full(n, s) if lengths is None else within(lengths, s)
    seen = np.arange(s) < counts[:, np.newaxis, np.newaxis, np.newaxis]
    if causal:
        seen = seen & (np.arange(s) <= np.arange(t)[:, np.newaxis])
    products = np.einsum("nthd,nshd->nhts", q, k) * q.dtype.type(scale_of(scale, d))
    return products, np.broadcast_to(seen, (n, 1, t, s))


def attention(q, k, v, lengths=None, *, causal=False, scale=None):
    """All weights at once."""
    scores, seen = scores_of(q, k, lengths, causal, scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.where(seen, scores, -np.inf)
        largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        p = np.where(seen, np.exp(scores - largest), 0)
        total = p.sum(axis=-1, keepdims=True)
        weights = np.where(seen, p / total, 0)
        lse = (largest + np.log(total))[..., 0]
    return np.einsum("nhts,nshd->nthd", weights, v), lse


def gradient(call, ins, outs, douts, needed, *, causal=False, scale=None):
    operands = (douts.out, outs.out, outs.lse, ins.q, ins.k, ins.v, ins.lengths)
    grads = call("attention_grad", *operands, causal=causal, scale=scale)
    return dict(zip(("q", "k", "v"), grads, strict=True))


def infer_grad(dout, out, lse, q, k, v, lengths=None, *, causal=False, scale=None):
    n, t, _, heads, _ = extents("attention_grad", q, k, v, lengths)
    if dout.shape != q.shape or out.shape != q.shape or lse.shape != (n, heads, t):
        raise ValueError(
            f"attention_grad: dout and out are {q.shape} and lse {(n, heads, t)}, not"
            f" {dout.shape}, {out.shape} and {lse.shape}"
        )
    return {"dq": q, "dk": k, "dv": v}


def attention_grad(dout, out, lse, q, k, v, lengths=None, *, causal=False, scale=None):
    """With dp = dout · vᵀ: dscore = p (dp − Σ_d dout · out), since Σ_s p dp is that sum."""
    scores, seen = scores_of(q, k, lengths, causal, scale)
    with np.errstate(invalid="ignore", over="ignore"):
        p = np.where(seen, np.exp(scores - lse[..., np.newaxis]), 0)
        dp = np.einsum("nthd,nshd->nhts", dout, v)
        delta = np.einsum("nthd,nthd->nht", dout, out)[..., np.newaxis]
        ds = np.where(seen, p * (dp - delta), 0) * q.dtype.type(scale_of(scale, q.shape[-1]))
        dq = np.einsum("nhts,nshd->nthd", ds, k)
        dk = np.einsum("nhts,nthd->nshd", ds, q)
    return dq, dk, np.einsum("nhts,nthd->nshd", p, dout)


# --- how the work is cut --------------------------------------------------------------------------


def cut(q, k, v, *others, **attrs):
    """By sequences; by heads where these are more, and sequences too few to go round."""
    return HEAD if q.shape[0] < min(q.shape[2], 8) else ROWS


def cut_grad(dout, out, lse, q, k, v, *others, **attrs):
    return cut(q, k, v)


def grain(*specs, **attrs):
    """One sequence, or head, or as many as make some 2 million products."""
    q, k = specs[-4], specs[-3]
    n, t, heads, d = q.shape
    each = t * k.shape[1] * d * (n if cut(q, k, k) is HEAD else heads)
    return max(1, 2_000_000 // max(each, 1))


def products(q, k, causal):
    """Multiplications and additions of one product of all queries and keys."""
    n, t, heads, d = q.shape
    s = k.shape[1]
    pairs = sum(min(i + 1, s) for i in range(t)) if causal else t * s
    return 2 * n * heads * d * pairs


# --- cases ----------------------------------------------------------------------------------------


def operands(n, t, s, heads, d, layout="C"):
    return {
        "q": normal(n, t, heads, d, layout=layout),
        "k": normal(n, s, heads, d),
        "v": normal(n, s, heads, d),
    }


def operands_grad(n, t, s, heads, d, lengths=None, scale=None, causal=False):
    """out and lse are those of the other operands."""

    def make(rng, dtype):
        q, dout = (rng.standard_normal((n, t, heads, d)).astype(dtype) for _ in range(2))
        k, v = (rng.standard_normal((n, s, heads, d)).astype(dtype) for _ in range(2))
        given = {}
        if lengths:
            given["lengths"] = rng.integers(*lengths, n, dtype=np.int32)
        found = attention(q, k, v, given.get("lengths"), causal=causal, scale=scale)
        out, lse = (array.astype(dtype) for array in found)
        return {"q": q, "k": k, "v": v, "dout": dout, "out": out, "lse": lse, **given}

    return make


def case_grad(n, t, s, heads, d, lengths=None, **attrs):
    name = f"{n}×{t}×{s}×{heads}×{d}" + (" lengths" if lengths else "")
    return case(name, make=operands_grad(n, t, s, heads, d, lengths, **attrs), **attrs)


BEYOND = (-3, 9)  # lengths beyond both ends of five keys
ATTENTION = Op(
    "attention",
    infer,
    attention,
    gradient,
    optional=("lse",),
    cut=cut,
    grain=grain,
    tolerance=FORWARD,
    cases=[case(**operands(*s), causal=False) for s in [*SIZES, *TILED]]
    + [case(**operands(*s), causal=True) for s in CAUSAL]
    + [
        case(**operands(*s), lengths=some_lengths(s[0], s[2]), causal=causal)
        for s in LENGTHS
        for causal in (False, True)
    ]
    + [
        case(
            "lengths beyond both ends",
            **operands(9, 3, 5, 1, 4),
            lengths=integers(*BEYOND, 9, dtype=np.int32),
        )
    ]
    + [
        case("peaked", **operands(2, 9, 40, 2, 16), scale=4.0),
        case(**operands(1, 3, 4, 2, 5), scale=0.0),
    ]
    + [case("negative scale", **operands(2, 4, 70, 1, 8), scale=-0.5)]
    + [case(**operands(2, 3, 5, 2, 4, layout)) for layout in ("F", "strided", "reversed")],
    bench=[case(**operands(*s), causal=causal) for s in BENCH for causal in (False, True)],
    flops=lambda q, k, v, lengths=None, *, causal=False, scale=None: 2 * products(q, k, causal),
    sized=lambda N=8, T=256, S=256, H=8, D=64: case(**operands(N, T, S, H, D), causal=False),
    prefer=PREFER | {("cuda", "float32"): ("cuda_raw_tiled", "cuda_numba")},
)
ATTENTION_GRAD = Op(
    "attention_grad",
    infer_grad,
    attention_grad,
    cut=cut_grad,
    grain=grain,
    tolerance=GRADIENT,
    # not where every query sees one key: p is 1 whatever the scores are, dq what rounding leaves
    cases=[case_grad(*s, causal=False) for s in [*SIZES, *TILED] if s[2] != 1]
    + [case_grad(*s, causal=True) for s in CAUSAL]
    + [case_grad(*s, (0, s[2] + 1), causal=False) for s in LENGTHS]
    + [case_grad(*s, (0, s[2] + 1), causal=True) for s in LENGTHS if s[1] != 1]
    + [case_grad(9, 3, 5, 1, 4, BEYOND)]
    + [case_grad(2, 9, 40, 2, 16, scale=scale) for scale in (2.0, -0.5)],
    bench=[case_grad(*s, causal=causal) for s in BENCH[:3] for causal in (False, True)],
    flops=lambda dout, out, lse, q, k, v, lengths=None, *, causal=False, scale=None: (
        5 * products(q, k, causal)
    ),
    sized=lambda N=8, T=256, S=256, H=8, D=64: case_grad(N, T, S, H, D, causal=False),
    prefer=PREFER,
)
