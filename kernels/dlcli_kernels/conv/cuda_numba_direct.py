"""Convolution and its two gradients as tiled products whose operands are read directly from the
images: no matrix of patches is ever written (implicit GEMM).

A product's rows, columns and terms (what is summed over) are, within one group,

    conv2d         output pixels (n, p, q)    filters k                   (r, s, c)
    conv2d_dgrad   input pixels (n, h, w)     channels c                  (r, s, k)
    conv2d_wgrad   filters k                  (r, s, c), and one for db   output pixels (n, p, q)

the last letter contiguous, as in memory (NHWC, OHWI). As in `matmul/cuda_numba_tiled.py` strips of
both operands lie in shared memory and results in registers, here 32 × 32 of 64 threads, 4 × 4 each.
A thread copies always the same term of a strip, so that it decodes one term per strip, and its rows
once. Padding, and rows beyond an edge, are read as zeros.

wgrad has few results and many terms: the pixels are cut into ranges, each range's sums go to the
workspace, and a second kernel adds them in order: the same bits every time. The gradient of the
bias is one more column, of an element of the filters that meets 1 at each pixel. With few channels
per group most of a tile is idle.
"""

from functools import cache
from typing import NamedTuple

from ..cuda_numba import (
    ACROSS,
    ALIGNMENT,
    activation,
    blocks,
    countable,
    cuda,
    device,
    index,
    launch_flat,
    np,
    owned,
    products,
    split,
)
from ..spec import Spec
from .conv2d import CONV2D, CONV2D_DGRAD, CONV2D_WGRAD

OWN = 4  # results per thread along each axis
TILE = ACROSS * OWN
DEPTH = 8
PITCH = TILE + 4  # from row to row of a strip: eight rows start in eight banks
STRIP = DEPTH * PITCH
THREADS = ACROSS * ACROSS
COPIES = TILE * DEPTH // THREADS  # elements of a strip that each thread copies
BETWEEN = THREADS // DEPTH  # rows of a tile from one that a thread copies to its next

FEWEST_TERMS = 256  # pixels in a range of wgrad, at the least
ENOUGH_BLOCKS = 1024  # several for each multiprocessor of any GPU


class Geometry(NamedTuple):
    """The extents of a convolution. C and K count all channels, Cg and Kg those of a group."""

    N: int
    H: int
    W: int
    C: int
    K: int
    R: int
    S: int
    P: int
    Q: int
    Cg: int
    Kg: int
    sh: int
    sw: int
    dh: int
    dw: int
    top: int
    left: int


def geometry(x, w, out, *, stride, padding, dilation, groups):
    """The geometry from the shapes of x, w and the output."""
    (k, r, s, cg), (_, p, q, _) = w, out
    return Geometry(
        *x, k, r, s, p, q, cg, k // groups, *stride, *dilation, padding[0][0], padding[1][0]
    )


OPS = {op.name: op for op in (CONV2D, CONV2D_DGRAD, CONV2D_WGRAD)}


def supports(name, *ins, **attrs):
    """Arrays whose elements 32 bits can count."""
    return countable(*ins, *OPS[name].infer(*ins, **attrs).values())


@device
def decode(i, inner, innermost):
    """(a, b, c) of i = (a · inner + b) · innermost + c."""
    outer, c = split(i, innermost)
    a, b = split(outer, inner)
    return a, b, c


@cache
def forward_kernel(real, act):
    accumulate, activate = products(OWN, DEPTH, PITCH), activation(act, real)
    zero = real(0)

    @cuda.jit
    def conv2d_direct(out, x, w, b, g):
        thread, group = cuda.threadIdx.x, cuda.blockIdx.z
        down, right = thread // ACROSS, thread % ACROSS
        first_row, first_column = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE
        x_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        w_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        acc = cuda.local.array((OWN, OWN), real)
        u = cuda.local.array(OWN, real)
        v = cuda.local.array(OWN, real)
        for i in range(OWN):
            for j in range(OWN):
                acc[i, j] = zero
        mine, term = thread // DEPTH, thread % DEPTH
        image = cuda.local.array(COPIES, np.int32)
        above = cuda.local.array(COPIES, np.int32)  # the row and column that the filter's corner
        before = cuda.local.array(COPIES, np.int32)  # meets: negative in the padding
        for copy in range(COPIES):
            n, p, q = decode(first_row + mine + copy * BETWEEN, g.P, g.Q)
            image[copy], above[copy], before[copy] = n, p * g.sh - g.top, q * g.sw - g.left
        terms = g.R * g.S * g.Cg
        for first in range(0, terms, DEPTH):
            t = first + term
            r, s, c = decode(t, g.S, g.Cg)
            for copy in range(COPIES):
                i = mine + copy * BETWEEN
                at, value = term * PITCH + i, zero
                h, wd = above[copy] + r * g.dh, before[copy] + s * g.dw
                if image[copy] < g.N and t < terms and 0 <= h < g.H and 0 <= wd < g.W:
                    value = x[index(((image[copy] * g.H + h) * g.W + wd) * g.C + group * g.Cg + c)]
                x_strip[at] = value
                k, value = first_column + i, zero
                if k < g.Kg and t < terms:
                    value = w[index((group * g.Kg + k) * terms + t)]
                w_strip[at] = value
            cuda.syncthreads()  # the strips are complete
            accumulate(acc, u, v, x_strip, w_strip, down, right)
            cuda.syncthreads()  # nobody reads them any more
        for i in range(OWN):
            for j in range(OWN):
                pixel, k = first_row + owned(down, i), first_column + owned(right, j)
                if pixel < g.N * g.P * g.Q and k < g.Kg:
                    z = acc[i, j]
                    if b is not None:
                        z += b[group * g.Kg + k]
                    out[index(pixel * g.K + group * g.Kg + k)] = activate(z)

    return conv2d_direct


