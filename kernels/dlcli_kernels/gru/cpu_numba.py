"""A range runs all its steps in one call, a row's gates while they are in the L1 cache, with the
recurrent product of `lstm/cpu_product.py`, whose right operand is laid out once for all steps.

The product's result begins as zx_r, zx_z and b, so that it ends as z_r, z_z and q. The gradient of
the weights is left to BLAS, by the LSTM's gather of the h before each step.
"""

from ..cpu import kernel
from ..cpu_copy import fill
from ..elementwise.cpu_numba import sigmoids, tangents
from ..lstm.cpu_numba import BLOCK, NO_LENGTHS, begin, end_of, present, run_wgrad, split
from ..lstm.cpu_product import add_product, get_row, lengths_of, pack, put_row
from ..lstm.cpu_step import copy

# --- a step of a row ------------------------------------------------------------------------------


@kernel
def row_step(h, gates, zx_n):
    """h (H,) in place: from before a step to after it. gates (4H,) are z_r, z_z and q, and then
    anything; they become r, z, n, q.
    """
    units = h.size
    r, z = gates[:units], gates[units : 2 * units]
    n, q = gates[2 * units : 3 * units], gates[3 * units :]
    copy(q, n)
    sigmoids(gates[: 2 * units])
    for k in range(units):
        n[k] = zx_n[k] + r[k] * q[k]
    tangents(n)
    for k in range(units):
        h[k] = n[k] + z[k] * (h[k] - n[k])


@kernel
def row_step_grad(dz, dq, dh, gates, h_before):
    """dz (3H,) and dq (H,) of a step, and dh (H,) in place: from that of h after to z·dh."""
    units = dh.size
    one = dh.dtype.type(1)
    r, z = gates[:units], gates[units : 2 * units]
    n, q = gates[2 * units : 3 * units], gates[3 * units :]
    dzr, dzz, dzn = dz[:units], dz[units : 2 * units], dz[2 * units :]
    for k in range(units):
        dzn[k] = dh[k] * (one - z[k]) * (one - n[k] * n[k])
    for k in range(units):
        dzz[k] = dh[k] * (h_before[k] - n[k]) * z[k] * (one - z[k])
    for k in range(units):
        dq[k] = dzn[k] * r[k]
    for k in range(units):
        dzr[k] = dq[k] * q[k] * (one - r[k])
    for k in range(units):
        dh[k] *= z[k]


@kernel
def cell_rows(h_next, gates, zx, zh, h, row):
    """row (4H,): the gates where nobody wants them."""
    units = h.shape[1]
    wide = 2 * units
    for n in range(h.shape[0]):
        g, x, r = gates[n] if gates.size else row, zx[n], zh[n]
        for k in range(wide):
            g[k] = x[k] + r[k]
        copy(g[wide : wide + units], r[wide:])
        copy(h_next[n], h[n])
        row_step(h_next[n], g, x[wide:])


@kernel
def cell_grad_rows(dzx, dzh, dh, dh_next, gates, h):
    wide = 2 * h.shape[1]
    for n in range(h.shape[0]):
        copy(dh[n], dh_next[n])
        row_step_grad(dzx[n], dzh[n, wide:], dh[n], gates[n], h[n])
        copy(dzh[n, :wide], dzx[n, :wide])


# --- all steps ------------------------------------------------------------------------------------


@kernel
def run(out, hidden, gates, zx, w, b, lengths, reverse, h, panels, z, row):
    """hidden begins as the state before the first step and ends as that after the last.

    h (M, K), panels (P, K, 64) and z (P, M, 64) are the product's operands, row (4H,) is scratch.
    """
    rows, length, units = out.shape
    wide = 2 * units
    pack(panels, w.T)
    h[:] = 0.0
    z[:] = 0.0
    for s in range(length):
        t = length - 1 - s if reverse else s
        for n in range(rows):
            copy(h[n, :units], hidden[n])
            copy(row[:wide], zx[n, t, :wide])
            copy(row[wide : wide + units], b)
            put_row(z, n, row[: wide + units])
        add_product(z, h, panels)
        for n in range(rows):
            if t < end_of(n, lengths, length):
                get_row(row[: wide + units], z, n)
                row_step(hidden[n], row, zx[n, t, wide:])
                copy(out[n, t], hidden[n])
                if gates.size:
                    copy(gates[n, t], row)
            else:
                out[n, t] = 0.0
                if gates.size:
                    gates[n, t] = 0.0


