"""A tile of a product whose sums stay in vector registers and one of whose operands lies in places
that a table names: for use inside a Numba kernel. See `cpu_tile.py` for why the vectors are ours.

Patches of an image are such an operand. What would be one row of a matrix of patches begins at a
place of its own, and each of its elements lies where the table says, seen from there: the product
reads the image and nobody writes the patches down.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .cpu_tile import BITS, CONTRACT, ROWS, VECTORS

TALLEST = ROWS * VECTORS  # rows of a tile of one vector


def lanes_of(itemsize):
    """Numbers of `itemsize` bytes in a vector."""
    return BITS // (8 * itemsize)


def rows_of(vectors):
    """Rows of a tile that is so many vectors wide: all tiles have about as many sums."""
    return TALLEST // vectors


def lanes(array):
    """Numbers of the array's type in a vector. For kernels."""
    raise NotImplementedError("only kernels call it")


@overload(lanes)
def _lanes_of_type(array):
    count = BITS // array.dtype.bitwidth
    return lambda array: count


def _tile(vectors, walks_left):
    """The intrinsic of a tile of rows_of(vectors) rows, so many vectors wide:

    C[to[i + r] + at_c + j] += Σ A[of[i + r] + walk[t]] · B[at_b + t·step + j], first ≤ t < end

    of flat arrays or, if it does not walk on the left, with t·step there and walk[t] in B. Rows
    beyond `last` are that row again. Where `fresh`, C is not read: sums are added to start[at_c +
    j]. relu: what is not above 0 becomes 0, but for NaN. first < end.
    """

    def tile(
        typing, c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end
    ):
        index = types.intp
        flags, where = (types.boolean,) * 2, (index,) * 3
        signature = types.void(c, to, of, *where, start, *flags, a, b, index, walk, *where)
        return signature, lambda *how: _generate(vectors, walks_left, *how)

    return intrinsic(tile)


def _generate(vectors, walks_left, context, builder, signature, arguments):
    """Vectors of sums as values of a loop over t."""
    kinds = signature.args
    c, to, of, i, last, at_c, start, fresh, relu, a, b, at_b, walk, step, first, end = arguments
    number, index = context.get_data_type(kinds[0].dtype), first.type
    size = kinds[0].dtype.bitwidth // 8
    count = BITS // (8 * size)
    vector = ir.VectorType(number, count)
    many = ir.VectorType(ir.IntType(32), count)

    def base(at, array):
        return context.make_array(kinds[at])(context, builder, array).data

    def moved(pointer, *steps):
        for one in steps:
            pointer = builder.gep(pointer, [one])
        return pointer

    def whole(pointer, column):
        place = builder.gep(pointer, [index(column * count)])
        return builder.bitcast(place, vector.as_pointer())

    def load(pointer, column):
        value = builder.load(whole(pointer, column))
        value.align = size
        return value

    def in_every_lane(value):
        none = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(none, value, ir.IntType(32)(0))
        return builder.shuffle_vector(one, none, ir.Constant(many, None))

    def every(flag):
        truths = ir.VectorType(ir.IntType(1), count)
        one = builder.insert_element(ir.Constant(truths, ir.Undefined), flag, ir.IntType(32)(0))
        return builder.shuffle_vector(
            one, ir.Constant(truths, ir.Undefined), ir.Constant(many, None)
        )

    rows = range(rows_of(vectors))
    tile = [(r, j) for r in rows for j in range(vectors)]
    table_c, table_a, table = base(1, to), base(2, of), base(12, walk)
    data_c, data_a, data_b, begin = base(0, c), base(9, a), base(10, b), base(6, start)
    rows_c, rows_a = [], []
    for r in rows:
        at = builder.add(i, index(r))
        at = builder.select(builder.icmp_signed("<", at, last), at, last)
        rows_c.append(moved(data_c, builder.load(moved(table_c, at)), at_c))
        rows_a.append(moved(data_a, builder.load(moved(table_a, at))))
    first_b = moved(data_b, at_b)
    begin = moved(begin, at_c)
    entry = builder.block
    loop, done = (builder.append_basic_block(name) for name in ("walk", "walk_end"))
    zero = ir.Constant(vector, None)
    builder.branch(loop)

    builder.position_at_end(loop)
    t = builder.phi(index)
    sums = {at: builder.phi(vector) for at in tile}
    place, straight = builder.load(moved(table, t)), builder.mul(t, step)
    shift_a, shift_b = (place, straight) if walks_left else (straight, place)
    row_b = moved(first_b, shift_b)
    right = [load(row_b, j) for j in range(vectors)]
    left = [in_every_lane(builder.load(moved(row, shift_a))) for row in rows_a]
    after = {
        (r, j): builder.fadd(
            builder.fmul(left[r], right[j], flags=CONTRACT), sums[r, j], flags=CONTRACT
        )
        for r, j in tile
    }
    following = builder.add(t, index(1))
    t.add_incoming(first, entry)
    t.add_incoming(following, loop)
    for at in tile:
        sums[at].add_incoming(zero, entry)
        sums[at].add_incoming(after[at], loop)
    builder.cbranch(builder.icmp_signed("<", following, end), loop, done)

    builder.position_at_end(done)
    fresh, relu = (cgutils.is_not_null(builder, flag) for flag in (fresh, relu))
    before = {}
    for r, j in tile:  # all read before any is written: the last row may be there several times
        before[r, j] = load(builder.select(fresh, begin, rows_c[r]), j)
    for r, j in tile:
        value = builder.fadd(after[r, j], before[r, j])
        below = builder.and_(builder.fcmp_ordered("<=", value, zero), every(relu))
        value = builder.select(below, zero, value)  # a NaN is not below
        builder.store(value, whole(rows_c[r], j)).align = size
    return context.get_dummy_value()


left_1, left_2, left_3, left_4 = (_tile(v, True) for v in (1, 2, 3, 4))
right_1, right_2, right_3, right_4 = (_tile(v, False) for v in (1, 2, 3, 4))
