"""Tiles whose one operand lies in places of a table, and blocks transposed in registers."""

import numpy as np
import pytest
from dlcli_kernels import cpu_walk
from dlcli_kernels.cpu import kernel
from dlcli_kernels.cpu_turn import turn

LEFT = {1: cpu_walk.left_1, 2: cpu_walk.left_2, 3: cpu_walk.left_3, 4: cpu_walk.left_4}
RIGHT = {1: cpu_walk.right_1, 2: cpu_walk.right_2, 3: cpu_walk.right_3, 4: cpu_walk.right_4}


def one_tile(tile):
    @kernel
    def run(c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end):
        tile(c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end)

    return run


@pytest.mark.parametrize(("fresh", "relu"), [(True, False), (False, True)])
@pytest.mark.parametrize("vectors", [1, 3, 4])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_tile_is_the_sum_over_the_places_of_the_table_and_changes_nothing_else(
    side, vectors, fresh, relu
):
    rng = np.random.default_rng(0)
    wide, rows = vectors * cpu_walk.lanes_of(4), cpu_walk.rows_of(vectors)
    taps, first, end, step = 9, 2, 7, wide + 3
    there = max(rows - 1, 1)  # rows that there are: further ones are the last of them again
    a, b, c, start = (
        rng.standard_normal(n).astype(np.float32)
        for n in (500 + taps * step, 900 + taps * step, (rows + 2) * (wide + 5), wide + 2)
    )
    to = rng.permutation(rows + 2)[:there] * (wide + 5)
    of, walk = rng.integers(0, 300, there), rng.integers(0, 100, taps)
    t = np.arange(first, end)
    left, right = (walk[t], t * step) if side == "left" else (t * step, walk[t])
    want = c.astype(np.float64)
    for row in range(there):
        columns = np.arange(wide)
        places = to[row] + 2 + columns
        sums = a[of[row] + left].astype(np.float64) @ b[4 + right[:, None] + columns]
        before = start[2:] if fresh else c[places]
        want[places] = np.maximum(before + sums, 0) if relu else before + sums
    found = c.copy()
    tile = one_tile((LEFT if side == "left" else RIGHT)[vectors])
    tile(found, to, of, 0, there - 1, 2, start, fresh, relu, a, b, 4, walk, step, first, end)
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
    assert (found != c).sum() <= there * wide


def test_relu_at_the_end_of_a_tile_keeps_nan_and_infinity():
    wide, rows = cpu_walk.lanes_of(4), cpu_walk.rows_of(1)
    values = np.zeros((rows, wide), np.float32)
    values[0, :4] = np.nan, np.inf, -np.inf, -1
    nothing, places = np.zeros(wide, np.float32), np.arange(rows) * wide
    c, none = values.reshape(-1).copy(), np.zeros(1, np.int64)
    zero = np.zeros(rows * wide, np.float32)
    one_tile(LEFT[1])(
        c, places, places, 0, rows - 1, 0, nothing, False, True, zero, nothing, 0, none, 0, 0, 1
    )
    np.testing.assert_array_equal(c[:4], np.array([np.nan, np.inf, 0, 0], np.float32))


@pytest.mark.parametrize("shape", [(16, 16), (1, 40), (37, 5), (50, 67)])
def test_a_block_of_a_matrix_is_transposed_where_it_is_told_and_nowhere_else(shape):
    rows, columns = shape
    x = np.random.default_rng(0).standard_normal((rows, columns + 3)).astype(np.float32)
    y = np.full((columns + 1, rows + 2), 7, np.float32)
    turn(y.reshape(-1), 1, rows + 2, x.reshape(-1), 2, columns + 3, rows, columns)
    np.testing.assert_array_equal(y[:columns, 1 : 1 + rows], x[:, 2 : 2 + columns].T)
    assert (y[:, [0, 1 + rows]] == 7).all()
    assert (y[columns] == 7).all()
