"""M X Mᵀ of small matrices, of as many at a time as fit a vector: for use inside a Numba kernel.

LLVM does not make vectors of such a sum by itself: it would have to know that none of the sixteen
places that are written is one of the sixteen that are read.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .cpu_tile import BITS, CONTRACT


def sandwich(matrix):
    """The intrinsic for a constant matrix M (I, A), given as rows of numbers:

    y[at_y + (i·I + j)·next_y + e] = Σ M[i, a] · M[j, b] · x[at_x + a·row + b·column + e]

    for each e below lanes(y), of flat arrays.
    """

    @intrinsic
    def made(typing, y, at_y, next_y, x, at_x, row, column):
        index = types.intp
        signature = types.void(y, index, index, x, index, index, index)
        return signature, lambda *how: _generate(matrix, *how)

    return made


def _generate(matrix, context, builder, signature, arguments):
    y, at_y, next_y, x, at_x, row, column = arguments
    kind = signature.args[0].dtype
    size, number = kind.bitwidth // 8, context.get_data_type(kind)
    vector = ir.VectorType(number, BITS // kind.bitwidth)
    data_y, data_x = (
        context.make_array(signature.args[which])(context, builder, array).data
        for which, array in ((0, y), (3, x))
    )
    index, across = at_y.type, range(len(matrix[0]))

    def place(data, at):
        return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())

    def at(a, b):
        steps = builder.add(builder.mul(row, index(a)), builder.mul(column, index(b)))
        return builder.add(at_x, steps)

    def total(factors, values):
        """Σ factor · value, of factors that are not 0."""
        found = None
        for factor, value in zip(factors, values, strict=True):
            if factor == 0:
                continue
            if abs(factor) != 1:
                some = ir.Constant(vector, [number(abs(factor))] * vector.count)
                value = builder.fmul(value, some, flags=CONTRACT)
            if found is None:
                found = value if factor > 0 else builder.fsub(ir.Constant(vector, None), value)
            else:
                join = builder.fadd if factor > 0 else builder.fsub
                found = join(found, value, flags=CONTRACT)
        return found

    read = {}
    for a in across:
        for b in across:
            read[a, b] = builder.load(place(data_x, at(a, b)))
            read[a, b].align = size
    half = {
        (i, b): total(factors, [read[a, b] for a in across])
        for i, factors in enumerate(matrix)
        for b in across
    }
    for i in range(len(matrix)):
        for j, factors in enumerate(matrix):
            value = total(factors, [half[i, b] for b in across])
            step = builder.mul(next_y, index(i * len(matrix) + j))
            builder.store(value, place(data_y, builder.add(at_y, step))).align = size
    return cgutils.get_null_value(context.get_value_type(types.none))
