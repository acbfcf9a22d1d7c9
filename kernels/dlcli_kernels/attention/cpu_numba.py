"""Scores of a small network, and weights from scores: a row at a time while it is in the L1 cache,
with the vectorised tanh and exponential of the other families.

A pair of query and key is a few short loops over its units, each of which reads and writes
different arrays or the same one: LLVM then takes them as vectors.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_math import hyperbolic_tangent
from ..softmax.cpu_numba import softmax_rows

NO_LENGTHS = np.empty(0, np.int32)


@kernel
def count_of(n, lengths, keys):
    """How many of the keys sequence n has."""
    return min(max(lengths[n], 0), keys) if lengths.size else keys


@kernel
def softmax_within(out, x, lengths):
    """x and out (N, rows, S)."""
    for n in range(x.shape[0]):
        count = count_of(n, lengths, x.shape[2])
        out[n, :, count:] = 0.0
        if count:
            softmax_rows(out[n, :, :count], x[n, :, :count])


@kernel
def scores(out, queries, keys, v, lengths):
    for n in range(queries.shape[0]):
        count = count_of(n, lengths, keys.shape[1])
        for q in range(queries.shape[1]):
            query, row = queries[n, q], out[n, q]
            for s in range(count):
                key = keys[n, s]
                total = v.dtype.type(0)
                for u in range(v.size):
                    total += v[u] * hyperbolic_tangent(query[u] + key[u])
                row[s] = total
            row[count:] = 0.0


@kernel
def scores_grad(dqueries, dkeys, dv, dout, queries, keys, v, lengths, h):
    """h (U,) is scratch."""
    one = v.dtype.type(1)
    dqueries[:] = 0.0
    dkeys[:] = 0.0
    dv[:] = 0.0
    for n in range(queries.shape[0]):
        for q in range(queries.shape[1]):
            query, dquery = queries[n, q], dqueries[n, q]
            for s in range(count_of(n, lengths, keys.shape[1])):
                key, dkey, d = keys[n, s], dkeys[n, s], dout[n, q, s]
                for u in range(v.size):
                    h[u] = hyperbolic_tangent(query[u] + key[u])
                for u in range(v.size):
                    dv[u] += d * h[u]
                for u in range(v.size):
                    h[u] = d * v[u] * (one - h[u] * h[u])
                for u in range(v.size):
                    dquery[u] += h[u]
                for u in range(v.size):
                    dkey[u] += h[u]


def workspace(op, *ins, **attrs):
    """The units of one pair."""
    return ins[3] if op == "additive_scores_grad" else None


def masked_softmax(out, x, lengths):
    if x.size:
        rows = (x.shape[0], -1, x.shape[-1])
        softmax_within(out.reshape(rows), x.reshape(rows), lengths)


def additive_scores(out, queries, keys, v, lengths):
    scores(out, queries, keys, v, NO_LENGTHS if lengths is None else lengths)


def additive_scores_grad(dqueries, dkeys, dv, dout, queries, keys, v, lengths, *, scratch):
    counts = NO_LENGTHS if lengths is None else lengths
    scores_grad(dqueries, dkeys, dv, dout, queries, keys, v, counts, scratch)
