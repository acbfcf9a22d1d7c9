"""Pooling and its gradients, one thread for each element that is written.

Neighbouring threads take neighbouring channels, contiguous in NHWC, so that every access of a warp
is coalesced. A gradient is a gather: the thread of an element of the image visits the windows that
cover it, in order, so that nothing is added by atomics and the bits are the same every time. Bytes
bound all four: windows that overlap read an element more than once, mostly from the cache.
"""

from functools import cache
from typing import NamedTuple

from ..cuda_numba import blocks, countable, cuda, device, index, launch_flat, np, split
from .average import AVGPOOL, AVGPOOL_GRAD
from .maximum import MAXPOOL, MAXPOOL_GRAD

THREADS = 128
OPS = {op.name: op for op in (MAXPOOL, MAXPOOL_GRAD, AVGPOOL, AVGPOOL_GRAD)}


class Windows(NamedTuple):
    """The extents of images (N, H, W, C), of the map (N, P, Q, C) and of windows (R, S)."""

    H: int
    W: int
    C: int
    P: int
    Q: int
    R: int
    S: int
    sh: int
    sw: int
    top: int
    left: int


def windows(x_shape, out_shape, window, stride, padding):
    """The extents from the shapes of the images and of the map."""
    return Windows(*x_shape[1:], *out_shape[1:3], *window, *stride, padding[0][0], padding[1][0])


def supports(name, *ins, **attrs):
    """Arrays whose elements 32 bits can count."""
    return countable(*ins, *OPS[name].infer(*ins, **attrs).values())


@device
def place(i, rows, columns, channels):
    """(n, row, column, channel) of element i of (N, rows, columns, channels)."""
    i, channel = split(i, channels)
    i, column = split(i, columns)
    n, row = split(i, rows)
    return n, row, column, channel


@device
def inside(first, reach, extent):
    """The part lo … hi-1 of 0 … reach-1 that, counted from `first`, lies within 0 … extent-1."""
    return max(-first, 0), min(reach, extent - first)


@device
def covering(at, reach, stride, count):
    """The windows lo … hi-1 of `count` that cover element `at` of the padded image."""
    lo = split(at - reach, stride)[0] + 1 if at >= reach else 0
    return lo, min(split(at, stride)[0] + 1, count)


@cache
def maximum_kernel(real):
    lowest = real(-np.inf)

    @cuda.jit
    def maxpool2d_elements(out, argmax, x, size, g):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if i < size:
            n, p, q, c = place(i, g.P, g.Q, g.C)
            h, w = p * g.sh - g.top, q * g.sw - g.left
            r_first, r_end = inside(h, g.R, g.H)
            s_first, s_end = inside(w, g.S, g.W)
            best, where = lowest, r_first * g.S + s_first
            for r in range(r_first, r_end):
                for s in range(s_first, s_end):
                    value = x[index(((n * g.H + h + r) * g.W + w + s) * g.C + c)]
                    if value > best or value != value:  # larger, or NaN
                        best, where = value, r * g.S + s
            out[i] = best
            if argmax is not None:
                argmax[i] = where

    return maxpool2d_elements


@cache
def maximum_grad_kernel(real):
    zero = real(0)

    @cuda.jit
    def maxpool2d_grad_elements(dx, dout, argmax, size, g):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if i < size:
            n, h, w, c = place(i, g.H, g.W, g.C)
            h, w = h + g.top, w + g.left
            p_first, p_end = covering(h, g.R, g.sh, g.P)
            q_first, q_end = covering(w, g.S, g.sw, g.Q)
            total = zero
            for p in range(p_first, p_end):
                for q in range(q_first, q_end):
                    at = index(((n * g.P + p) * g.Q + q) * g.C + c)
                    if argmax[at] == (h - p * g.sh) * g.S + w - q * g.sw:
                        total += dout[at]
            dx[i] = total

    return maxpool2d_grad_elements


@device
def divisor(p, q, g, include_padding):
    """How many elements the average of window (p, q) is over."""
    if include_padding:
        return g.R * g.S
    r_first, r_end = inside(p * g.sh - g.top, g.R, g.H)
    s_first, s_end = inside(q * g.sw - g.left, g.S, g.W)
    return (r_end - r_first) * (s_end - s_first)


@cache
def average_kernel(real, include_padding):
    zero = real(0)

    @cuda.jit
    def avgpool2d_elements(out, x, size, g):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if i < size:
            n, p, q, c = place(i, g.P, g.Q, g.C)
            h, w = p * g.sh - g.top, q * g.sw - g.left
            r_first, r_end = inside(h, g.R, g.H)
            s_first, s_end = inside(w, g.S, g.W)
            total = zero
            for r in range(r_first, r_end):
                for s in range(s_first, s_end):
                    total += x[index(((n * g.H + h + r) * g.W + w + s) * g.C + c)]
            out[i] = total / real(divisor(p, q, g, include_padding))

    return avgpool2d_elements


@cache
def average_grad_kernel(real, include_padding):
    zero = real(0)

    @cuda.jit
    def avgpool2d_grad_elements(dx, dout, size, g):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if i < size:
            n, h, w, c = place(i, g.H, g.W, g.C)
            p_first, p_end = covering(h + g.top, g.R, g.sh, g.P)
            q_first, q_end = covering(w + g.left, g.S, g.sw, g.Q)
            total = zero
            for p in range(p_first, p_end):
                for q in range(q_first, q_end):
                    value = dout[index(((n * g.P + p) * g.Q + q) * g.C + c)]
                    total += value / real(divisor(p, q, g, include_padding))
            dx[i] = total

    return avgpool2d_grad_elements


def for_each(out, kernel, *args):
    """A thread for each element of `out`, the first operand."""
    launch_flat(kernel, (blocks(out.size, THREADS),), (THREADS,), out, *args)


def maxpool2d(out, argmax, x, *, window, stride, padding):
    g = windows(x.shape, out.shape, window, stride, padding)
    for_each(out, maximum_kernel(out.dtype.type), argmax, x, out.size, g)


def maxpool2d_grad(out, dout, argmax, *, x_shape, window, stride, padding):
    g = windows(x_shape, dout.shape, window, stride, padding)
    for_each(out, maximum_grad_kernel(out.dtype.type), dout, argmax, out.size, g)


def avgpool2d(out, x, *, window, stride, padding, count_include_pad):
    g = windows(x.shape, out.shape, window, stride, padding)
    for_each(out, average_kernel(out.dtype.type, count_include_pad), x, out.size, g)


def avgpool2d_grad(out, dout, *, x_shape, window, stride, padding, count_include_pad):
    g = windows(x_shape, dout.shape, window, stride, padding)
    for_each(out, average_grad_kernel(out.dtype.type, count_include_pad), dout, out.size, g)
