"""The geometry of pooling windows, and NumPy views of all windows' elements at one position: what the references are made of."""

import numpy as np


def output_size(h, w, window, stride, padding):
    """(P, Q): floor((extent + padding − window) / stride) + 1 in each direction.

    ValueError if an image is empty or smaller than the window, a window or a stride is not positive, or
    the padding is negative or as large as the window (there would be windows of padding alone).
    """
    if min(*window, *stride) < 1:
        raise ValueError(f"window {window} and stride {stride} must be positive")
    if any(
        not 0 <= pad < extent
        for sides, extent in zip(padding, window, strict=True)
        for pad in sides
    ):
        raise ValueError(f"padding {padding} must be from 0 to less than the window {window}")
    room = [
        extent + before + after - reach
        for extent, (before, after), reach in zip((h, w), padding, window, strict=True)
    ]
    if h < 1 or w < 1 or min(room) < 0:
        raise ValueError(f"a window {window} does not fit an image of {h}×{w} padded by {padding}")
    return room[0] // stride[0] + 1, room[1] // stride[1] + 1


def pad_images(x, padding, value):
    """(N, H, W, C) with `padding` rows and columns of `value` around each image."""
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=value)


def unpad(x, padding):
    """The inverse of `pad_images`."""
    (top, bottom), (left, right) = padding
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def positions(p, q, window, stride):
    """(k, index) for each position k = r·S + s in the window: padded[index] is (N, P, Q, C), that element of every window."""
    for r in range(window[0]):
        for s in range(window[1]):
            rows = slice(r, r + (p - 1) * stride[0] + 1, stride[0])
            columns = slice(s, s + (q - 1) * stride[1] + 1, stride[1])
            yield r * window[1] + s, (slice(None), rows, columns)


def first_real(p, q, window, stride, padding):
    """(P, Q): the index within each window of its first element that is not padding."""
    r = np.maximum(padding[0][0] - stride[0] * np.arange(p), 0)
    s = np.maximum(padding[1][0] - stride[1] * np.arange(q), 0)
    return r[:, None] * window[1] + s[None, :]
