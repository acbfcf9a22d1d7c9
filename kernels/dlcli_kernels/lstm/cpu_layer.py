"""A range runs a whole layer by itself: the products of x and of h are one, and the weights'
gradient is added up block by block while the gradients of z are still in the L2 cache.

A step is done for the rows that have it, side by side in the products' operands: padding costs
nothing but the zeros that are written there. In float32 on one core, a shared one whose BLAS
reaches 104 GFLOP/s, forward and backward: N=128, T=28, F=28, H=128 takes 8.0 and 12.5 ms (10.9 and
15.7 with sums in memory and BLAS); N=32, T=200, F=200, H=128 24 and 45 ms (32 and 54), and 15 and
26 ms (29 and 49) where lengths are uniform from 1 to 200.
"""

import numpy as np

from ..cpu import kernel
from ..cpu_copy import assign, fill
from ..cpu_fetch import fetch_row
from .cpu_numba import NO_LENGTHS, begin, end_of, present
from .cpu_product import BLOCK as BLOCK_ROWS
from .cpu_product import (
    PANEL,
    add_rows,
    add_transposed,
    blocks_of,
    pack,
    pack_rows,
    panels_of,
    whole_vectors,
)
from .cpu_step import copy, row_step, row_step_grad

BLOCK = 256  # rows of z's gradient that are multiplied at once: they stay in the L2 cache

# --- forward --------------------------------------------------------------------------------------


@kernel
def longest_of(lengths, rows, length):
    """The first step from which on no row has any."""
    longest = 0
    for n in range(rows):
        longest = max(longest, end_of(n, lengths, length))
    return longest


@kernel
def run(
    out, hidden, cells_now, gates, cells, x, w_ih, w_hh, b, lengths, reverse,
    left, panels, z,
):  # fmt: skip
    """hidden and cells_now begin as the states before the first step, end as those after the last.

    left (M, F + H), panels (P, F + H, 64) and z (M, 4H) are the product's operands. A step is done
    for the rows that have it, side by side.
    """
    rows, length, units = out.shape
    inputs = x.shape[2]
    panels[:] = 0.0
    pack_rows(panels, 0, w_ih.T)
    pack_rows(panels, inputs, w_hh.T)
    left[:] = 0.0
    z[:] = 0.0
    longest = longest_of(lengths, rows, length)
    for s in range(longest):
        t = longest - 1 - s if reverse else s
        m = 0
        for n in range(rows):
            if t < end_of(n, lengths, length):
                copy(left[m, :inputs], x[n, t])
                copy(left[m, inputs:], hidden[n])
                copy(z[m, : b.size], b)
                m += 1
        add_rows(z, left, panels, m, b.size)
        m = 0
        for n in range(rows):
            if t < end_of(n, lengths, length):
                g = z[m, : b.size]
                row_step(hidden[n], cells_now[n], g)
                copy(out[n, t], hidden[n])
                if gates.size:
                    copy(gates[n, t], g)
                    copy(cells[n, t], cells_now[n])
                m += 1
                later = t - 1 if reverse else t + 1
                fetch_row(x, n, later)
                fetch_row(out, n, later)
                fetch_row(gates, n, later)
                fetch_row(cells, n, later)
    for n in range(rows):
        for t in range(max(end_of(n, lengths, length), 0), length):
            out[n, t] = 0.0
            if gates.size:
                gates[n, t] = 0.0
                cells[n, t] = 0.0


# --- backward -------------------------------------------------------------------------------------


