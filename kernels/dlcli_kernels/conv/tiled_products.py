"""The products of the tiled convolutions on flat buffers: framed images, panels of filters, rows of
tiles. No op is implemented here.

The tables are those of `tiled_layout.py`; `cpu_walk.py` has the tiles.
"""

from ..cpu import kernel
from ..cpu_tile import VECTORS
from ..cpu_turn import turn
from ..cpu_walk import left_1, left_2, left_3, left_4, rows_of
from .tiled_layout import AT, COLUMNS, DIRECT, EACH, LINE, RUN, STEP, VECTOR, Y

CHUNK = 512  # products of a sum before it is added to the result: a panel of them fits the L2 cache
ROWS_1, ROWS_2, ROWS_3, ROWS_4 = (rows_of(vectors) for vectors in (1, 2, 3, 4))


@kernel
def frame(x, m, g, framed):
    """m images x into their frames, of which all else is zero: where the patches are to be read.

    x itself where images need no frame.
    """
    if g[DIRECT]:
        return x
    run, line = g[RUN], g[LINE]
    for e in range(m):
        at = e * g[EACH] + g[AT]
        for i in range(e * g[Y], (e + 1) * g[Y]):
            dst, src = framed[at : at + run], x[i * run : (i + 1) * run]
            for j in range(run):
                dst[j] = src[j]
            at += line
    return framed


@kernel
def pack(panels, w, phases, source, g):
    """Panels of VECTORS vectors for each phase ← w: row t begins at source[t], g[STEP] from column
    to column. Where the step is not 1, rows lie side by side in w.
    """
    columns, step = g[COLUMNS], g[STEP]
    for phase in phases:
        taps = phase[1]
        for j in range(0, columns, VECTORS * g[VECTOR]):
            wide = min(VECTORS * g[VECTOR], columns - j)
            at = phase[2] + j * taps
            if step != 1:
                turn(panels, at, wide, w, source[phase[0]] + j * step, step, wide, taps)
            else:
                for t in range(taps):
                    first = source[phase[0] + t] + j
                    row, src = panels[at : at + wide], w[first : first + wide]
                    for e in range(wide):
                        row[e] = src[e]
                    at += wide


@kernel
def tiles(v, c, to, of, rows, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end):
    """`rows` rows of c, v vectors wide, += walked rows of a · rows first … end of b."""
    last = rows - 1
    if v == 4:
        for i in range(0, rows, ROWS_4):
            left_4(c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end)
    elif v == 3:
        for i in range(0, rows, ROWS_3):
            left_3(c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end)
    elif v == 2:
        for i in range(0, rows, ROWS_2):
            left_2(c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end)
    else:
        for i in range(0, rows, ROWS_1):
            left_1(c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end)


@kernel
def fill(c, places, columns, b, relu):
    """Results of no product."""
    for at in places:
        row = c[at : at + columns]
        for e in range(columns):
            row[e] = c.dtype.type(0) if relu and b[e] <= 0 else b[e]


@kernel
def correlate(c, a, m, phases, parts, of, to, walk, panels, g, b, relu):
    """The results c of m images whose patches are read in a: every part, every panel.

    The first sums of at most CHUNK products are added to b, the last are what relu is made of.
    """
    columns, vector = g[COLUMNS], g[VECTOR]
    for part in parts:
        rows, phase, run, runs = m * part[1], phases[part[2]], part[4], part[5]
        begin, target, places = of[part[0] :], to[part[0] :], walk[phase[0] :]
        if runs == 0:
            fill(c, target[:rows], columns, b, relu)
        for j in range(0, columns, VECTORS * vector):
            wide = min(VECTORS * vector, columns - j)
            at = phase[2] + j * phase[1]
            for i in range(runs):
                first = part[3] + i * part[6]
                for k in range(0, run, CHUNK):
                    stop, fresh = min(k + CHUNK, run), i == 0 and k == 0
                    last = relu and i == runs - 1 and stop == run
                    tiles(
                        wide // vector, c, target, begin, rows, j, b, fresh, last, a, panels, at,
                        places, wide, first + k, first + stop,
                    )  # fmt: skip
