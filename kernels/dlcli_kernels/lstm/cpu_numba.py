"""A range runs all its steps by itself in one call, a row's gates while they are in the L1 cache
(`cpu_step.py`), with the recurrent product of `cpu_product.py` in between.

By NumPy's calls 28 steps are some four hundred, each a pass over memory. N=32, T=28, H=128 in
float32 on one core: 1.9 ms, by the reference's NumPy 17. The gradient of the weights is left to
BLAS. The state lives in the outputs that the caller gets at the end.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_copy import assign, fill
from ..cpu_gemm import gemm
from .cpu_product import PANEL, add_product, blocks_of, get_row, lengths_of, pack, put_row
from .cpu_step import copy, row_step, row_step_grad

BLOCK = 512  # steps per product of the weights' gradient: their h stays in the L2 cache

# --- one step -------------------------------------------------------------------------------------


@kernel
def cell_rows(h, c_next, gates, zx, zh, c, scratch):
    for n in range(h.shape[0]):
        z, x, r = gates[n] if gates.size else scratch, zx[n], zh[n]
        for k in range(z.size):
            z[k] = x[k] + r[k]
        copy(c_next[n], c[n])
        row_step(h[n], c_next[n], z)


@kernel
def cell_grad_rows(dz, dc, dh, gates, c, c_next, scratch):
    """dc begins as the gradient of c_next."""
    scratch[:] = 0.0
    for n in range(dc.shape[0]):
        row_step_grad(dz[n], dc[n], dh[n] if dh.size else scratch, gates[n], c[n], c_next[n])


# --- all steps ------------------------------------------------------------------------------------


@kernel
def end_of(n, lengths, length):
    """How many of `length` steps row n has; all where there are no lengths."""
    return min(length, lengths[n]) if lengths.size else length


@kernel
def run(out, hidden, cells_now, gates, cells, zx, w, lengths, reverse, h, panels, z, row):
    """hidden and cells_now begin as the states before the first step, end as those after the last.

    h (M, K), panels (P, K, 64) and z (P, M, 64) are the product's operands, row (4H,) is scratch.
    """
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
            if t < end_of(n, lengths, length):
                get_row(row, z, n)
                row_step(hidden[n], cells_now[n], row)
                copy(out[n, t], hidden[n])
                if gates.size:
                    copy(gates[n, t], row)
                    copy(cells[n, t], cells_now[n])
            else:
                out[n, t] = 0.0
                if gates.size:
                    gates[n, t] = 0.0
                    cells[n, t] = 0.0


@kernel
def run_grad(dz, dh, dc, dout, gates, cells, c0, w, lengths, reverse, left, panels, product):
    """dh and dc begin as the gradients of the last states and end as those of the first.

    A row within its length gives its dh to dz and gets a new one from the product; one past it
    has dz = 0 and keeps what it has.
    """
    rows, length, wide = dz.shape
    units = wide // 4
    pack(panels, w)
    left[:] = 0.0
    for s in range(length):
        t = s if reverse else length - 1 - s
        before = t + 1 if reverse else t - 1
        for n in range(rows):
            end = end_of(n, lengths, length)
            if t >= end:
                dz[n, t] = 0.0
                continue
            d = dh[n]
            if dout.size:
                above = dout[n, t]
                for k in range(units):
                    d[k] += above[k]
            c_before = cells[n, before] if 0 <= before < end else c0[n]
            row_step_grad(dz[n, t], dc[n], d, gates[n, t], c_before, cells[n, t])
            copy(left[n, :wide], dz[n, t])
        product[:] = 0.0
        add_product(product, left, panels)
        for n in range(rows):
            if t < end_of(n, lengths, length):
                get_row(dh[n], product, n)


@kernel
def run_wgrad(dw, flat_dz, stride, out, h0, lengths, reverse, scratch):
    """A product per block of steps: dz as it lies, and the h before each, gathered in `scratch`.

    flat_dz: begins with the first step's dz; `stride` elements further is the next step's.
    """
    rows, length, units = out.shape
    flat_dw, h, flat_h = dw.reshape(-1), scratch, scratch.reshape(-1)
    for start in range(0, rows * length, h.shape[0]):
        count = min(h.shape[0], rows * length - start)
        for j in range(count):
            n, t = (start + j) // length, (start + j) % length
            end, before = end_of(n, lengths, length), (t + 1 if reverse else t - 1)
            if t >= end:
                h[j] = 0.0
            else:
                copy(h[j], out[n, before] if 0 <= before < end else h0[n])
        matrices = (flat_dz[start * stride :], stride, flat_h, units, start > 0, flat_dw, units)
        gemm(True, False, dw.shape[0], units, count, *matrices)


# --- operands -------------------------------------------------------------------------------------

NO_LENGTHS = np.empty(0, np.int32)


def workspace(op, *ins, **attrs):
    """z of a row; zeros in place of an absent dh; the operands of the product; a block of h."""
    if op == "lstm_cell":
        return ins[0].like(ins[0].shape[1])
    if op == "lstm_cell_grad":
        return ins[3].like(ins[3].shape[1])
    if op == "lstm_sequence":
        n, _, wide = ins[0].shape
        return ins[0].like(sum(lengths_of(n, wide // 4, wide)) + wide)
    if op == "lstm_sequence_grad":
        n, _, wide = ins[3].shape
        return ins[3].like(sum(lengths_of(n, wide, wide // 4)))
    if op == "lstm_sequence_wgrad":
        n, t, h = ins[1].shape
        return ins[1].like(min(BLOCK, n * t), h)
    return None


def present(array, like):
    """The array, or one of its type with no elements: one compiled version for both."""
    return like[:0] if array is None else array


def split(scratch, m, k, n):
    """The operands of a product (m, k) · (k, n) in a flat array: left, panels, result, the rest."""
    ends = np.cumsum(lengths_of(m, k, n))
    left, panels, result, rest = np.split(scratch, ends)
    m, k = blocks_of(m), blocks_of(k)
    return left.reshape(m, k), panels.reshape(-1, k, PANEL), result.reshape(-1, m, PANEL), rest


def begin(state, given):
    """Fills a state with what it begins as: zeros where nothing is given."""
    if given is None:
        fill(state, 0)
    else:
        assign(state, given)


def lstm_cell(h, c_next, gates, zx, zh, c, *, scratch):
    if h.size:
        cell_rows(h, c_next, present(gates, zx), zx, zh, c, scratch)


def lstm_cell_grad(dz, dc, dh, dc_next, gates, c, c_next, *, scratch):
    if dc.size:
        begin(dc, dc_next)
        cell_grad_rows(dz, dc, present(dh, c), gates, c, c_next, scratch)


def lstm_sequence(
    out, h_last, c_last, gates, cells, zx, h0, c0, w, lengths, *, reverse=False, scratch
):
    begin(h_last, h0)
    begin(c_last, c0)
    if out.size:
        saved = present(gates, zx), present(cells, out)
        lengths = NO_LENGTHS if lengths is None else lengths
        rows, _, wide = zx.shape
        *product, rest = split(scratch, rows, wide // 4, wide)
        run(out, h_last, c_last, *saved, zx, w, lengths, reverse, *product, rest[:wide])


def lstm_sequence_grad(
    dz, dh0, dc0, dout, dh_last, dc_last, gates, cells, c0, w, lengths, *, reverse=False, scratch
):
    begin(dh0, dh_last)
    begin(dc0, dc_last)
    if dz.size:
        lengths = NO_LENGTHS if lengths is None else lengths
        *product, _ = split(scratch, dz.shape[0], w.shape[0], w.shape[1])
        dout = present(dout, cells)
        run_grad(dz, dh0, dc0, dout, gates, cells, c0, w, lengths, reverse, *product)


def lstm_sequence_wgrad(dw, dz, out, h0, lengths, *, reverse=False, scratch):
    if not dz.size:
        fill(dw, 0)
        return
    stride = dz.strides[1] // dz.itemsize  # dz may be a range of the gates
    whole = (dz.shape[0] * dz.shape[1] - 1) * stride + dz.shape[2]
    flat_dz = np.lib.stride_tricks.as_strided(dz, (whole,), dz.strides[2:])
    lengths = NO_LENGTHS if lengths is None else lengths
    run_wgrad(dw, flat_dz, stride, out, h0, lengths, reverse, scratch)
