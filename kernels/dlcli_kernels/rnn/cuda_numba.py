"""One step of a vanilla recurrent layer in one kernel, and its gradient in another: a unit to a
thread, neighbouring units to neighbouring threads. The products before are matmuls.
"""

from functools import cache

from ..cuda_numba import activation, blocks, countable, cuda, index, launch_flat

THREADS = 128


def supports(name, *ins, **attrs):
    """Arrays whose elements 32 bits can count."""
    return countable(*ins)


@cache
def step_kernel(act, real):
    activate = activation(act, real)

    @cuda.jit
    def rnn_step(h, zx, zh, size):
        at = index(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        if at < size:
            h[at] = activate(zx[at] + zh[at])

    return rnn_step


@cache
def grad_kernel(use_tanh, real):
    zero, one = real(0), real(1)

    @cuda.jit
    def rnn_step_grad(dz, dh, h, size):
        at = index(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        if at < size:
            if use_tanh:
                dz[at] = dh[at] * (one - h[at] * h[at])
            else:
                dz[at] = zero if h[at] <= zero else dh[at]  # NaN is neither

    return rnn_step_grad


def rnn_cell(h, zx, zh, *, act="tanh"):
    run = step_kernel(act, h.dtype.type)
    launch_flat(run, (blocks(h.size, THREADS),), (THREADS,), h, zx, zh, h.size)


def rnn_cell_grad(dz, dh, h, *, act="tanh"):
    run = grad_kernel(act == "tanh", h.dtype.type)
    launch_flat(run, (blocks(h.size, THREADS),), (THREADS,), dz, dh, h, h.size)
