"""A range runs a whole layer by itself: the products of x and of h are one, and the weights'
gradient is added up block by block while the gradients of z are still in the L2 cache.

N=128, T=28, F=28, H=128 in float32 on one core, shared with other work: MEASURED
"""

import numpy as np

from ..cpu import kernel
from ..cpu_gemm import gemm
from .cpu_numba import NO_LENGTHS, begin, end_of, present
from .cpu_product import (
    PANEL,
    add_product,
    blocks_of,
    get_row,
    pack,
    pack_rows,
    panels_of,
    put_row,
)
from .cpu_step import copy, row_step, row_step_grad

BLOCK = 512

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
    left, panels, z, bias, row,
):  # fmt: skip
    """hidden and cells_now begin as the states before the first step, end as those after the last.

    left (M, F + H), panels (P, F + H, 128) and z (P, M, 128) are the product's operands; bias
    (P, 1, 128) and row (4H,) are scratch.
    """
    rows, length, units = out.shape
    inputs = x.shape[2]
    panels[:] = 0.0
    pack_rows(panels, 0, w_ih.T)
    pack_rows(panels, inputs, w_hh.T)
    left[:] = 0.0
    z[:] = 0.0
    bias[:] = 0.0
    put_row(bias, 0, b)
    longest = longest_of(lengths, rows, length)
    for s in range(longest):
        t = longest - 1 - s if reverse else s
        for n in range(rows):
            if t < end_of(n, lengths, length):
                copy(left[n, :inputs], x[n, t])
                copy(left[n, inputs : inputs + units], hidden[n])
        for p in range(z.shape[0]):
            for n in range(rows):
                copy(z[p, n], bias[p, 0])
        add_product(z, left, panels)
        for n in range(rows):
            if t < end_of(n, lengths, length):
                g = gates[n, t] if gates.size else row
                get_row(g, z, n)
                row_step(hidden[n], cells_now[n], g)
                copy(out[n, t], hidden[n])
                if gates.size:
                    copy(cells[n, t], cells_now[n])
    if lengths.size:
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
    dz, panels, product, dx_rows, before,
):  # fmt: skip
    """dh and dc begin as the gradients of the last states and end as those of the first.

    dw (4H, F + H + 1): of w_ih, w_hh and b side by side. dz (S, M, 4H): z's gradient of a block of
    S steps; before (S, M, F + H + 1): x, the h before and 1, what it is multiplied with; rows past
    a length are 0 in both. panels and product are as in `cpu_product`, dx_rows (S, M, F) scratch.
    """
    rows, length, units = out.shape
    inputs, wide, columns = x.shape[2], dz.shape[2], before.shape[2]
    most, padded = dz.shape[0], dz.shape[1]
    flat_dz, flat_before, flat_dw = dz.reshape(-1), before.reshape(-1), dw.reshape(-1)
    one = dz.dtype.type(1)
    pack(panels, w_hh)
    dz[:] = 0.0
    before[:] = 0.0
    longest = longest_of(lengths, rows, length)
    for start in range(0, longest, most):
        count = min(most, longest - start)
        for i in range(count):
            t = start + i if reverse else longest - 1 - start - i
            earlier = t + 1 if reverse else t - 1
            for n in range(rows):
                end = end_of(n, lengths, length)
                if t >= end:
                    dz[i, n] = 0.0
                    before[i, n] = 0.0
                    continue
                d = dh[n]
                if dout.size:
                    above = dout[n, t]
                    for k in range(units):
                        d[k] += above[k]
                is_first = earlier < 0 or earlier >= end
                c_before = c0[n] if is_first else cells[n, earlier]
                row_step_grad(dz[i, n], dc[n], d, gates[n, t], c_before, cells[n, t])
                to = before[i, n]
                copy(to[:inputs], x[n, t])
                copy(to[inputs : inputs + units], h0[n] if is_first else out[n, earlier])
                to[inputs + units] = one
            product[:] = 0.0
            add_product(product, dz[i], panels)
            for n in range(rows):
                if t < end_of(n, lengths, length):
                    get_row(dh[n], product, n)
        total = count * padded
        sums = (flat_before, columns, start > 0, flat_dw, columns)
        gemm(True, False, wide, columns, total, flat_dz, wide, *sums)
        if dx.size:
            flat_dx = dx_rows.reshape(-1)
            matrices = (flat_dz, wide, w_ih.reshape(-1), inputs, False, flat_dx, inputs)
            gemm(False, False, total, inputs, wide, *matrices)
            for i in range(count):
                t = start + i if reverse else longest - 1 - start - i
                for n in range(rows):
                    copy(dx[n, t], dx_rows[i, n])
    if longest <= 0:
        dw[:] = 0.0
    if dx.size:
        for n in range(rows):
            for t in range(max(longest, 0), length):
                dx[n, t] = 0.0


# --- operands -------------------------------------------------------------------------------------


def steps_of(padded, length):
    """Steps per block: all blocks but the last of one size, of at most BLOCK rows."""
    most = max(BLOCK // max(padded, 1), 1)
    blocks = max(-(-length // most), 1)
    return max(-(-length // blocks), 1)


def shapes(op, n, t, f, h):
    """The arrays of a call's scratch memory."""
    m, p = blocks_of(n), panels_of(4 * h)
    if op == "lstm_layer":
        k = blocks_of(f + h)
        return (m, k), (p, k, PANEL), (p, m, PANEL), (p, 1, PANEL), (4 * h,)
    s, columns = steps_of(m, t), -(-(f + h + 1) // 16) * 16
    panels = panels_of(h)
    product = (panels, 4 * h, PANEL), (panels, m, PANEL)
    return (s, m, 4 * h), *product, (s, m, f), (s, m, columns), (4 * h, columns)


def sizes(op, ins):
    """(N, T, F, H) of a call."""
    x, h0 = (ins[0], ins[1]) if op == "lstm_layer" else (ins[6], ins[7])
    return (*x.shape, h0.shape[1])


def workspace(op, *ins, **attrs):
    """Room for `shapes`."""
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
            grad[...] = 0
        return
    *arrays, dw = split(scratch, shapes("lstm_layer_grad", *x.shape, h))
    lengths = NO_LENGTHS if lengths is None else lengths
    saved = (present(dout, out), gates, cells, out, x, h0, c0, w_ih, w_hh)
    run_grad(dx, dw, dh0, dc0, *saved, lengths, reverse, *arrays)
    dw_ih[...], dw_hh[...], db[...] = dw[:, :f], dw[:, f : f + h], dw[:, f + h]