@kernel
def run_grad(
    dx, dw, dh, dc, dout, gates, cells, out, x, h0, c0, w_ih, w_hh, lengths, reverse,
    dz, panels, product, panels_x, dx_rows, before,
):  # fmt: skip
    """dh and dc begin as the gradients of the last states and end as those of the first.

    dw (F + H + 1, 4H): of w_ih, w_hh and b below each other, transposed. dz (R, 4H): z's gradient
    of the steps and rows of a block, those that a row has; before (R, F + H + 1): what it is
    multiplied with, x, the h before and 1. panels and product (M, H) are those of dh, panels_x and
    dx_rows (R, F) those of dx.
    """
    rows, length, units = out.shape
    inputs, wide = x.shape[2], 4 * units
    one = dz.dtype.type(1)
    pack(panels, w_hh)
    if dx.size:
        pack(panels_x, w_ih)
    dz[:] = 0.0
    before[:] = 0.0
    dw[:] = 0.0
    longest = longest_of(lengths, rows, length)
    start, used = 0, 0  # of the block: its first step, the rows of dz that it has
    for s in range(longest):
        t = s if reverse else longest - 1 - s
        earlier = t + 1 if reverse else t - 1
        m = 0
        for n in range(rows):
            end = end_of(n, lengths, length)
            if t >= end:
                continue
            d = dh[n]
            if dout.size:
                above = dout[n, t]
                for k in range(units):
                    d[k] += above[k]
            is_first = earlier < 0 or earlier >= end
            c_before = c0[n] if is_first else cells[n, earlier]
            row_step_grad(dz[used + m, :wide], dc[n], d, gates[n, t], c_before, cells[n, t])
            to = before[used + m]
            copy(to[:inputs], x[n, t])
            copy(to[inputs : inputs + units], h0[n] if is_first else out[n, earlier])
            to[inputs + units] = one
            m += 1
            fetch_row(gates, n, earlier)
            fetch_row(x, n, earlier)
            fetch_row(cells, n, 2 * earlier - t)
            fetch_row(out, n, 2 * earlier - t)
        product[:] = 0.0
        add_rows(product, dz[used:], panels, m, units)
        m = 0
        for n in range(rows):
            if t < end_of(n, lengths, length):
                copy(dh[n], product[m, :units])
                m += 1
        used += m
        if s + 1 == longest or used + rows > dz.shape[0] - BLOCK_ROWS:
            add_transposed(dw, before, dz, used, wide)
            if dx.size:
                dx_rows[:] = 0.0
                add_rows(dx_rows, dz, panels_x, used, inputs)
                m = 0
                for i in range(start, s + 1):
                    t = i if reverse else longest - 1 - i
                    for n in range(rows):
                        if t < end_of(n, lengths, length):
                            copy(dx[n, t], dx_rows[m, :inputs])
                            m += 1
            start, used = s + 1, 0
    if dx.size:
        for n in range(rows):
            for t in range(max(end_of(n, lengths, length), 0), length):
                dx[n, t] = 0.0


# --- operands -------------------------------------------------------------------------------------


def shapes(op, n, t, f, h):
    """The arrays of a call's scratch memory."""
    m, wide = blocks_of(n), whole_vectors(4 * h)
    if op == "lstm_layer":
        return (m, f + h), (panels_of(4 * h), f + h, PANEL), (m, wide)
    block = max(BLOCK, n) + BLOCK_ROWS
    of_h = (panels_of(h), 4 * h, PANEL), (m, whole_vectors(h))
    of_x = (panels_of(f), 4 * h, PANEL), (block, whole_vectors(f))
    columns = blocks_of(f + h + 1)
    return (block, wide), *of_h, *of_x, (block, columns), (columns, wide)


def sizes(op, ins):
    """(N, T, F, H) of a call."""
    x, h0 = (ins[0], ins[1]) if op == "lstm_layer" else (ins[6], ins[7])
    return (*x.shape, h0.shape[1])


def workspace(op, *ins, **attrs):
    """Room for `shapes`, which only grow with the number of rows: a range has no more than all."""
    total = sum(int(np.prod(shape)) for shape in shapes(op, *sizes(op, ins)))
    return ins[0 if op == "lstm_layer" else 6].like(total)


def split(scratch, parts):
    """The scratch memory as arrays of these shapes."""
    ends = np.cumsum([int(np.prod(shape)) for shape in parts])
    pieces = np.split(scratch[: ends[-1]], ends[:-1])
    return [piece.reshape(shape) for piece, shape in zip(pieces, parts, strict=True)]


def lstm_layer(
    out, h_last, c_last, gates, cells, x, h0, c0, w_ih, w_hh, b, lengths,
    *, reverse=False, scratch,
):  # fmt: skip
    begin(h_last, h0)
    begin(c_last, c0)
    if out.size:
        arrays = split(scratch, shapes("lstm_layer", *x.shape, h0.shape[1]))
        saved = present(gates, out), present(cells, out)
        lengths = NO_LENGTHS if lengths is None else lengths
        run(out, h_last, c_last, *saved, x, w_ih, w_hh, b, lengths, reverse, *arrays)


def lstm_layer_grad(
    dx, dw_ih, dw_hh, db, dh0, dc0, dout, dh_last, dc_last, gates, cells, out, x, h0, c0,
    w_ih, w_hh, lengths, *, reverse=False, with_dx=True, scratch,
):  # fmt: skip
    begin(dh0, dh_last)
    begin(dc0, dc_last)
    f, h = x.shape[2], h0.shape[1]
    if not out.size:
        for grad in (dx, dw_ih, dw_hh, db):
            fill(grad, 0)
        return
    *arrays, dw = split(scratch, shapes("lstm_layer_grad", *x.shape, h))
    lengths = NO_LENGTHS if lengths is None else lengths
    saved = (present(dout, out), gates, cells, out, x, h0, c0, w_ih, w_hh)
    run_grad(dx, dw, dh0, dc0, *saved, lengths, reverse, *arrays)
    dw = dw[:, : 4 * h]
    assign(dw_ih, dw[:f].T)
    assign(dw_hh, dw[f : f + h].T)
    assign(db, dw[f + h])
