"""A square block of a matrix transposed in vector registers: for use inside a Numba kernel.

Number by number a transposition takes 3 ns for each, half of a product that follows it when there
are few rows; LLVM does not find the shuffles by itself.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cpu import kernel
from .cpu_tile import BITS
from .cpu_walk import lanes


@intrinsic
def turn_block(typing, y, at_y, next_y, x, at_x, next_x):
    """y[at_y + j·next_y + i] = x[at_x + i·next_x + j] for i, j < lanes(y), of flat arrays."""
    index = types.intp
    return types.void(y, index, index, x, index, index), _generate


def _generate(context, builder, signature, arguments):
    """Swaps blocks of 1, 2, 4 … numbers between rows that lie so far apart."""
    y, at_y, next_y, x, at_x, next_x = arguments
    kind = signature.args[0].dtype
    size = kind.bitwidth // 8
    count = BITS // kind.bitwidth
    vector = ir.VectorType(context.get_data_type(kind), count)
    word = ir.IntType(32)

    def places(which, array, at, step):
        data = context.make_array(signature.args[which])(context, builder, array).data
        for i in range(count):
            place = builder.add(at, builder.mul(step, step.type(i)))
            yield builder.bitcast(builder.gep(data, [place]), vector.as_pointer())

    def mixed(one, other, chosen):
        mask = ir.Constant(ir.VectorType(word, count), [word(n) for n in chosen])
        return builder.shuffle_vector(one, other, mask)

    rows = []
    for place in places(3, x, at_x, next_x):
        rows.append(builder.load(place))
        rows[-1].align = size
    far = 1
    while far < count:
        for i in (i for i in range(count) if not i & far):
            one, other = rows[i], rows[i + far]
            upper = [n if not n & far else count + n - far for n in range(count)]
            lower = [n + far if not n & far else count + n for n in range(count)]
            rows[i], rows[i + far] = mixed(one, other, upper), mixed(one, other, lower)
        far *= 2
    for row, place in zip(rows, places(0, y, at_y, next_y), strict=True):
        builder.store(row, place).align = size
    return context.get_dummy_value()


@kernel
def turn(y, at_y, next_y, x, at_x, next_x, rows, columns):
    """y[at_y + j·next_y + i] = x[at_x + i·next_x + j] for i < rows, j < columns."""
    n = lanes(y)
    for i in range(0, rows, n):
        for j in range(0, columns, n):
            to, of = at_y + j * next_y + i, at_x + i * next_x + j
            if i + n <= rows and j + n <= columns:
                turn_block(y, to, next_y, x, of, next_x)
            else:
                for u in range(min(n, rows - i)):
                    for v in range(min(n, columns - j)):
                        y[to + v * next_y + u] = x[of + u * next_x + v]
