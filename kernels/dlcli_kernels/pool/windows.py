"""The geometry of pooling windows: sizes, what is refused, and NumPy views of one element of every
window, of which the references are made. Also what the ops' contracts share: geometries to verify,
the models' shapes, a tolerance.
"""

import numpy as np

from ..spec import Tol

ALL_CUT = {"x": 0, "dout": 0, "argmax": 0, "out": 0}
FEW_TERMS = {
    "float32": Tol(2e-6, 1e-6, why="a sum of at most a window's elements, some tens"),
    "float64": Tol(1e-14, 1e-15, why="the same in double precision"),
}
NONE = ((0, 0), (0, 0))

# height, width, window, stride, padding
GEOMETRIES = [
    (6, 8, (2, 2), (2, 2), NONE),
    (7, 5, (2, 2), (2, 2), NONE),
    (1, 1, (1, 1), (1, 1), NONE),
    (7, 11, (3, 3), (2, 2), ((1, 1), (1, 1))),
    (9, 7, (3, 3), (1, 1), ((1, 1), (1, 1))),
    (5, 6, (2, 3), (1, 2), ((0, 1), (2, 1))),
    (8, 7, (2, 2), (3, 3), NONE),
    (6, 6, (2, 2), (2, 2), ((1, 1), (0, 1))),
    (17, 16, (16, 16), (1, 1), NONE),
    (4, 3, (4, 3), (4, 3), NONE),
]
MODELS = [(128, 26, 26, 32), (128, 11, 11, 64)]


def attributes(window, stride, padding, **more):
    return {"window": window, "stride": stride, "padding": padding, **more}


def check_backward(name, operand, x_shape, window, stride, padding):
    """x_shape without N, after a check that `operand` has the shape that pooling x gives."""
    _, h, w, c = x_shape
    p, q = output_size(h, w, window, stride, padding)
    if operand.shape[1:] != (p, q, c):
        raise ValueError(f"{name}: pooling {x_shape} gives (N, {p}, {q}, {c}): {operand.shape}")
    return h, w, c


def output_size(h, w, window, stride, padding):
    """(P, Q): floor((extent + padding − window) / stride) + 1 in each direction.

    ValueError if an image is empty or smaller than the window, a window or stride is not positive,
    or the padding is negative or as large as the window (windows of padding alone).
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
    """(k, index) for each position k = r·S + s in the window.

    padded[index] is (N, P, Q, C): that element of every window.
    """
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
