"""BLAS from inside a Numba kernel: GEMM on flat buffers with leading dimensions and an
accumulating form, which `np.dot` does not offer.

It is the symbol that Numba's own `np.dot` calls (it looks SciPy's BLAS up once, then runs without
the GIL), so kernels that use it cache.
"""

import numpy as np
from numba import types
from numba.core.extending import overload
from numba.np.linalg import ensure_blas

ONE = {np.dtype(t): np.ones(1, t) for t in ("float32", "float64")}
ZERO = {np.dtype(t): np.zeros(1, t) for t in ("float32", "float64")}
NO, YES = ord("n"), ord("t")


def gemm(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc):
    """C (m, n) = op(A) · op(B), added to C where `add`: row-major in flat buffers that begin at
    the first element.

    ta, tb: whether A, B are stored transposed. lda, ldb, ldc: elements from one stored row to the
    next. m, n, k ≥ 1.
    """
    raise NotImplementedError("only inside a Numba kernel")


@overload(gemm)
def _gemm(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc):
    ensure_blas()
    dtype = np.dtype(str(c.dtype))
    kind = ord("s" if dtype == np.float32 else "d")
    flag, size, pointer = types.char, types.intp, types.CPointer(c.dtype)
    matrix = (pointer, size)
    signature = types.intc(
        flag, flag, flag, size, size, size, pointer, *matrix, *matrix, pointer, *matrix
    )
    xxgemm = types.ExternalFunction("numba_xxgemm", signature)
    one, zero = ONE[dtype], ZERO[dtype]

    def run(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc):
        # BLAS is column-major: on the same memory it computes Cᵀ = op(B)ᵀ · op(A)ᵀ
        opa, opb = (YES if ta else NO), (YES if tb else NO)
        beta = one if add else zero
        xxgemm(
            kind,
            opb,
            opa,
            n,
            m,
            k,
            one.ctypes,
            b.ctypes,
            ldb,
            a.ctypes,
            lda,
            beta.ctypes,
            c.ctypes,
            ldc,
        )

    return run
