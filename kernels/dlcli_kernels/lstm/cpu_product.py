"""Products of few rows with a matrix that stays the same: the recurrent product of each step.

BLAS lays the matrix out anew in every call, which is half of its time at 16 rows. Here that is done
once for all steps, in panels of 64 columns (P, K, 64), whose rows `cpu_tile.py` reads one after the
other. The result lies in panels too, (P, M, 64). M is a multiple of 4, filled up with zeros.
"""

from ..cpu import kernel
from ..cpu_gemm import gemm
from ..cpu_tile import (
    BITS,
    ROWS,
    VECTORS,
    WIDEST,
    add_low_tile,
    add_tall_tile,
    add_thin_tile,
    add_tile,
    width,
)

PANEL = 64  # columns: a tile of float32 of the widest vectors, or several narrower ones
BLOCK, TALL = ROWS, ROWS + 1


def blocks_of(count):
    """`count` rounded up to a multiple of BLOCK."""
    return -(-count // BLOCK) * BLOCK


def whole_vectors(columns):
    """`columns` rounded up to whole vectors of any type."""
    return -(-columns // 16) * 16


def panels_of(columns):
    """How many panels `columns` need."""
    return -(-columns // PANEL)


def lengths_of(m, k, n):
    """Elements of the left operand, of the panels of the right one and of those of the result."""
    m, k, p = blocks_of(m), blocks_of(k), panels_of(n)
    return m * k, p * k * PANEL, p * m * PANEL


@kernel
def pack_rows(panels, at, w):
    """Rows `at` and further of the panels (P, K, 64) ← w (k, n); the rest stays."""
    for p in range(panels.shape[0]):
        first = p * PANEL
        columns = min(PANEL, w.shape[1] - first)
        for k in range(w.shape[0]):
            row = panels[p, at + k]
            for j in range(columns):
                row[j] = w[k, first + j]


@kernel
def pack(panels, w):
    """panels (P, K, 64) of w (k, n), zeros beyond its ends. w may be a transposed view."""
    panels[:] = 0.0
    pack_rows(panels, 0, w)


@kernel
def put_row(panels, m, row):
    """Row m of the panels (P, M, 64) ← row (n,)."""
    for p in range(panels.shape[0]):
        first = p * PANEL
        target = panels[p, m]
        for j in range(min(PANEL, row.size - first)):
            target[j] = row[first + j]


@kernel
def get_row(row, panels, m):
    """row (n,) ← row m of the panels (P, M, 64)."""
    for p in range(panels.shape[0]):
        first = p * PANEL
        source = panels[p, m]
        for j in range(min(PANEL, row.size - first)):
            row[first + j] = source[j]


@kernel
def add_columns(c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k, columns):
    """Four rows of C += four of A · B, as `add_tile`; `columns` are rounded up to whole vectors."""
    wide = width(c)
    j = 0
    while j + wide <= columns:
        add_tile(c, at_c + j, next_c, a, at_a, next_a, step_a, b, at_b + j, next_b, k)
        j += wide
    while j < columns:
        add_thin_tile(c, at_c + j, next_c, a, at_a, next_a, step_a, b, at_b + j, next_b, k)
        j += wide // VECTORS


@kernel
def add_product(c, a, b):
    """c (P, M, 64) += a (M, K) · b (P, K, 64). The rows of c do not depend on each other."""
    panels, m, _ = c.shape
    k = a.shape[1]
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    for p in range(panels):
        for i in range(0, m, BLOCK):
            to, right = (p * m + i) * PANEL, p * k * PANEL
            add_columns(flat_c, to, PANEL, flat_a, i * k, k, 1, flat_b, right, PANEL, k, PANEL)


@kernel
def add_rows(c, a, b, m, columns):
    """c (≥ m, ≥ columns) += a (≥ m, K) · b (P, K, 64), both in rows; K of a may be longer.

    m is rounded up to a multiple of 4, columns to one of 16: so many must be there. Where the
    columns fill whole tiles the rows are made of tiles of four and five, and what is left over of
    single ones, which take longer by the row.
    """
    panels, k, _ = b.shape
    next_c, next_a = c.shape[1], a.shape[1]
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    wide = width(c)
    for p in range(panels):
        first = p * PANEL
        width_of_panel = min(PANEL, columns - first)
        right = p * k * PANEL
        tall = min(m % BLOCK, m // TALL) * TALL if width_of_panel == PANEL else 0
        fours = tall + (m - tall) // BLOCK * BLOCK if width_of_panel == PANEL else m
        for i in range(0, tall, TALL):
            for j in range(0, PANEL, wide):
                to, left = i * next_c + first + j, i * next_a
                add_tall_tile(
                    flat_c, to, next_c, flat_a, left, next_a, 1, flat_b, right + j, PANEL, k
                )
        for i in range(tall, fours, BLOCK):
            to, left = i * next_c + first, i * next_a
            add_columns(
                flat_c, to, next_c, flat_a, left, next_a, 1, flat_b, right, PANEL, k, width_of_panel
            )
        for i in range(fours, m):
            for j in range(0, PANEL, wide):
                to, left = i * next_c + first + j, i * next_a
                add_low_tile(
                    flat_c, to, next_c, flat_a, left, next_a, 1, flat_b, right + j, PANEL, k
                )


@kernel
def add_transposed(c, a, b, k, columns):
    """c (M, ≥ columns) += aᵀ · b of the first k ≥ 1 rows of a (≥ k, M) and b (≥ k, ≥ columns).

    M is a multiple of 4, columns are rounded up to one of 16. Nothing is laid out anew: what four
    columns of a share of a cache line stays for the next twelve. Narrower vectors pass over b more
    often than is worth it: BLAS then.
    """
    m, next_c = c.shape
    next_a, next_b = a.shape[1], b.shape[1]
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    if BITS < WIDEST:
        gemm(True, False, m, columns, k, flat_a, next_a, flat_b, next_b, True, flat_c, next_c)
        return
    for first in range(0, columns, PANEL):
        some = min(PANEL, columns - first)
        for i in range(0, m, BLOCK):
            to = i * next_c + first
            add_columns(flat_c, to, next_c, flat_a, i, 1, next_a, flat_b, first, next_b, k, some)
