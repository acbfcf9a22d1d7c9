"""Attention with a thread to a query: what online softmax is, in one loop.

The queries of a block share tiles of KEYS keys and values in shared memory, which its threads copy
together, neighbours along the features. A thread keeps its query, the largest score so far, the sum
of the exponentials and the mean that it makes, all relative to that largest score: when a tile has
a larger one, sum and mean are scaled down to it.
"""

import math
from functools import cache

from ..cuda_numba import ALIGNMENT, blocks, countable, cuda, index, launch_flat, split
from .dot import scale_of

THREADS = 64  # of a block, each with one query
KEYS = 16  # of a tile
MOST_FEATURES = 128  # of a head: two tiles are then 16 KB, or 32 in double precision


def supports(name, q, k, v, *lengths, causal=False, scale=None):
    """Arrays whose elements 32 bits can count, of heads with room for two tiles."""
    return countable(q, k) and 0 < q.shape[3] <= MOST_FEATURES


@cache
def kernel(real, d):
    """The kernel for a float type and a number of features."""
    zero, one, lowest = real(0), real(1), real(-math.inf)
    room = KEYS * d

    @cuda.jit
    def attention_online(out, lse, q, k, v, lengths, T, S, heads, causal, scale):
        thread = cuda.threadIdx.x
        head, tile = split(cuda.blockIdx.x, (T + THREADS - 1) // THREADS)
        n, h = split(head, heads)
        t = tile * THREADS + thread
        count = S
        if lengths is not None:
            count = min(max(lengths[n], 0), S)
        end = min(count, t + 1) if causal else count  # of the keys that this query sees
        last = min(count, (tile + 1) * THREADS) if causal else count  # that any of the block sees
        keys = cuda.shared.array(room, real, ALIGNMENT)
        values = cuda.shared.array(room, real, ALIGNMENT)
        query = cuda.local.array(d, real)
        mean = cuda.local.array(d, real)
        weights = cuda.local.array(KEYS, real)
        row = ((n * T + t) * heads + h) * d
        for c in range(d):
            query[c] = q[index(row + c)] * scale if t < T else zero
            mean[c] = zero
        largest, total = lowest, zero
        for first in range(0, last, KEYS):
            for e in range(thread, room, THREADS):
                i, c = split(e, d)
                at = index(((n * S + first + i) * heads + h) * d + c)
                keys[e] = k[at] if first + i < count else zero
                values[e] = v[at] if first + i < count else zero
            cuda.syncthreads()  # the tile is complete
            top = largest
            for i in range(KEYS):
                score = zero
                for c in range(d):
                    score += query[c] * keys[i * d + c]
                weights[i] = score
                if first + i < end and (score > top or score != score):
                    top = score
            shift = zero if top == lowest else top
            share = real(math.exp(largest - shift))
            largest = top
            total *= share
            for c in range(d):
                mean[c] *= share
            for i in range(KEYS):
                if first + i < end:
                    weight = real(math.exp(weights[i] - shift))
                    total += weight
                    for c in range(d):
                        mean[c] += weight * values[i * d + c]
            cuda.syncthreads()  # nobody reads it any more
        if t < T:
            share = one / total if count > 0 else zero
            for c in range(d):
                out[index(row + c)] = mean[c] * share
            if lse is not None:
                kept = largest + real(math.log(total)) if count > 0 else lowest
                lse[index((n * heads + h) * T + t)] = kept

    return attention_online


def attention(out, lse, q, k, v, lengths, *, causal=False, scale=None):
    (n, t, heads, d), s = q.shape, k.shape[1]
    run, grid = kernel(q.dtype.type, d), (n * heads * blocks(t, THREADS),)
    by = q.dtype.type(scale_of(scale, d))  # of its own type: Numba would compute in a wider one
    arrays = (out, lse, q, k, v, lengths)
    launch_flat(run, grid, (THREADS,), *arrays, t, s, heads, causal, by)