@kernel
def run_grad(dz, dq, dh, dout, gates, out, h0, w, lengths, reverse, left, panels, product):
    """dh begins as the gradient of the last state and ends as that of the first.

    A row within its length leaves z·dh of itself, to which the product is added; one past it has
    dz = 0 and keeps what it has.
    """
    rows, length, units = dq.shape
    wide = 2 * units
    pack(panels, w)
    left[:] = 0.0
    product[:] = 0.0
    for s in range(length):
        t = s if reverse else length - 1 - s
        before = t + 1 if reverse else t - 1
        for n in range(rows):
            end = end_of(n, lengths, length)
            if t >= end:
                dz[n, t] = 0.0
                dq[n, t] = 0.0
                left[n] = 0.0
            else:
                d = dh[n]
                if dout.size:
                    above = dout[n, t]
                    for k in range(units):
                        d[k] += above[k]
                h_before = out[n, before] if 0 <= before < end else h0[n]
                row_step_grad(dz[n, t], dq[n, t], d, gates[n, t], h_before)
                copy(left[n, :wide], dz[n, t, :wide])
                copy(left[n, wide : wide + units], dq[n, t])
            put_row(product, n, dh[n])
        add_product(product, left, panels)
        for n in range(rows):
            get_row(dh[n], product, n)


# --- operands -------------------------------------------------------------------------------------


def workspace(op, *ins, **attrs):
    """The operands of the product and a row's gates; a block of h."""
    if op == "gru_cell_grad":
        return None
    if op == "gru_cell":
        return ins[2].like(4 * ins[2].shape[1])
    if op == "gru_sequence":
        n, _, wide = ins[0].shape
        return ins[0].like(sum(lengths_of(n, wide // 3, wide)) + wide // 3 * 4)
    if op == "gru_sequence_grad":
        n, _, h = ins[3].shape
        return ins[3].like(sum(lengths_of(n, 3 * h, h)))
    n, t, h = ins[2].shape
    return ins[2].like(min(BLOCK, n * t), h)


def gru_cell(h_next, gates, zx, zh, h, *, scratch):
    if h.size:
        cell_rows(h_next, present(gates, zx), zx, zh, h, scratch)


def gru_cell_grad(dzx, dzh, dh, dh_next, gates, h):
    if h.size:
        cell_grad_rows(dzx, dzh, dh, dh_next, gates, h)


def gru_sequence(out, h_last, gates, zx, h0, w, b, lengths, *, reverse=False, scratch):
    begin(h_last, h0)
    if out.size:
        lengths = NO_LENGTHS if lengths is None else lengths
        rows, _, units = out.shape
        *product, rest = split(scratch, rows, units, 3 * units)
        saved = present(gates, zx)
        run(out, h_last, saved, zx, w, b, lengths, reverse, *product, rest[: 4 * units])


def gru_sequence_grad(
    dz, dq, dh0, dout, dh_last, gates, out, h0, w, lengths, *, reverse=False, scratch
):
    begin(dh0, dh_last)
    if dz.size:
        lengths = NO_LENGTHS if lengths is None else lengths
        *product, _ = split(scratch, out.shape[0], w.shape[0], w.shape[1])
        dout = present(dout, out)
        run_grad(dz, dq, dh0, dout, gates, out, h0, w, lengths, reverse, *product)


def gru_sequence_wgrad(dw, dz, dq, out, h0, lengths, *, reverse=False, scratch):
    if not dz.size:
        fill(dw, 0)
        return
    lengths = NO_LENGTHS if lengths is None else lengths
    units = out.shape[2]
    for rows, d in ((dw[: 2 * units], dz), (dw[2 * units :], dq)):
        run_wgrad(rows, d.reshape(-1), d.shape[2], out, h0, lengths, reverse, scratch)
