"""A tile of a matrix product whose sums stay in vector registers: for use inside a Numba kernel.

LLVM keeps the sums of a loop nest in memory, one load and one store for each few products; written
as vectors in its own language, a tile of ROWS × `width` sums stays in registers for the whole sum.
(16, 128) · (128, 512) in float32 on one core of a machine whose BLAS reaches 104 GFLOP/s at 1024³:
112 GFLOP/s; a loop nest that adds 4 × 4 numbers at a time to rows in memory 95; BLAS, which lays
the right operand out anew in every call, 72.
"""

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

ROWS = 4
WIDEST = 512  # bits of a vector that there is
_FEATURES = llvmlite.binding.get_host_cpu_features()
# Bits of a vector, and vectors of a row: ROWS + 1 of them and what they are made of fit the
# registers.
BITS, VECTORS = (
    (WIDEST, 4) if _FEATURES.get("avx512f") else (256, 2) if _FEATURES.get("avx2") else (128, 2)
)
CONTRACT = ("contract",)  # a product and its sum are rounded once


def width(array):
    """Columns of a tile of numbers of the array's type. For kernels."""
    raise NotImplementedError("only kernels call it")


@overload(width)
def _width_of_type(array):
    columns = VECTORS * BITS // array.dtype.bitwidth
    return lambda array: columns


@intrinsic
def add_tile(typing, c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k):
    """C (ROWS, width) += A (ROWS, k) · B (k, width), of flat arrays. For kernels.

    at_c, at_a, at_b: where each begins. next_c, next_a, next_b: elements from row to row; step_a:
    from column to column of A, which may so lie transposed. k ≥ 1.
    """
    signature = types.void(c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k)
    return signature, lambda *how: _generate(ROWS, VECTORS, *how)


@intrinsic
def add_thin_tile(typing, c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k):
    """`add_tile` with a VECTORS-th of the columns: for what is left at the right of a matrix."""
    signature = types.void(c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k)
    return signature, lambda *how: _generate(ROWS, 1, *how)


@intrinsic
def add_low_tile(typing, c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k):
    """`add_tile` with one row: for what is left at the bottom of a matrix."""
    signature = types.void(c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k)
    return signature, lambda *how: _generate(1, VECTORS, *how)


@intrinsic
def add_tall_tile(typing, c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k):
    """`add_tile` with a row more: of five and four rows every number of rows from 12 on is made."""
    signature = types.void(c, at_c, next_c, a, at_a, next_a, step_a, b, at_b, next_b, k)
    return signature, lambda *how: _generate(ROWS + 1, VECTORS, *how)


def _generate(rows, vectors, context, builder, signature, arguments):
    """Vectors of sums as values of a loop over k."""
    arrays, (c, a, b) = signature.args, (arguments[i] for i in (0, 3, 7))
    at_c, next_c, at_a, next_a, step_a = (arguments[i] for i in (1, 2, 4, 5, 6))
    at_b, next_b, k = arguments[8:]
    number, index = context.get_data_type(arrays[0].dtype), k.type
    size = arrays[0].dtype.bitwidth // 8
    lanes = BITS // (8 * size)
    vector = ir.VectorType(number, lanes)
    many = ir.VectorType(ir.IntType(32), lanes)
    bases = [
        context.make_array(kind)(context, builder, array).data
        for kind, array in zip((arrays[0], arrays[3], arrays[7]), (c, a, b), strict=True)
    ]

    def moved(base, *steps):
        for step in steps:
            base = builder.gep(base, [step])
        return base

    def whole(pointer, column):
        """A vector's place `column` vectors to the right."""
        place = builder.gep(pointer, [index(column * lanes)])
        return builder.bitcast(place, vector.as_pointer())

    def load(pointer, column):
        value = builder.load(whole(pointer, column))
        value.align = size
        return value

    def in_every_lane(value):
        none = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(none, value, ir.IntType(32)(0))
        return builder.shuffle_vector(one, none, ir.Constant(many, None))

    tile = [(i, j) for i in range(rows) for j in range(vectors)]
    rows_c = [moved(bases[0], at_c, builder.mul(next_c, index(i))) for i in range(rows)]
    rows_a = [moved(bases[1], at_a, builder.mul(next_a, index(i))) for i in range(rows)]
    first_b = moved(bases[2], at_b)
    before = {at: load(rows_c[at[0]], at[1]) for at in tile}
    entry = builder.block
    loop, end = (builder.append_basic_block(name) for name in ("tile_sums", "tile_end"))
    builder.branch(loop)

    builder.position_at_end(loop)
    step = builder.phi(index)
    sums = {at: builder.phi(vector) for at in tile}
    row_b = moved(first_b, builder.mul(step, next_b))
    right = [load(row_b, j) for j in range(vectors)]
    column = builder.mul(step, step_a)
    left = [in_every_lane(builder.load(moved(row, column))) for row in rows_a]
    after = {
        (i, j): builder.fadd(
            builder.fmul(left[i], right[j], flags=CONTRACT), sums[i, j], flags=CONTRACT
        )
        for i, j in tile
    }
    following = builder.add(step, index(1))
    for value, first, again in (
        (step, index(0), following),
        *((sums[t], before[t], after[t]) for t in tile),
    ):
        value.add_incoming(first, entry)
        value.add_incoming(again, loop)
    builder.cbranch(builder.icmp_signed("<", following, k), loop, end)

    builder.position_at_end(end)
    for i, j in tile:
        builder.store(after[i, j], whole(rows_c[i], j)).align = size
    return context.get_dummy_value()
