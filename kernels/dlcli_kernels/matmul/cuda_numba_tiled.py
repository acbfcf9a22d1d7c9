"""The product in tiles, twice over: a block of threads keeps a square of the result in registers
and strips of both operands in shared memory.

64 threads share a tile of 64 × 64 results, 8 × 8 each. Per step they copy strips of A and B, eight
deep, from global to shared memory, neighbouring threads along the axis that is contiguous; then
each thread makes 512 products out of the 128 values that it reads from the strips. In shared memory
k is the slow axis of a strip, and its rows are padded: threads that copy along k write into
different banks. Rows beyond an edge are read as zeros and not written.
"""

from functools import cache

from ..cuda_numba import (
    ACROSS,
    ALIGNMENT,
    activation,
    blocks,
    countable,
    cuda,
    index,
    launch_flat,
    owned,
    products,
    split,
)
from .op import infer

OWN = 8  # results per thread along each axis
TILE = ACROSS * OWN
DEPTH = 8
PITCH = TILE + 4  # from row to row of a strip: eight rows start in eight banks
STRIP = DEPTH * PITCH
THREADS = ACROSS * ACROSS
COPIES = TILE * DEPTH // THREADS  # elements of a strip that each thread copies


def supports(name, *ins, **attrs):
    """Arrays whose elements 32 bits can count."""
    return countable(*ins, *infer(*ins, **attrs).values())


@cache
def kernel(real, ta, tb, act):
    """The kernel for a float type, which operands are transposed, and an activation."""
    accumulate, activate = products(OWN, DEPTH, PITCH), activation(act, real)
    zero = real(0)

    @cuda.jit
    def matmul_tiled(out, a, b, bias, M, N, K):
        thread = cuda.threadIdx.x
        down, right = thread // ACROSS, thread % ACROSS
        row_of_tiles, column_of_tiles = split(cuda.blockIdx.x, (N + TILE - 1) // TILE)
        first_row, first_column = row_of_tiles * TILE, column_of_tiles * TILE
        a_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        b_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        acc = cuda.local.array((OWN, OWN), real)
        u = cuda.local.array(OWN, real)
        v = cuda.local.array(OWN, real)
        for i in range(OWN):
            for j in range(OWN):
                acc[i, j] = zero
        for first in range(0, K, DEPTH):
            for copy in range(COPIES):
                e = thread + copy * THREADS
                i, k = (e % TILE, e // TILE) if ta else (e // DEPTH, e % DEPTH)
                m, value = first_row + i, zero
                if m < M and first + k < K:
                    value = a[index((first + k) * M + m if ta else m * K + first + k)]
                a_strip[k * PITCH + i] = value
                j, k = (e // DEPTH, e % DEPTH) if tb else (e % TILE, e // TILE)
                n, value = first_column + j, zero
                if n < N and first + k < K:
                    value = b[index(n * K + first + k if tb else (first + k) * N + n)]
                b_strip[k * PITCH + j] = value
            cuda.syncthreads()  # the strips are complete
            accumulate(acc, u, v, a_strip, b_strip, down, right)
            cuda.syncthreads()  # nobody reads them any more
        for i in range(OWN):
            for j in range(OWN):
                m, n = first_row + owned(down, i), first_column + owned(right, j)
                if m < M and n < N:
                    z = acc[i, j]
                    if bias is not None:
                        z += bias[n]
                    out[index(m * N + n)] = activate(z)

    return matmul_tiled


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    (M, N), K = out.shape, a.shape[0 if ta else 1]
    tiles = blocks(M, TILE) * blocks(N, TILE)
    launch_flat(kernel(out.dtype.type, ta, tb, act), (tiles,), (THREADS,), out, a, b, bias, M, N, K)
