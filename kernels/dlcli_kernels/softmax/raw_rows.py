"""How CUDA C++ kernels share out the rows of a matrix: the host's side of `include/rows.cuh`."""

import math

MOST_ELEMENTS = 2**31 - 2**16  # of a matrix: an index may go a block beyond it
ITEMS = {4: 16, 1: 8}  # elements of an operand in a thread's registers, by those of one access
FEW = 4  # where a warp holds the row in these
MOST_THREADS = 512  # of a block: at 1,024 the registers would not suffice
BLOCK = 256  # threads of a block whose teams are parts of warps
ROWS_AT_ONCE = 4  # of a team, where each thread holds one element


def extents(shape):
    """(rows, columns): all axes but the last one, and the last."""
    return math.prod(shape[:-1]), shape[-1]


def power_of_two(least):
    """The smallest power of two that is not below `least`."""
    return 1 << max(least - 1, 0).bit_length()


def fits(x):
    """Whether kernels can take the rows of the float32 array."""
    return x.dtype == "float32" and x.size <= MOST_ELEMENTS


def for_rows(source, kernel, rows, columns, outs, ins, *rest):
    """Launches one of the kernels over the rows, with a team of threads for each.

    Teams of lanes up to 512 columns; then blocks that hold a row in registers, up to 8,192; then
    blocks that read it again for each pass. Half of that where rows are no whole vectors.
    """
    vector = 4 if columns % 4 == 0 else 1
    held = ITEMS[vector]
    if columns <= 32:
        held, vector, team = 1, 1, power_of_two(columns)
    elif columns <= 32 * FEW:
        held, team = FEW, 32
    elif columns <= MOST_THREADS * held:
        team = max(power_of_two(-(-columns // held)), 32)
    else:
        held, vector, team = 0, 1, MOST_THREADS
    block = max(team, BLOCK) if team <= 32 else team
    of_block = block // team * (ROWS_AT_ONCE if held == 1 else 1)
    source.kernel(kernel, ITEMS=held, VEC=vector)(
        -(-rows // of_block), block, *outs, *ins, rows, columns, *rest, team
    )
