"""Cross-entropy with a row per team of threads, held in registers: the logits are read once.

Bound by memory: forward writes two numbers per row, backward a row. Chosen by that count; not
measured.
"""

from ..raw import Source
from ..softmax.raw_rows import fits, for_rows

SOURCE = Source(__name__, "cuda_raw_rows.cu")


def supports(op, x, *others, **attrs):
    return fits(x)


def softmax_cross_entropy(out, lse, x, y, weight, *, label_smoothing=0.0):
    smoothing = float(label_smoothing)
    for_rows(SOURCE, "labels", *x.shape, (out, lse), (x, y, weight), smoothing)


def softmax_cross_entropy_grad(out, x, y, weight, lse, dout, *, label_smoothing=0.0):
    smoothing = float(label_smoothing)
    for_rows(SOURCE, "labels_grad", *x.shape, (out,), (x, y, weight, lse, dout), smoothing)


def soft_cross_entropy(out, x, target):
    for_rows(SOURCE, "soft", *x.shape, (out,), (x, target))


def soft_cross_entropy_grad(out, x, target, dout):
    for_rows(SOURCE, "soft_grad", *x.shape, (out,), (x, target, dout))
