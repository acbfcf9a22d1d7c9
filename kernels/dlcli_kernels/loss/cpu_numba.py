"""Cross-entropy in one pass per row: its maximum, Σ exp and loss while it is in the L1 cache; and its gradient likewise.

(128, 10) float32: NumPy's dozen calls cost 50 µs, most of it overhead. Everything within a row is
accumulated in double precision. An array that is absent is passed with no elements, so that there is
one compiled version for each precision.
"""

import numpy as np

from ..cpu import kernel
from ..softmax.cpu_numba import exponential, row_max, sum_of_exponentials
from .cross_entropy import IGNORED


@kernel
def labels_rows(out, lse, x, y, weight, smoothing, scratch):
    classes = x.shape[1]
    for n in range(x.shape[0]):
        row, label = x[n], y[n]
        largest = row_max(row, scratch)
        logarithm = np.log(sum_of_exponentials(row, largest))
        if lse.size:
            lse[n] = largest + logarithm
        if label < 0 or label >= classes:
            out[n] = 0.0 if label == IGNORED else np.nan
            continue
        w = np.float64(weight[label]) if weight.size else 1.0
        loss = (1.0 - smoothing) * w * (logarithm - (row[label] - largest))
        if smoothing != 0.0:
            total = 0.0
            if weight.size:
                for i in range(classes):
                    total += weight[i] * (logarithm - (row[i] - largest))
            else:
                for i in range(classes):
                    total += logarithm - (row[i] - largest)
            loss += smoothing / classes * total
        out[n] = loss


@kernel
def labels_grad_rows(out, x, y, weight, lse, dout, smoothing):
    """dxⱼ = dout · (a pⱼ − b wⱼ − (1−ε) w[y] 1[j=y]) with b = ε/K, a = (1−ε) w[y] + b Σw."""
    classes = x.shape[1]
    b = smoothing / classes
    weights = np.float64(classes)
    if weight.size:
        weights = 0.0
        for i in range(classes):
            weights += np.float64(weight[i])
    for n in range(x.shape[0]):
        o, row, label = out[n], x[n], y[n]
        if label < 0 or label >= classes:
            o[:] = 0.0 if label == IGNORED else np.nan
            continue
        own = (1.0 - smoothing) * (np.float64(weight[label]) if weight.size else 1.0)
        d, e = np.float64(dout[n]), np.float64(lse[n])
        da, db = d * (own + b * weights), d * b
        if weight.size and smoothing != 0.0:
            for i in range(classes):
                o[i] = da * exponential(row[i] - e) - db * weight[i]
        else:
            for i in range(classes):
                o[i] = da * exponential(row[i] - e) - db
        # the label's own element once more, for p − 1 must not be rounded in between
        p = exponential(row[label] - e)
        w = np.float64(weight[label]) if weight.size else 1.0
        o[label] = d * (own * (p - 1.0) + b * (p * weights - w))


@kernel
def soft_rows(out, x, target, scratch):
    for n in range(x.shape[0]):
        row, t = x[n], target[n]
        largest = row_max(row, scratch)
        logarithm = np.log(sum_of_exponentials(row, largest))
        loss = 0.0
        for i in range(row.size):
            loss += t[i] * (logarithm - (row[i] - largest))
        out[n] = loss


@kernel
def soft_grad_rows(out, x, target, dout):
    for n in range(x.shape[0]):
        o, row, t = out[n], x[n], target[n]
        largest = row_max(row, o)
        total, targets = 0.0, 0.0
        for i in range(row.size):
            total += exponential(row[i] - largest)
            targets += np.float64(t[i])
        share, d = targets / total, np.float64(dout[n])
        for i in range(row.size):
            o[i] = d * (exponential(row[i] - largest) * share - t[i])


def workspace(op, x, *others, **attrs):
    """A row, where the output has none in which the maximum could be found."""
    return x.like(x.shape[1]) if op in ("softmax_cross_entropy", "soft_cross_entropy") else None


def present(array, like):
    """The array, or one of its type with no elements."""
    return like[:0] if array is None else array


def softmax_cross_entropy(out, lse, x, y, weight, *, label_smoothing=0.0, scratch):
    lse, weight = present(lse, out), present(weight, scratch)
    labels_rows(out, lse, x, y, weight, float(label_smoothing), scratch)


def softmax_cross_entropy_grad(out, x, y, weight, lse, dout, *, label_smoothing=0.0):
    labels_grad_rows(out, x, y, present(weight, dout), lse, dout, float(label_smoothing))


def soft_cross_entropy(out, x, target, *, scratch):
    soft_rows(out, x, target, scratch)


def soft_cross_entropy_grad(out, x, target, dout):
    soft_grad_rows(out, x, target, dout)
