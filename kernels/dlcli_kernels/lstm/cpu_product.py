"""Products of few rows with a matrix that stays the same: the recurrent product of each step.

BLAS lays the matrix out anew in every call, which is half of its time at 16 rows. Here that is done
once for all steps: panels of 128 columns (P, K, 128), so that a block of 4 × 4 numbers of the left
operand in registers meets four whole rows of a panel, contiguous and a fixed distance apart, which
LLVM vectorises. (16, 128) · (128, 512) in float32 on one core: 83 GFLOP/s, BLAS 55.

The result lies in panels too, (P, M, 128). M and K are multiples of 4, filled up with zeros.
"""

from ..cpu import kernel

PANEL = 128  # columns; a panel of 16 rows of the result is 8 KiB of float32
BLOCK = 4


def blocks_of(count):
    """`count` rounded up to a multiple of BLOCK."""
    return -(-count // BLOCK) * BLOCK


def panels_of(columns):
    """How many panels `columns` need."""
    return -(-columns // PANEL)


def lengths_of(m, k, n):
    """Elements of the left operand, of the panels of the right one and of those of the result."""
    m, k, p = blocks_of(m), blocks_of(k), panels_of(n)
    return m * k, p * k * PANEL, p * m * PANEL


@kernel
def pack_rows(panels, at, w):
    """Rows `at` and further of the panels (P, K, 128) ← w (k, n); the rest stays."""
    for p in range(panels.shape[0]):
        first = p * PANEL
        columns = min(PANEL, w.shape[1] - first)
        for k in range(w.shape[0]):
            row = panels[p, at + k]
            for j in range(columns):
                row[j] = w[k, first + j]


@kernel
def pack(panels, w):
    """panels (P, K, 128) of w (k, n), zeros beyond its ends. w may be a transposed view."""
    panels[:] = 0.0
    pack_rows(panels, 0, w)


@kernel
def put_row(panels, m, row):
    """Row m of the panels (P, M, 128) ← row (n,)."""
    for p in range(panels.shape[0]):
        first = p * PANEL
        target = panels[p, m]
        for j in range(min(PANEL, row.size - first)):
            target[j] = row[first + j]


@kernel
def get_row(row, panels, m):
    """row (n,) ← row m of the panels (P, M, 128)."""
    for p in range(panels.shape[0]):
        first = p * PANEL
        source = panels[p, m]
        for j in range(min(PANEL, row.size - first)):
            row[first + j] = source[j]


@kernel
def add_block(c, a, at, k, b):
    """c (4, 128) += A · b (4, 128), flat; A is the block of a that begins at `at`, rows k apart."""
    a00, a01, a02, a03 = a[at], a[at + 1], a[at + 2], a[at + 3]
    at += k
    a10, a11, a12, a13 = a[at], a[at + 1], a[at + 2], a[at + 3]
    at += k
    a20, a21, a22, a23 = a[at], a[at + 1], a[at + 2], a[at + 3]
    at += k
    a30, a31, a32, a33 = a[at], a[at + 1], a[at + 2], a[at + 3]
    for j in range(PANEL):
        b0, b1, b2, b3 = b[j], b[j + PANEL], b[j + 2 * PANEL], b[j + 3 * PANEL]
        c[j] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
        c[j + PANEL] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
        c[j + 2 * PANEL] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
        c[j + 3 * PANEL] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@kernel
def add_product(c, a, b):
    """c (P, M, 128) += a (M, K) · b (P, K, 128). The rows of c do not depend on each other."""
    panels, m, _ = c.shape
    k = a.shape[1]
    flat_a, flat_b, flat_c = a.reshape(-1), b.reshape(-1), c.reshape(-1)
    size = BLOCK * PANEL
    for p in range(panels):
        for j in range(0, k, BLOCK):
            right = (p * k + j) * PANEL
            for i in range(0, m, BLOCK):
                left = (p * m + i) * PANEL
                add_block(
                    flat_c[left : left + size],
                    flat_a,
                    i * k + j,
                    k,
                    flat_b[right : right + size],
                )
