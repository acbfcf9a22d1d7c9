"""BLAS from inside a Numba kernel: GEMM on flat buffers with leading dimensions and an
accumulating form, which `np.dot` does not offer.

The library is the one that NumPy is built on; LLVM is told where its GEMM stands under a name of
our own, so that kernels which call it can be cached. (Numba's own `np.dot` calls SciPy's, a second
copy of the same library.)
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic, overload

# Fortran's GEMM as the builds of NumPy name it: its own OpenBLAS, Apple's, any other.
NAMES = ("scipy_{}_64_", "{}$NEWLAPACK$ILP64", "{}_64_", "scipy_{}_", "{}_")
PREFIX = {"float32": "s", "float64": "d"}
INT64 = ir.IntType(64)


def _libraries() -> list[str]:
    """Files that may hold GEMM: NumPy's core, which finds what it is linked to, and every BLAS
    that is loaded, for systems where a library does not answer for others.
    """
    from numpy._core import _multiarray_umath
    from threadpoolctl import threadpool_info

    loaded = [pool["filepath"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return [_multiarray_umath.__file__, *loaded]


def address(routine: str) -> int:
    """Where "sgemm" or "dgemm" stands. ImportError if no BLAS has it."""
    for path in _libraries():
        library = ctypes.CDLL(path)
        for name in NAMES:
            if found := getattr(library, name.format(routine), None):
                return ctypes.cast(found, ctypes.c_void_p).value or 0
    raise ImportError(
        f"no BLAS with {routine} is found beside NumPy {np.__version__}: "
        "its wheels bring one (pip install --force-reinstall numpy)"
    )


for _prefix in PREFIX.values():  # before any kernel is fetched from the cache
    binding.add_symbol(f"dlcli_{_prefix}gemm", address(f"{_prefix}gemm"))


@intrinsic
def _xgemm(typingctx: Any, opa, opb, m, n, k, a, lda, b, ldb, beta, c, ldc):  # type: ignore[no-untyped-def]
    """Fortran's GEMM, which takes everything by address.

    Numbers are given with 64 bits: a library with 32 reads the lower half (little-endian).
    """
    prefix = PREFIX[str(c.dtype)]
    number = ir.FloatType() if prefix == "s" else ir.DoubleType()

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> None:
        byte = ir.IntType(8)

        def kept(value: Any) -> Any:
            place = cgutils.alloca_once_value(builder, value)
            return builder.bitcast(place, byte.as_pointer())

        def first(index: int) -> Any:
            array = context.make_array(sig.args[index])(context, builder, args[index])
            return builder.bitcast(array.data, byte.as_pointer())

        flags = [kept(builder.trunc(args[i], byte)) for i in (0, 1)]
        sizes = [kept(args[i]) for i in (2, 3, 4)]
        one, beta = kept(ir.Constant(number, 1.0)), kept(args[9])
        a, lda, b, ldb, c, ldc = (
            first(5),
            kept(args[6]),
            first(7),
            kept(args[8]),
            first(10),
            kept(args[11]),
        )
        given = [*flags, *sizes, one, a, lda, b, ldb, beta, c, ldc]
        signature = ir.FunctionType(ir.VoidType(), [byte.as_pointer()] * len(given))
        function = cgutils.get_or_insert_function(builder.module, signature, f"dlcli_{prefix}gemm")
        builder.call(function, given)

    size = types.intp
    return types.void(size, size, size, size, size, a, size, b, size, c.dtype, c, size), codegen


def gemm(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc):  # type: ignore[no-untyped-def]
    """C (m, n) = op(A) · op(B), added to C where `add`: row-major in flat buffers that begin at
    the first element.

    ta, tb: whether A, B are stored transposed. lda, ldb, ldc: elements from one stored row to the
    next. m, n, k ≥ 1.
    """
    raise NotImplementedError("only inside a Numba kernel")


@overload(gemm)
def _gemm(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc):  # type: ignore[no-untyped-def]
    no, yes = ord("n"), ord("t")

    def run(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc):  # type: ignore[no-untyped-def]
        # BLAS is column-major: on the same memory it computes Cᵀ = op(B)ᵀ · op(A)ᵀ
        opa, opb = (yes if ta else no), (yes if tb else no)
        beta = c.dtype.type(1 if add else 0)
        _xgemm(opb, opa, n, m, k, b, ldb, a, lda, beta, c, ldc)

    return run
