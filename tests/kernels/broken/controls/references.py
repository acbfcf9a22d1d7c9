"""The references of convolution, pooling, dropout and SGD, each range for itself."""

from dlcli_kernels.conv.op import CONV2D, CONV2D_WGRAD
from dlcli_kernels.dropout.op import dropout as reference
from dlcli_kernels.optim.op import SGD
from dlcli_kernels.pool.op import AVGPOOL, MAXPOOL
from dlcli_kernels.spec import as_tuple


def conv2d(out, x, w, b, **attrs):
    out[...] = CONV2D.reference(x, w, b, **attrs)


def conv2d_wgrad(*operands, **attrs):
    *outs, dout, x = operands
    sums = CONV2D_WGRAD.reference(dout, x, **attrs)
    for out, value in zip(outs, as_tuple(sums), strict=True):
        out[...] = value


def maxpool2d(out, argmax, x, **attrs):
    out[...], at = MAXPOOL.reference(x, **attrs)
    if argmax is not None:
        argmax[...] = at


def avgpool2d(out, x, **attrs):
    out[...] = AVGPOOL.reference(x, **attrs)


def dropout(out, mask, x, rng, *, p, start):
    out[...], kept = reference(x, rng, p=p, start=start)
    if mask is not None:
        mask[...] = kept


def sgd_step(p, g, lr, halt, **settings):
    SGD.reference(p, g, lr, halt, **settings)
