"""Attention in tiles of QUERIES by KEYS scores, which stay in the L2 cache: two products by BLAS a
tile, and between them the exponentials of its rows while they are in the L1 cache.

Arrays are flat, from the first element of the range's first head on; the rows of a head lie `ld`
elements apart, which BLAS takes as they are. The queries of a tile are copied, times the scale.
Padding is left out of the products, and so are the tiles above the diagonal where attention is
causal. The gradient runs the keys' tiles outside and the queries' inside, with five products a
tile, and adds to its results in place.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_copy import fill
from ..cpu_gemm import gemm
from ..cpu_math import exponential
from .cpu_numba import NO_LENGTHS, count_of
from .dot import scale_of

QUERIES, KEYS = 128, 256
NO_LSE = {np.dtype(t): np.empty(0, t) for t in ("float32", "float64")}


@kernel
def seen_by(t, first, count, causal):
    """How many of `count` keys from `first` on query t sees."""
    return min(count, max(t + 1 - first, 0)) if causal else count


@kernel
def copy_scaled(to, rows, q, ld, by):
    """to (rows, d) = `rows` rows of q · by"""
    for i in range(rows):
        row, copied = q[i * ld : i * ld + to.shape[1]], to[i]
        for c in range(copied.size):
            copied[c] = row[c] * by


@kernel
def larger(a, b):
    return a if a > b else b


@kernel
def largest_of(x, room):
    """The largest of a row of at least one: eight eighths at once, which vectorises. A NaN may be
    passed over, since it makes the row's exponentials NaN all the same.
    """
    n, part = x.size, x.size // 8
    top = x[0]
    if part:
        a, b, c, d = x[:part], x[part : 2 * part], x[2 * part : 3 * part], x[3 * part : 4 * part]
        rest = x[4 * part : 8 * part]
        e, f, g, h = rest[:part], rest[part : 2 * part], rest[2 * part : 3 * part], rest[3 * part :]
        for i in range(part):
            one, two = larger(larger(a[i], b[i]), larger(c[i], d[i])), larger(e[i], f[i])
            room[i] = larger(larger(one, two), larger(g[i], h[i]))
        for i in range(part):
            top = larger(top, room[i])
    for i in range(8 * part, n):
        top = larger(top, x[i])
    return top


@kernel
def softmax_row(row, seen, largest, room):
    """row[:seen] become e^(score − the largest so far), the rest 0: (the largest, their sum)."""
    row[seen:] = 0
    zero = row.dtype.type(0)
    if seen == 0:
        return largest, zero
    scores = row[:seen]
    top = max(largest, largest_of(scores, room))
    shift = zero if top == -np.inf else top
    total = zero
    for j in range(seen):
        e = exponential(scores[j] - shift)
        scores[j] = e
        total += e
    return top, total


@kernel
def forward_tile(found, qs, k, v, ld, t0, rows, count, causal, s, state, room):
    """found (QUERIES, d): what `rows` queries from t0 on find, yet to be divided by state[1].

    k and v begin with a head's first row. state[0] becomes the largest score of each row, state[1]
    the sum of its exponentials. qs (QUERIES, d), s (QUERIES, KEYS), room (KEYS,) are scratch.
    """
    d, wide = found.shape[1], s.shape[1]
    largest, total = state[0], state[1]
    largest[:rows] = -np.inf
    total[:rows] = 0
    zero = found.dtype.type(0)
    last = min(count, t0 + rows) if causal else count
    for s0 in range(0, last, wide):
        keys = min(wide, last - s0)
        gemm(False, True, rows, keys, d, qs, d, k[s0 * ld :], ld, False, s, wide)
        for i in range(rows):
            seen = seen_by(t0 + i, s0, keys, causal)
            top, sum_of_row = softmax_row(s[i, :keys], seen, largest[i], room)
            if s0 > 0 and top != largest[i]:
                share, row = exponential(largest[i] - (zero if top == -np.inf else top)), found[i]
                total[i] *= share
                for c in range(d):
                    row[c] *= share
            largest[i] = top
            total[i] += sum_of_row
        gemm(False, False, rows, d, keys, s, wide, v[s0 * ld :], ld, s0 > 0, found, d)


@kernel
def forward(out, lse, ln, q, k, v, shape, ld, lengths, causal, scale, scratch):
    """shape: (N, T, S, heads, d). lse: empty, or T numbers of each head, sequences `ln` apart."""
    n, t, keys, heads, d = shape
    tile, one = QUERIES * d, scratch.dtype.type(1)
    qs, found = scratch[:tile].reshape(QUERIES, d), scratch[tile : 2 * tile].reshape(QUERIES, d)
    s = scratch[2 * tile : 2 * tile + QUERIES * KEYS].reshape(QUERIES, KEYS)
    rest = scratch[2 * tile + QUERIES * KEYS :]
    state, room = rest[: 2 * QUERIES].reshape(2, QUERIES), rest[2 * QUERIES :]
    for i in range(n):
        count = count_of(i, lengths, keys)
        for h in range(heads):
            own_k, own_v = k[i * keys * ld + h * d :], v[i * keys * ld + h * d :]
            for t0 in range(0, t, QUERIES):
                rows, first = min(QUERIES, t - t0), (i * t + t0) * ld + h * d
                copy_scaled(qs, rows, q[first:], ld, scale)
                forward_tile(
                    found, qs, own_k, own_v, ld, t0, rows, count, causal, s, state, room
                )  # fmt: skip
                for r in range(rows):
                    row, to = found[r], out[first + r * ld : first + r * ld + d]
                    share = one / state[1, r]
                    for c in range(d):
                        to[c] = row[c] * share
                    if count == 0:
                        to[:] = 0
                if lse.size:
                    kept = lse[i * ln + h * t + t0 :]
                    for r in range(rows):
                        kept[r] = state[0, r] + np.log(state[1, r])


# --- the gradient ---------------------------------------------------------------------------------


@kernel
def backward_tile(dq, dk, dv, dout, delta, lse, qs, k, v, ld, t0, rows, s0, keys, causal, p, dp):
    """What `rows` queries from t0 on and `keys` keys from s0 on add to each other's gradients.

    Flat arrays begin with the tile's first row; qs (QUERIES, d), p and dp (QUERIES, KEYS) are
    packed. dq is left to be scaled.
    """
    d, wide = qs.shape[1], p.shape[1]
    gemm(False, True, rows, keys, d, qs, d, k, ld, False, p, wide)
    gemm(False, True, rows, keys, d, dout, ld, v, ld, False, dp, wide)
    for i in range(rows):
        seen = seen_by(t0 + i, s0, keys, causal)
        row, drow, shift, less = p[i], dp[i], lse[i], delta[i]
        for j in range(seen):
            row[j] = exponential(row[j] - shift)
        for j in range(seen):
            drow[j] = row[j] * (drow[j] - less)
        row[seen:keys] = 0
        drow[seen:keys] = 0
    gemm(True, False, keys, d, rows, p, wide, dout, ld, True, dv, ld)
    gemm(True, False, keys, d, rows, dp, wide, qs, d, True, dk, ld)
    gemm(False, False, rows, d, keys, dp, wide, k, ld, True, dq, ld)


@kernel
def backward(dq, dk, dv, dout, out, lse, ln, q, k, v, shape, ld, lengths, causal, scale, scratch):
    """As `forward`; dq, dk and dv begin as 0."""
    n, t, keys, heads, d = shape
    tile = QUERIES * KEYS
    qs = scratch[: QUERIES * d].reshape(QUERIES, d)
    tiles = scratch[QUERIES * d : QUERIES * d + 2 * tile].reshape(2, QUERIES, KEYS)
    delta = scratch[QUERIES * d + 2 * tile :]
    for i in range(n):
        count = count_of(i, lengths, keys)
        for h in range(heads):
            of_q, of_k = i * t * ld + h * d, i * keys * ld + h * d
            for r in range(t):
                a, total = of_q + r * ld, 0.0
                one, two = dout[a : a + d], out[a : a + d]
                for c in range(d):
                    total += np.float64(one[c]) * two[c]
                delta[r] = total
            for s0 in range(0, count, KEYS):
                b = of_k + s0 * ld
                for t0 in range(s0 // QUERIES * QUERIES if causal else 0, t, QUERIES):
                    a, rows = of_q + t0 * ld, min(QUERIES, t - t0)
                    seen = min(KEYS, (min(count, t0 + rows) if causal else count) - s0)
                    copy_scaled(qs, rows, q[a:], ld, scale)
                    backward_tile(
                        dq[a:], dk[b:], dv[b:], dout[a:], delta[t0:], lse[i * ln + h * t + t0 :],
                        qs, k[b:], v[b:], ld, t0, rows, s0, seen, causal, tiles[0], tiles[1],
                    )  # fmt: skip
            for r in range(t):
                row = dq[of_q + r * ld : of_q + r * ld + d]
                for c in range(d):
                    row[c] *= scale


# --- operands -------------------------------------------------------------------------------------


def workspace(op, *ins, **attrs):
    """A tile of scores and the rows' states, or two tiles and a number for each query; one or two
    tiles of queries.
    """
    q = ins[-4]
    t, d = q.shape[1], q.shape[3]
    if op == "attention":
        return q.like(QUERIES * (2 * d + KEYS + 2) + KEYS)
    return q.like(QUERIES * (d + 2 * KEYS) + t)


def flat(*arrays):
    """Each array from its first element to its last, with what of other heads lies between: one
    type of array for a range of sequences and one of heads.
    """
    for a in arrays:
        if a.flags.c_contiguous:
            yield a.reshape(-1)
        else:
            span = sum((n - 1) * step for n, step in zip(a.shape, a.strides, strict=True))
            yield np.lib.stride_tricks.as_strided(a, (span // a.itemsize + 1,), (a.itemsize,))


def row_step(q, k):
    """Elements from one row of a head to its next, in q, k and all arrays like them. An axis of
    extent 1 may have any stride.
    """
    steps = [a.strides[1] for a in (q, k) if a.shape[1] > 1]
    steps += [q.strides[0]] if q.shape[0] > 1 else [q.shape[2] * q.shape[3] * q.itemsize]
    return steps[0] // q.itemsize


def attention(out, lse, q, k, v, lengths, *, causal=False, scale=None, scratch):
    if not q.size or not k.size:
        fill(out, 0)
        if lse is not None:
            fill(lse, -np.inf)
        return
    (n, t, heads, d), s = q.shape, k.shape[1]
    by, ld = q.dtype.type(scale_of(scale, d)), row_step(q, k)
    kept, ln = (NO_LSE[q.dtype], 0) if lse is None else (*flat(lse), lse.strides[0] // lse.itemsize)
    counts, shape = NO_LENGTHS if lengths is None else lengths, (n, t, s, heads, d)
    forward(*flat(out), kept, ln, *flat(q, k, v), shape, ld, counts, causal, by, scratch)


def attention_grad(
    dq, dk, dv, dout, out, lse, q, k, v, lengths, *, causal=False, scale=None, scratch
):
    for array in (dq, dk, dv):
        fill(array, 0)
    if not q.size or not k.size:
        return
    (n, t, heads, d), s = q.shape, k.shape[1]
    by, ld, ln = q.dtype.type(scale_of(scale, d)), row_step(q, k), lse.strides[0]
    counts, shape = NO_LENGTHS if lengths is None else lengths, (n, t, s, heads, d)
    grads, operands = flat(dq, dk, dv, dout, out, lse), flat(q, k, v)
    backward(*grads, ln // lse.itemsize, *operands, shape, ld, counts, causal, by, scratch)
