"""Asks for memory before it is needed: for use inside a Numba kernel that knows what comes next.

The processor guesses it by itself where a few arrays are read in order; a kernel that reads some
rows of many arrays in turn has to say so.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .cpu import kernel

LINE = 64  # bytes that come at once
READ, KEPT_FOR_LATER, DATA = 0, 2, 1  # the operands of LLVM's prefetch: into the L2 cache


@intrinsic
def fetch(typing, array, at):
    """Element `at` of a contiguous array, which need not be there: nothing is read."""
    return types.void(array, at), _generate


def _generate(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
    place = builder.bitcast(builder.gep(array.data, [arguments[1]]), pointer)
    builder.call(prefetch, [place, *(word(n) for n in (READ, KEPT_FOR_LATER, DATA))])
    return context.get_dummy_value()


@kernel
def fetch_row(array, n, t):
    """Row array[n, t] of an array (N, T, K), if it has one."""
    if 0 <= t < array.shape[1]:
        row = array[n, t]
        for k in range(0, row.size, LINE // array.itemsize):
            fetch(row, k)
