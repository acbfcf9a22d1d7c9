"""A step is one pass over a row. A range runs all its steps in one call, with the recurrent product
of `lstm/cpu_product.py`: its right operand is laid out once for all steps. The gradient of the
weights is the LSTM's, a gather of the h before each step and BLAS.
"""

from ..cpu import kernel
from ..elementwise.cpu_numba import tangents
from ..lstm.cpu_numba import (
    BLOCK,
    NO_LENGTHS,
    begin,
    end_of,
    lstm_sequence_wgrad,
    present,
    split,
)
from ..lstm.cpu_product import add_product, get_row, lengths_of, pack, put_row
from ..lstm.cpu_step import copy

rnn_sequence_wgrad = lstm_sequence_wgrad  # it takes any number of gates


@kernel
def rectify(z):
    """z ← max(z, 0); NaN stays."""
    zero = z.dtype.type(0)
    for k in range(z.size):
        z[k] = zero if z[k] < zero else z[k]


@kernel
def cell_rows(h, zx, zh, use_tanh):
    for n in range(h.shape[0]):
        to, x, r = h[n], zx[n], zh[n]
        for k in range(to.size):
            to[k] = x[k] + r[k]
        if use_tanh:
            tangents(to)
        else:
            rectify(to)


@kernel
def run(out, hidden, zx, w, lengths, use_tanh, reverse, h, panels, z):
    """hidden begins as the state before the first step and ends as that after the last."""
    rows, length, units = out.shape
    pack(panels, w.T)
    h[:] = 0.0
    z[:] = 0.0
    for s in range(length):
        t = length - 1 - s if reverse else s
        for n in range(rows):
            copy(h[n, :units], hidden[n])
            put_row(z, n, zx[n, t])
        add_product(z, h, panels)
        for n in range(rows):
            if t >= end_of(n, lengths, length):
                out[n, t] = 0.0
                continue
            get_row(hidden[n], z, n)
            if use_tanh:
                tangents(hidden[n])
            else:
                rectify(hidden[n])
            copy(out[n, t], hidden[n])


@kernel
def slope(dz, dh, out, use_tanh):
    """dz (H,) = act′ · dh of a row."""
    one, zero = out.dtype.type(1), out.dtype.type(0)
    if use_tanh:
        for k in range(dz.size):
            dz[k] = dh[k] * (one - out[k] * out[k])
    else:
        for k in range(dz.size):
            dz[k] = zero if out[k] <= zero else dh[k]  # NaN is neither


@kernel
def cell_grad_rows(dz, dh, h, use_tanh):
    for n in range(dz.shape[0]):
        slope(dz[n], dh[n], h[n], use_tanh)


@kernel
def run_grad(dz, dh, dout, out, w, lengths, use_tanh, reverse, left, panels, product):
    """dh begins as the gradient of the last state and ends as that of the first."""
    rows, length, units = dz.shape
    pack(panels, w)
    left[:] = 0.0
    for s in range(length):
        t = s if reverse else length - 1 - s
        for n in range(rows):
            if t >= end_of(n, lengths, length):
                dz[n, t] = 0.0
                continue
            d = dh[n]
            if dout.size:
                above = dout[n, t]
                for k in range(units):
                    d[k] += above[k]
            slope(dz[n, t], d, out[n, t], use_tanh)
            copy(left[n, :units], dz[n, t])
        product[:] = 0.0
        add_product(product, left, panels)
        for n in range(rows):
            if t < end_of(n, lengths, length):
                get_row(dh[n], product, n)


def workspace(op, *ins, **attrs):
    """The operands of the product; a block of h."""
    if op in ("rnn_cell", "rnn_cell_grad"):
        return None
    if op == "rnn_sequence_wgrad":
        n, t, h = ins[1].shape
        return ins[1].like(min(BLOCK, n * t), h)
    sequences = ins[0] if op == "rnn_sequence" else ins[2]
    n, _, h = sequences.shape
    return sequences.like(sum(lengths_of(n, h, h)))


def rnn_cell(h, zx, zh, *, act="tanh"):
    if h.size:
        cell_rows(h, zx, zh, act == "tanh")


def rnn_cell_grad(dz, dh, h, *, act="tanh"):
    if dz.size:
        cell_grad_rows(dz, dh, h, act == "tanh")


def rnn_sequence(out, h_last, zx, h0, w, lengths, *, act="tanh", reverse=False, scratch):
    begin(h_last, h0)
    if out.size:
        lengths = NO_LENGTHS if lengths is None else lengths
        *product, _ = split(scratch, out.shape[0], out.shape[2], out.shape[2])
        run(out, h_last, zx, w, lengths, act == "tanh", reverse, *product)


def rnn_sequence_grad(
    dz, dh0, dout, dh_last, out, w, lengths, *, act="tanh", reverse=False, scratch
):
    begin(dh0, dh_last)
    if dz.size:
        lengths = NO_LENGTHS if lengths is None else lengths
        *product, _ = split(scratch, dz.shape[0], dz.shape[2], dz.shape[2])
        run_grad(dz, dh0, present(dout, out), out, w, lengths, act == "tanh", reverse, *product)
