"""A convolution to start from, in Numba: images NHWC, filters OHWI, one output pixel at a time.

Next steps: loops over output channels innermost, with the pixel's inputs in registers.
"""

from dlcli_kernels.cpu import kernel  # numba.njit: serial, without the GIL, cached on disk
from dlcli_kernels.elementwise.cpu_numpy import epilogue

DEVICE = "cpu"


def supports(op, *ins, **attrs):
    """Which calls it takes; without this function, all. ins: specs with .shape and .dtype."""
    return attrs["groups"] == 1


@kernel
def convolve(out, x, w, stride, top, left, dilation):
    N, P, Q, K = out.shape
    R, S, C = w.shape[1:]
    for n in range(N):
        for p in range(P):
            for q in range(Q):
                for k in range(K):
                    total = out.dtype.type(0)
                    for r in range(R):
                        h = p * stride[0] + r * dilation[0] - top
                        if h < 0 or h >= x.shape[1]:
                            continue  # padding is zero
                        for s in range(S):
                            v = q * stride[1] + s * dilation[1] - left
                            if v < 0 or v >= x.shape[2]:
                                continue
                            for c in range(C):
                                total += x[n, h, v, c] * w[k, r, s, c]
                    out[n, p, q, k] = total


def conv2d(out, x, w, b, *, stride, padding, dilation, groups, act):
    """It writes into `out`, which may be a range of the images; absent operands are None."""
    convolve(out, x, w, stride, padding[0][0], padding[1][0], dilation)
    epilogue(out, b, act)