@cache
def dgrad_kernel(real, strided):
    """strided: a stride is over 1, and not every output pixel that is near enough has a part."""
    accumulate, zero = products(OWN, DEPTH, PITCH), real(0)

    @cuda.jit
    def conv2d_dgrad_direct(dx, dout, w, g):
        thread, group = cuda.threadIdx.x, cuda.blockIdx.z
        down, right = thread // ACROSS, thread % ACROSS
        first_row, first_column = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE
        dout_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        w_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        acc = cuda.local.array((OWN, OWN), real)
        u = cuda.local.array(OWN, real)
        v = cuda.local.array(OWN, real)
        for i in range(OWN):
            for j in range(OWN):
                acc[i, j] = zero
        mine, term = thread // DEPTH, thread % DEPTH
        image = cuda.local.array(COPIES, np.int32)
        below = cuda.local.array(COPIES, np.int32)  # row and column in the padded image
        behind = cuda.local.array(COPIES, np.int32)
        for copy in range(COPIES):
            n, h, wd = decode(first_row + mine + copy * BETWEEN, g.H, g.W)
            image[copy], below[copy], behind[copy] = n, h + g.top, wd + g.left
        terms = g.R * g.S * g.Kg
        for first in range(0, terms, DEPTH):
            t = first + term
            r, s, k = decode(t, g.S, g.Kg)
            for copy in range(COPIES):
                i = mine + copy * BETWEEN
                at, value = term * PITCH + i, zero
                p, q = below[copy] - r * g.dh, behind[copy] - s * g.dw
                met = image[copy] < g.N and t < terms and p >= 0 and q >= 0
                if strided and met:
                    p, p_beside = split(p, g.sh)
                    q, q_beside = split(q, g.sw)
                    met = p_beside == 0 and q_beside == 0
                if met and p < g.P and q < g.Q:
                    pixel = (image[copy] * g.P + p) * g.Q + q
                    value = dout[index(pixel * g.K + group * g.Kg + k)]
                dout_strip[at] = value
                c, value = first_column + i, zero
                if c < g.Cg and t < terms:
                    f = group * g.Kg + k
                    value = w[index(((f * g.R + r) * g.S + s) * g.Cg + c)]
                w_strip[at] = value
            cuda.syncthreads()  # the strips are complete
            accumulate(acc, u, v, dout_strip, w_strip, down, right)
            cuda.syncthreads()  # nobody reads them any more
        for i in range(OWN):
            for j in range(OWN):
                pixel, c = first_row + owned(down, i), first_column + owned(right, j)
                if pixel < g.N * g.H * g.W and c < g.Cg:
                    dx[index(pixel * g.C + group * g.Cg + c)] = acc[i, j]

    return conv2d_dgrad_direct


