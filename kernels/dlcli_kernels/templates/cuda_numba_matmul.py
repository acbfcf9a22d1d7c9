"""A matrix product to start from, in numba-cuda: one thread per element of the result.

It is right for every shape and slow: each element of a and b is read from memory N or M times. The
next steps: tiles of a and b in shared memory (cuda.shared.array, cuda.syncthreads), and a square of
results per thread in registers.
"""

from dlcli_kernels.cuda_numba import activation, blocks, cuda, launch

DEVICE = "cuda"
BLOCK = 16


def supports(op, *ins, **attrs):
    """Which calls it takes; without this function, all. ins: specs with .shape and .dtype."""
    return True


def kernel(real, ta, tb, act):
    """The kernel for a float type, which operands are transposed, and an activation."""
    activate, zero = activation(act, real), real(0)

    @cuda.jit
    def my_matmul(out, a, b, bias):
        n, m = cuda.grid(2)  # neighbouring threads take neighbours of a row
        if m >= out.shape[0] or n >= out.shape[1]:
            return  # the last blocks reach beyond the matrix
        total = zero
        for k in range(a.shape[0] if ta else a.shape[1]):
            x = a[k, m] if ta else a[m, k]
            y = b[n, k] if tb else b[k, n]
            total += x * y
        if bias is not None:
            total += bias[n]
        out[m, n] = activate(total)

    return my_matmul


COMPILED = {}  # by what is constant in a kernel


def matmul(out, a, b, bias, *, ta=False, tb=False, act=None):
    """It launches and returns: it never waits, and never makes an array."""
    key = out.dtype.type, ta, tb, act
    if key not in COMPILED:
        COMPILED[key] = kernel(*key)
    M, N = out.shape
    grid = blocks(N, BLOCK), blocks(M, BLOCK)
    launch(COMPILED[key], grid, (BLOCK, BLOCK), out, a, b, bias)
