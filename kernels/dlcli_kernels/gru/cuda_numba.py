"""One step of a GRU in one kernel, and its gradient in another: all gates of a unit belong to one
thread.

A thread reads the pre-activations of its unit in both parts, applies the gates and updates the
state without anything between going through memory; neighbouring threads take neighbouring units,
so that each of the accesses is coalesced. The products before the gates are matmuls.
"""

from functools import cache

from ..cuda_numba import activation, blocks, countable, cuda, index, launch_flat, split

THREADS = 128


def supports(name, *ins, **attrs):
    """Arrays whose elements 32 bits can count."""
    return countable(*ins)


@cache
def step_kernel(real):
    sigmoid, tanh, one = activation("sigmoid", real), activation("tanh", real), real(1)

    @cuda.jit
    def gru_step(h_next, gates, zx, zh, h, size, units):
        at = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if at < size:
            row, unit = split(at, units)
            first = row * 3 * units + unit
            at_r, at_z, at_n = index(first), index(first + units), index(first + 2 * units)
            r, z = sigmoid(zx[at_r] + zh[at_r]), sigmoid(zx[at_z] + zh[at_z])
            q = zh[at_n]
            n = tanh(zx[at_n] + r * q)
            h_next[at] = (one - z) * n + z * h[at]
            if gates is not None:
                own = row * 4 * units + unit
                gates[index(own)], gates[index(own + units)] = r, z
                gates[index(own + 2 * units)], gates[index(own + 3 * units)] = n, q

    return gru_step


@cache
def grad_kernel(real):
    one = real(1)

    @cuda.jit
    def gru_step_grad(dzx, dzh, dh, dh_next, gates, h, size, units):
        at = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if at < size:
            row, unit = split(at, units)
            own = row * 4 * units + unit
            r, z = gates[index(own)], gates[index(own + units)]
            n, q = gates[index(own + 2 * units)], gates[index(own + 3 * units)]
            d = dh_next[at]
            d_n = d * (one - z) * (one - n * n)
            d_q = d_n * r
            d_z = d * (h[at] - n) * z * (one - z)
            d_r = d_q * q * (one - r)
            first = row * 3 * units + unit
            at_r, at_z, at_n = index(first), index(first + units), index(first + 2 * units)
            dzx[at_r], dzx[at_z], dzx[at_n] = d_r, d_z, d_n
            dzh[at_r], dzh[at_z], dzh[at_n] = d_r, d_z, d_q
            dh[at] = d * z

    return gru_step_grad


def gru_cell(h_next, gates, zx, zh, h):
    grid, units = (blocks(h.size, THREADS),), h.shape[1]
    run = step_kernel(h.dtype.type)
    launch_flat(run, grid, (THREADS,), h_next, gates, zx, zh, h, h.size, units)


def gru_cell_grad(dzx, dzh, dh, dh_next, gates, h):
    grid, units = (blocks(h.size, THREADS),), h.shape[1]
    run = grad_kernel(h.dtype.type)
    launch_flat(run, grid, (THREADS,), dzx, dzh, dh, dh_next, gates, h, h.size, units)
