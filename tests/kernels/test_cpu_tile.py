"""Tiles of a product in registers, and the products that the recurrent layers make of them."""

import numpy as np
import pytest
from dlcli_kernels.cpu import kernel
from dlcli_kernels.cpu_tile import ROWS, add_thin_tile, add_tile, width
from dlcli_kernels.lstm import cpu_product


@kernel
def both_tiles(c, thin, a, b, next_a, step_a):
    flat_c, flat_thin = c.reshape(-1), thin.reshape(-1)
    next_c, next_b, k = c.shape[1], b.shape[1], b.shape[0]
    operands = (a.reshape(-1), 1, next_a, step_a, b.reshape(-1), 2, next_b, k)
    add_tile(flat_c, next_c + 3, next_c, *operands)
    add_thin_tile(flat_thin, next_c + 3, next_c, *operands)
    return width(c)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("k", [1, 2, 37])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_tile_is_added_where_it_is_told_and_nowhere_else(precision, k, transposed):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((ROWS, k)).astype(precision)
    b = rng.standard_normal((k, 90)).astype(precision)
    c = rng.standard_normal((ROWS + 2, 90)).astype(precision)
    stored = np.concatenate(([np.nan], (a.T if transposed else a).ravel())).astype(precision)
    whole, thin = c.copy(), c.copy()
    wide = both_tiles(whole, thin, stored, b, *((1, ROWS) if transposed else (k, 1)))
    product = a.astype(np.float64) @ b
    for found, columns in ((whole, wide), (thin, None)):
        want = c.astype(np.float64)
        changed = (found != c).any(axis=0).sum() if columns is None else columns
        assert 0 < changed <= wide
        want[1 : 1 + ROWS, 3 : 3 + changed] += product[:, 2 : 2 + changed]
        close = {"rtol": 1e-5, "atol": 1e-5} if precision == "float32" else {"rtol": 1e-13}
        np.testing.assert_allclose(found, want, **close)


@pytest.mark.parametrize("columns", [1, 16, 17, 63, 64, 65, 200])
@pytest.mark.parametrize("rows", [*range(1, 17), 25])  # of tiles of four and five, and single ones
def test_a_product_of_rows_with_panels_is_that_of_the_matrices(rows, columns):
    rng = np.random.default_rng(1)
    k = 5
    left = rng.standard_normal((cpu_product.blocks_of(rows), k + 3))  # its rows may be longer
    right = rng.standard_normal((k, columns))
    panels = np.full((cpu_product.panels_of(columns), k, cpu_product.PANEL), np.nan)
    cpu_product.pack(panels, right)
    c = rng.standard_normal((len(left), cpu_product.whole_vectors(columns)))
    want, beyond = c[:rows, :columns] + left[:rows, :k] @ right, c[rows:].copy()
    cpu_product.add_rows(c, left, panels, rows, columns)
    np.testing.assert_allclose(c[:rows, :columns], want, rtol=1e-12, atol=1e-13)
    if columns % cpu_product.PANEL == 0:  # else rows are filled up to whole tiles
        np.testing.assert_array_equal(c[rows:], beyond)


@pytest.mark.parametrize("columns", [1, 16, 17, 64, 100])
def test_a_product_with_a_transposed_matrix_takes_the_first_rows_of_both(columns):
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((9, 8)), rng.standard_normal((9, 112))
    c = rng.standard_normal((8, 112))
    want = c[:, :columns] + a[:6].T @ b[:6, :columns]
    cpu_product.add_transposed(c, a, b, 6, columns)
    np.testing.assert_allclose(c[:, :columns], want, rtol=1e-12, atol=1e-13)
