"""Maximum pooling in loops over rows of images, innermost over channels, contiguous and vectorised.

Each helper works on one row of one image as a flat array, with unsigned indices: with signed ones
Numba allows for negative indices, and LLVM then does not vectorise the loop (three times slower).
A 2 × 2 window with stride 2 and no padding, the one of the image models, has loops of its own: each
element is read and written once. (128, 26, 26, 32) in float32 on one core: 0.7 ms, a copy of the
images takes 0.4 ms. Any other window makes a pass over the output's row for each of its positions.
"""

import numpy as np

from ..cpu import kernel

U = np.uint64
NO_ARGMAX = np.empty((0, 0, 0, 0), np.uint8)  # stands for an output that is not wanted
HALVES = ((2, 2), (2, 2), ((0, 0), (0, 0)))  # window, stride, padding


# --- geometry -------------------------------------------------------------------------------------


@kernel
def first_inside(offset, stride):
    """The least q ≥ 0 with q · stride + offset ≥ 0."""
    return 0 if offset >= 0 else (-offset + stride - 1) // stride


@kernel
def end_inside(offset, stride, extent, count):
    """One more than the greatest q < count with q · stride + offset < extent."""
    return max(0, min(count, (extent - 1 - offset) // stride + 1))


# --- maximum: one row of outputs ------------------------------------------------------------------


@kernel
def larger(u, v):
    """Whether u takes the place of v: it is larger, or NaN."""
    return (u > v) | (u != u)


@kernel
def halve_row(out, top, bottom, count, width):
    """`count` windows of 2 × 2 from two rows; `width` is the number of channels."""
    for q in range(count):
        i = q * width
        j = i + i
        for c in range(width):
            v = top[j + c]
            u = top[j + width + c]
            v = u if larger(u, v) else v
            u = bottom[j + c]
            v = u if larger(u, v) else v
            u = bottom[j + width + c]
            out[i + c] = u if larger(u, v) else v


@kernel
def halve_row_argmax(out, argmax, top, bottom, count, width):
    """The same, with the index of the element that was chosen."""
    for q in range(count):
        i = q * width
        j = i + i
        for c in range(width):
            v = top[j + c]
            k = np.uint8(0)
            u = top[j + width + c]
            k = np.uint8(1) if larger(u, v) else k
            v = u if larger(u, v) else v
            u = bottom[j + c]
            k = np.uint8(2) if larger(u, v) else k
            v = u if larger(u, v) else v
            u = bottom[j + width + c]
            argmax[i + c] = np.uint8(3) if larger(u, v) else k
            out[i + c] = u if larger(u, v) else v


@kernel
def unhalve_row(top, bottom, dout, argmax, count, width):
    """The gradient of `halve_row`: each dout to one of its four elements, 0 to the others."""
    zero = dout.dtype.type(0)
    for q in range(count):
        i = q * width
        j = i + i
        for c in range(width):
            d, k = dout[i + c], argmax[i + c]
            top[j + c] = d if k == np.uint8(0) else zero
            top[j + width + c] = d if k == np.uint8(1) else zero
            bottom[j + c] = d if k == np.uint8(2) else zero
            bottom[j + width + c] = d if k == np.uint8(3) else zero


@kernel
def max_position(out, x, lo, hi, jump, start, width):
    """Windows lo … hi-1 take their element at one position; window lo's starts at x[start]."""
    for q in range(lo, hi):
        i = q * width
        j = start + (q - lo) * jump
        for c in range(width):
            u, v = x[j + c], out[i + c]
            out[i + c] = u if larger(u, v) else v


@kernel
def max_position_argmax(out, argmax, k, x, lo, hi, jump, start, width):
    """The same; k is the index of the position."""
    for q in range(lo, hi):
        i = q * width
        j = start + (q - lo) * jump
        for c in range(width):
            u, v = x[j + c], out[i + c]
            argmax[i + c] = k if larger(u, v) else argmax[i + c]
            out[i + c] = u if larger(u, v) else v


@kernel
def unmax_position(dx, dout, argmax, k, lo, hi, jump, start, width):
    """The gradient of `max_position`: dx += dout where position k was chosen."""
    zero = dout.dtype.type(0)
    for q in range(lo, hi):
        i = q * width
        j = start + (q - lo) * jump
        for c in range(width):
            dx[j + c] += dout[i + c] if argmax[i + c] == k else zero


# --- maximum: images ------------------------------------------------------------------------------


@kernel
def max_halves(out, argmax, x):
    images, rows, columns, width = out.shape
    for n in range(images):
        for p in range(rows):
            o, top, bottom = (
                out[n, p].reshape(-1),
                x[n, 2 * p].reshape(-1),
                x[n, 2 * p + 1].reshape(-1),
            )
            if argmax.size:
                halve_row_argmax(o, argmax[n, p].reshape(-1), top, bottom, U(columns), U(width))
            else:
                halve_row(o, top, bottom, U(columns), U(width))


@kernel
def max_halves_grad(dx, dout, argmax):
    images, rows, columns, width = dout.shape
    for n in range(images):
        for p in range(rows):
            top, bottom = dx[n, 2 * p].reshape(-1), dx[n, 2 * p + 1].reshape(-1)
            unhalve_row(
                top, bottom, dout[n, p].reshape(-1), argmax[n, p].reshape(-1), U(columns), U(width)
            )
            top[2 * columns * width :] = 0  # the last column of an odd number
            bottom[2 * columns * width :] = 0
        dx[n, 2 * rows :] = 0


@kernel
def max_windows(out, argmax, x, window, stride, before):
    """Any window; `before` is the padding (top, left)."""
    images, rows, columns, width = out.shape
    for n in range(images):
        for p in range(rows):
            o = out[n, p].reshape(-1)
            o[:] = -np.inf
            first_row = p * stride[0] - before[0]
            if argmax.size:
                for q in range(columns):
                    s = max(before[1] - q * stride[1], 0)
                    argmax[n, p, q] = max(-first_row, 0) * window[1] + s
            for r in range(max(0, -first_row), min(window[0], x.shape[1] - first_row)):
                row = x[n, first_row + r].reshape(-1)
                for s in range(window[1]):
                    lo = first_inside(s - before[1], stride[1])
                    hi = end_inside(s - before[1], stride[1], x.shape[2], columns)
                    start = U((lo * stride[1] + s - before[1]) * width)
                    jump = U(stride[1] * width)
                    if argmax.size:
                        a, k = argmax[n, p].reshape(-1), np.uint8(r * window[1] + s)
                        max_position_argmax(o, a, k, row, U(lo), U(hi), jump, start, U(width))
                    else:
                        max_position(o, row, U(lo), U(hi), jump, start, U(width))


@kernel
def max_windows_grad(dx, dout, argmax, window, stride, before):
    images, rows, columns, width = dout.shape
    for n in range(images):
        dx[n] = 0
        for p in range(rows):
            d, a = dout[n, p].reshape(-1), argmax[n, p].reshape(-1)
            first_row = p * stride[0] - before[0]
            for r in range(max(0, -first_row), min(window[0], dx.shape[1] - first_row)):
                row = dx[n, first_row + r].reshape(-1)
                for s in range(window[1]):
                    lo = first_inside(s - before[1], stride[1])
                    hi = end_inside(s - before[1], stride[1], dx.shape[2], columns)
                    start = U((lo * stride[1] + s - before[1]) * width)
                    jump = U(stride[1] * width)
                    k = np.uint8(r * window[1] + s)
                    unmax_position(row, d, a, k, U(lo), U(hi), jump, start, U(width))


def maxpool2d(out, argmax, x, *, window, stride, padding):
    argmax = NO_ARGMAX if argmax is None else argmax
    if (window, stride, padding) == HALVES:
        max_halves(out, argmax, x)
    else:
        max_windows(out, argmax, x, window, stride, (padding[0][0], padding[1][0]))


def maxpool2d_grad(out, dout, argmax, *, x_shape, window, stride, padding):
    if (window, stride, padding) == HALVES:
        max_halves_grad(out, dout, argmax)
    else:
        max_windows_grad(out, dout, argmax, window, stride, (padding[0][0], padding[1][0]))
