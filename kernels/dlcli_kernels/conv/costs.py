"""What convolutions cost, in floating-point operations, and their cases of any size.

A multiplication and an addition are two operations; padding is counted as if it were data.
"""


def taps_of(w):
    """How many products make one element of a map: R·S·C/groups."""
    return w.shape[1] * w.shape[2] * w.shape[3]


def flops_dgrad(dout, w, **attrs):
    return 2 * dout.size * taps_of(w)


def flops_wgrad(dout, x, *, filters, groups, **attrs):
    return 2 * dout.size * filters[0] * filters[1] * x.shape[3] // groups


def sample_wgrad(*operands, groups, **attrs):
    """Any of the filters: each is the gradient of one channel of the map."""
    return {"dout": 3, "argmax": 3, "dw": 0, "db": 0} if groups == 1 else None


def sized_by(made, **more):
    """`sized` of an op whose cases `made` makes: a convolution that keeps the image's size."""

    def sized(N=128, H=28, W=28, C=32, K=64, R=3, S=3):
        around = ((R // 2, (R - 1) // 2), (S // 2, (S - 1) // 2))
        return made((N, H, W, C, K, R, S, (1, 1), around, (1, 1), 1), **more)

    return sized