@cache
def wgrad_kernel(real):
    accumulate, zero, one = products(OWN, DEPTH, PITCH), real(0), real(1)

    @cuda.jit
    def conv2d_wgrad_direct(sums, dout, x, g, columns, ranges):
        """sums (ranges, K, columns)."""
        thread = cuda.threadIdx.x
        group, part = split(cuda.blockIdx.z, ranges)
        down, right = thread // ACROSS, thread % ACROSS
        first_row, first_column = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TILE
        dout_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        x_strip = cuda.shared.array(STRIP, real, ALIGNMENT)
        acc = cuda.local.array((OWN, OWN), real)
        u = cuda.local.array(OWN, real)
        v = cuda.local.array(OWN, real)
        for i in range(OWN):
            for j in range(OWN):
                acc[i, j] = zero
        mine, term = thread // DEPTH, thread % DEPTH
        above = cuda.local.array(COPIES, np.int32)  # where an element of the filter lies, from the
        before = cuda.local.array(COPIES, np.int32)  # pixel that its corner meets
        channel = cuda.local.array(COPIES, np.int32)
        for copy in range(COPIES):
            r, s, c = decode(first_column + mine + copy * BETWEEN, g.S, max(g.Cg, 1))
            above[copy], before[copy], channel[copy] = r * g.dh - g.top, s * g.dw - g.left, c
        elements = g.R * g.S * g.Cg
        pixels = g.N * g.P * g.Q
        steps = (pixels + DEPTH * ranges - 1) // (DEPTH * ranges)  # of a range
        begin = part * steps * DEPTH
        end = min(begin + steps * DEPTH, pixels)
        for first in range(begin, end, DEPTH):
            n, p, q = decode(first + term, g.P, g.Q)
            for copy in range(COPIES):
                e = thread + copy * THREADS
                k, pixel, value = first_row + e % TILE, first + e // TILE, zero
                if k < g.Kg and pixel < end:
                    value = dout[index(pixel * g.K + group * g.Kg + k)]
                dout_strip[e // TILE * PITCH + e % TILE] = value
                i = mine + copy * BETWEEN
                h, wd = p * g.sh + above[copy], q * g.sw + before[copy]
                j, value = first_column + i, zero
                if first + term < end:
                    if j == elements:
                        value = one  # the column of the bias
                    elif j < elements and 0 <= h < g.H and 0 <= wd < g.W:
                        at = ((n * g.H + h) * g.W + wd) * g.C + group * g.Cg + channel[copy]
                        value = x[index(at)]
                x_strip[term * PITCH + i] = value
            cuda.syncthreads()  # the strips are complete
            accumulate(acc, u, v, dout_strip, x_strip, down, right)
            cuda.syncthreads()  # nobody reads them any more
        for i in range(OWN):
            for j in range(OWN):
                k, column = first_row + owned(down, i), first_column + owned(right, j)
                if k < g.Kg and column < columns:
                    sums[index((part * g.K + group * g.Kg + k) * columns + column)] = acc[i, j]

    return conv2d_wgrad_direct


@cuda.jit
def add_ranges(dw, db, sums, K, columns, elements, ranges):
    """dw (K, elements) and db (K,) from sums (ranges, K, columns): a thread for each column."""
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if i < K * columns:
        total = sums[i]
        for part in range(1, ranges):
            total += sums[index(part * K * columns + i)]
        k, column = split(i, columns)
        if column < elements:
            dw[index(k * elements + column)] = total
        elif db is not None:
            db[k] = total


def plan(dout, x, filters, bias, groups):
    """(elements of a filter, columns, ranges) of wgrad, from the shapes of dout and x."""
    elements = filters[0] * filters[1] * x[3] // groups
    columns = elements + bias
    tiles = groups * blocks(dout[3] // groups, TILE) * blocks(columns, TILE)
    pixels = dout[0] * dout[1] * dout[2]
    ranges = min(ENOUGH_BLOCKS // max(tiles, 1), blocks(pixels, FEWEST_TERMS))
    return elements, columns, max(ranges, 1)


def workspace(name, dout, x, *rest, filters=None, bias=False, groups=1, **attrs):
    """wgrad: a sum for every range, filter and column."""
    if name != "conv2d_wgrad":
        return None
    _, columns, ranges = plan(dout.shape, x.shape, filters, bias, groups)
    return Spec((ranges, dout.shape[3], columns), x.dtype)


def conv2d(out, x, w, b, *, act, groups, **where):
    g = geometry(x.shape, w.shape, out.shape, groups=groups, **where)
    grid = blocks(g.N * g.P * g.Q, TILE), blocks(g.Kg, TILE), groups
    launch_flat(forward_kernel(out.dtype.type, act), grid, (THREADS,), out, x, w, b, g)


def conv2d_dgrad(out, dout, w, *, size, groups, **where):
    g = geometry(out.shape, w.shape, dout.shape, groups=groups, **where)
    grid = blocks(g.N * g.H * g.W, TILE), blocks(g.Cg, TILE), groups
    kernel = dgrad_kernel(out.dtype.type, (g.sh, g.sw) != (1, 1))
    launch_flat(kernel, grid, (THREADS,), out, dout, w, g)


def conv2d_wgrad(dw, *rest, scratch, filters, bias, groups, **where):
    *db, dout, x = rest
    g = geometry(x.shape, dw.shape, dout.shape, groups=groups, **where)
    elements, columns, ranges = plan(dout.shape, x.shape, filters, bias, groups)
    grid = blocks(g.Kg, TILE), blocks(columns, TILE), groups * ranges
    launch_flat(wgrad_kernel(dw.dtype.type), grid, (THREADS,), scratch, dout, x, g, columns, ranges)
    grid = (blocks(g.K * columns, THREADS),)
    launch_flat(
        add_ranges, grid, (THREADS,), dw, *(db or [None]), scratch, g.K, columns, elements, ranges
    )
