"""Additive attention's scores, a warp to a pair of query and key, and softmax over a sequence's
length, a warp to a row (cuda_raw_pairs.cu).

A tanh is some twenty instructions and its operands are in the caches: bound by arithmetic. The
gradient computes every tanh twice, once along the keys (dqueries, shares of dv) and once along the
queries (dkeys), so that each sum is one thread's: no atomics, the same bits in every run. Chosen by
analysis; not measured.
"""

import math

from ..raw import Source, target

SOURCE = Source(__name__, "cuda_raw_pairs.cu")
THREADS, WARPS = 256, 8
BLOCKS = 8  # of a multiprocessor: 2,048 threads, all that it holds
LARGEST = (1 << 31) - (1 << 24)  # elements of an array: an index may go a grid beyond it


def supports(op, *ins):
    sizes = [spec.size for spec in ins if spec is not None]
    if op != "masked_softmax":
        queries, keys = ins[-4], ins[-3]
        sizes.append(math.prod(queries.shape[:2]) * keys.shape[1])
    return ins[0].dtype == "float32" and max(sizes) <= LARGEST


def workspace(op, *ins):
    """Each query's share of dv."""
    return ins[1] if op == "additive_scores_grad" and ins[1].size else None


def grid(count, of_block):
    """Blocks for so many pieces of work."""
    return min(-(-count // of_block), BLOCKS * target().multiprocessors)


def masked_softmax(out, x, lengths):
    if x.size:
        keys = x.shape[-1]
        rows = x.size // keys
        SOURCE.kernel("masked_softmax")(
            grid(rows, WARPS), THREADS, out, x, lengths, rows, rows // x.shape[0], keys
        )


def additive_scores(out, queries, keys, v, lengths):
    (_, q, u), s = queries.shape, keys.shape[1]
    SOURCE.kernel("additive_scores")(
        grid(out.size, WARPS), THREADS, out, queries, keys, v, lengths, out.size, q, s, u
    )


def additive_scores_grad(dqueries, dkeys, dv, dout, queries, keys, v, lengths, *, scratch=None):
    (n, q, u), s = queries.shape, keys.shape[1]
    operands, sizes = (dout, queries, keys, v, lengths), (q, s, u)
    SOURCE.kernel("additive_dqueries")(
        grid(queries.size, THREADS), THREADS, dqueries, scratch, *operands, queries.size, *sizes
    )
    SOURCE.kernel("additive_dkeys")(
        grid(keys.size, THREADS), THREADS, dkeys, *operands, keys.size, *sizes
    )
    SOURCE.kernel("additive_dv")(-(-u // 32), THREADS, dv, scratch, n * q, u)
