"""One step of an LSTM in one kernel, and its gradient in another: all four gates of a unit belong
to one thread.

A thread reads the four pre-activations of its unit (in both parts), applies the gates and updates
the cell without anything between going through memory; neighbouring threads take neighbouring
units, so that each of the accesses is coalesced. The products before the gates are matmuls.
"""

from functools import cache

from ..cuda_numba import activation, blocks, countable, cuda, index, launch_flat, split

THREADS = 128


def supports(name, *ins, **attrs):
    """Arrays whose elements 32 bits can count."""
    return countable(*ins)


@cache
def step_kernel(real):
    sigmoid, tanh = activation("sigmoid", real), activation("tanh", real)

    @cuda.jit
    def lstm_step(h, c_next, gates, zx, zh, c, size, units):
        at = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if at < size:
            row, unit = split(at, units)
            first = row * 4 * units + unit
            at_i, at_f = index(first), index(first + units)
            at_g, at_o = index(first + 2 * units), index(first + 3 * units)
            i, f = sigmoid(zx[at_i] + zh[at_i]), sigmoid(zx[at_f] + zh[at_f])
            g, o = tanh(zx[at_g] + zh[at_g]), sigmoid(zx[at_o] + zh[at_o])
            cell = f * c[at] + i * g
            c_next[at] = cell
            h[at] = o * tanh(cell)
            if gates is not None:
                gates[at_i], gates[at_f], gates[at_g], gates[at_o] = i, f, g, o

    return lstm_step


@cache
def grad_kernel(real):
    tanh, zero, one = activation("tanh", real), real(0), real(1)

    @cuda.jit
    def lstm_step_grad(dz, dc, dh, dc_next, gates, c, c_next, size, units):
        at = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if at < size:
            row, unit = split(at, units)
            first = row * 4 * units + unit
            at_i, at_f = index(first), index(first + units)
            at_g, at_o = index(first + 2 * units), index(first + 3 * units)
            i, f, g, o = gates[at_i], gates[at_f], gates[at_g], gates[at_o]
            out, d_out, d_cell = tanh(c_next[at]), zero, zero
            if dh is not None:
                d_out = dh[at]
            if dc_next is not None:
                d_cell = dc_next[at]
            d_cell += d_out * o * (one - out * out)
            dz[at_i] = d_cell * g * i * (one - i)
            dz[at_f] = d_cell * c[at] * f * (one - f)
            dz[at_g] = d_cell * i * (one - g * g)
            dz[at_o] = d_out * out * o * (one - o)
            dc[at] = d_cell * f

    return lstm_step_grad


def lstm_cell(h, c_next, gates, zx, zh, c):
    grid, units = (blocks(c.size, THREADS),), c.shape[1]
    run = step_kernel(c.dtype.type)
    launch_flat(run, grid, (THREADS,), h, c_next, gates, zx, zh, c, c.size, units)


def lstm_cell_grad(dz, dc, dh, dc_next, gates, c, c_next):
    grid, units = (blocks(c.size, THREADS),), c.shape[1]
    run = grad_kernel(c.dtype.type)
    launch_flat(run, grid, (THREADS,), dz, dc, dh, dc_next, gates, c, c_next, c.size, units)
