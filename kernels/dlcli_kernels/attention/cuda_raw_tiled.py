"""FlashAttention-2 (Dao 2023) in float32: a block to a tile of queries, scores in registers,
weights in shared memory; the gradient in two kernels without atomics (cuda_raw_tiled.cu,
attention.cuh).

4 · T · S · d FLOP a head against 4 · d · (T + S) numbers read: bound by arithmetic, that is by how
the FMAs get their operands. A thread reads 1.5 bytes of shared memory per FMA with 8 rows and 4
others (2.5 with 2 others, where d is beyond 64 and shared memory would hold one block), most of
them one word for half a warp. The gradient makes scores twice, in exchange for the same bits in
every run. Chosen by analysis; not measured.
"""

import numpy as np

from ..raw import Source, target
from .dot import scale_of

SOURCE = Source(__name__, "cuda_raw_tiled.cu")
LARGEST = (1 << 31) - 1  # elements of an array, so that 32 bits count its rows
MOST_FEATURES = 128
THREADS, GROUPS, LANES = 128, 8, 16  # as attention.cuh has them
# features of a head at most -> (own rows of a group, others of a tile), forward and gradient
FORWARD = {32: (8, 64), 64: (8, 64), 128: (8, 32)}
GRADIENT = {32: (8, 32), 64: (8, 32), 128: (4, 32)}
FLOAT = 4


def supports(op, *ins, causal=False, scale=None):
    q, k = ins[-4], ins[-3]
    sizes = q.size <= LARGEST and k.size <= LARGEST
    return q.dtype == "float32" and 0 < q.shape[3] <= MOST_FEATURES and sizes


def workspace(op, *ins, causal=False, scale=None):
    """The gradient's delta: a number for each query of each head."""
    if op == "attention":
        return None
    n, t, heads, _ = ins[-4].shape
    return ins[-4].like(n, heads, t) if n * t * heads else None


class Tiles:
    """The forms of the kernels for a shape, and how they are launched."""

    def __init__(self, table, q, k, lengths, causal, scale):
        (self.n, self.t, self.heads, self.d), self.s = q.shape, k.shape[1]
        self.features = next(most for most in table if self.d <= most)
        self.rows, self.others = table[self.features]
        by = np.float32(scale_of(scale, self.d))
        self.tail = (lengths, self.t, self.s, self.heads, self.d, int(causal), by)

    def kernel(self, name):
        return SOURCE.kernel(name, D=self.features, ROWS=self.rows, OTHERS=self.others)

    def run(self, name, own, own_tiles, *arrays):
        """A block for each tile of the `own` rows of a head; shared memory for so many tiles of
        them, two of others, and the weights.
        """
        rows, pitch = GROUPS * self.rows, self.features + 4
        weights = rows * (self.others + 4)
        shared = FLOAT * (own_tiles * rows * pitch + 2 * self.others * pitch + weights)
        blocks = -(-own // rows) * self.heads * self.n
        self.kernel(name)(blocks, THREADS, *arrays, *self.tail, shared=shared)


def attention(out, lse, q, k, v, lengths, *, causal=False, scale=None):
    Tiles(FORWARD, q, k, lengths, causal, scale).run(
        "attention_forward", q.shape[1], 1, out, lse, q, k, v
    )


def attention_grad(
    dq, dk, dv, dout, out, lse, q, k, v, lengths, *, causal=False, scale=None, scratch=None
):
    tiles = Tiles(GRADIENT, q, k, lengths, causal, scale)
    n, t, heads, d = q.shape
    blocks = min(-(-n * t * heads // GROUPS), 16 * target().multiprocessors)
    tiles.kernel("attention_delta")(blocks, THREADS, scratch, dout, out, n * t * heads, t, heads, d)
    operands = (dout, lse, scratch, q, k, v)
    tiles.run("attention_dkv", k.shape[1], 2, dk, dv, *operands)
    tiles.run("attention_dq", t, 2, dq, *operands)
