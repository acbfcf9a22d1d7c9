"""The weight gradient of convolution + max-pooling where filters are small, as in a first layer.

Four elements of a window at a time, dout is split into four rows that are zero where another
element was chosen; then for each element of the filter, dw[:, element] += Σ xᵤ · rowᵤ with four
scalars of x in registers. The inner loop runs along the output channels, contiguous in NHWC. A
product over patches of nine floats spends most of its time on copying them. Measured on one core,
64 images of 28×28 → 32 channels, 3×3: 0.84 against 1.18 ms for one input channel, 1.27 against
1.50 for two; with three it is slower (2.2 against 1.7), so that `supports` ends there.
"""

import numpy as np

from ..cpu import kernel
from .cpu_blocks import C, H, K, R, S, W, flat, floats
from .cpu_chosen import origins
from .cpu_direct import frame, offsets, place
from .cpu_im2col import GEOMETRY, NONE, layout, sizes

MOST_TERMS = 18  # two input channels at 3×3: see above


def supports(name, *ins, **attrs):
    """conv2d_pool_wgrad of one group, 1 to MOST_TERMS per output, channels that fill a vector."""
    if name != "conv2d_pool_wgrad" or attrs["groups"] != 1:
        return False
    _, _, (k, r, s, c) = sizes(name, ins, attrs)
    return 0 < r * s * c <= MOST_TERMS and k % 8 == 0


def parts(p, k):
    """Lengths of the pieces of the scratch: the framed image, dw by term, four rows of dout."""
    hp, wp = frame(p.g)
    terms = p.g[R] * p.g[S] * p.g[C]
    return int(hp * wp * p.g[C]), int(terms * k), 4 * int(k)


def workspace(name, *ins, **attrs):
    x_size, c, w = sizes(name, ins, attrs)
    p = layout(x_size, c, w, attrs["pool"], **{key: attrs[key] for key in GEOMETRY})
    return floats(ins[0], sum(parts(p, w[0])))


@kernel
def wgrad(dw, db, dout, argmax, x, n, g, ph, pw, hp, wp, framed, dwt, rows):
    """dwt (terms, K) is filled by term and transposed into dw (K, terms) at the end."""
    windows, elements = origins(g, ph, pw, wp)
    taps = offsets(g, wp)
    size, k = g[H] * g[W] * g[C], np.uint64(g[K])
    k2, k3 = k + k, k + k + k
    terms = dw.size // g[K]
    dwt[:] = 0
    db[:] = 0
    framed[:] = 0
    for i in range(n):
        place(x[i * size : (i + 1) * size], g, hp, wp, framed)
        for j in range(windows.size):
            at = np.uint64((i * windows.size + j) * g[K])
            if db.size:
                for e in range(k):
                    db[e] += dout[at + e]
            for u in range(0, elements.size, 4):
                for v in range(4):
                    here, row = np.uint8(u + v), k * np.uint64(v)
                    for e in range(k):
                        chosen = argmax[at + e] == here
                        rows[row + e] = dout[at + e] if chosen else rows.dtype.type(0)
                p0 = windows[j] + elements[u]
                p1 = windows[j] + elements[min(u + 1, elements.size - 1)]
                p2 = windows[j] + elements[min(u + 2, elements.size - 1)]
                p3 = windows[j] + elements[min(u + 3, elements.size - 1)]
                for t in range(terms):
                    f, o = np.uint64(taps[t]), k * np.uint64(t)
                    x0, x1, x2, x3 = framed[p0 + f], framed[p1 + f], framed[p2 + f], framed[p3 + f]
                    for e in range(k):
                        dwt[o + e] += (
                            x0 * rows[e] + x1 * rows[k + e] + x2 * rows[k2 + e] + x3 * rows[k3 + e]
                        )
    for t in range(terms):
        for e in range(g[K]):
            dw[e * terms + t] = dwt[t * g[K] + e]


def conv2d_pool_wgrad(dw, *rest, filters, bias, pool, scratch, **geometry):
    db, dout, argmax, x = rest if bias else (NONE[dw.dtype], *rest)
    p = layout(x.shape[1:3], x.shape[3], dw.shape, pool, **geometry)
    image, by_term, _ = parts(p, dw.shape[0])
    framed, dwt = scratch[:image], scratch[image : image + by_term]
    rows, n = scratch[image + by_term :], x.shape[0]
    args = (flat(dw), db, flat(dout), flat(argmax), flat(x), n, p.g, *pool, *frame(p.g))
    wgrad(*args, framed, dwt, rows)
