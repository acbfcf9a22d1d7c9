"""The axes of a reduction as CUDA C++ kernels take them (`include/axes.cuh`), and how its work is
shared out.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..conv.raw_geometry import DIVISOR, divisor

MOST_AXES = 8  # of an array, after neighbours that are treated alike were made one
MOST_ELEMENTS = 2**31 - 2**16  # of an array: an index may go a block beyond it
MOST_SLICES = 2048
THREADS = 256  # of a block
BLOCKS = 8  # of a multiprocessor: 2,048 threads, all that it holds
LEAST = 4  # accesses of a thread below which its work is not divided further
AXES = np.dtype(
    [
        ("count", np.int32),
        ("extent", np.int32, MOST_AXES),
        ("stride", np.int32, MOST_AXES),
        ("by", DIVISOR, MOST_AXES),
    ]
)


class Axis(NamedTuple):
    """One or more neighbouring axes. strides: in the array, and in the result (0: reduced)."""

    extent: int
    stride: int
    result: int
    reduced: bool


@lru_cache(maxsize=512)
def collapsed(shape, axes):
    """The axes from the last to the first: those of extent 1 left out, neighbours joined."""
    found, stride, result = [], 1, 1
    for i, extent in reversed(list(enumerate(shape))):
        reduced = i in axes
        if extent != 1 and found and found[-1].reduced == reduced:
            found[-1] = found[-1]._replace(extent=found[-1].extent * extent)
        elif extent != 1:
            found.append(Axis(extent, stride, 0 if reduced else result, reduced))
        stride *= extent
        result *= 1 if reduced else extent
    return tuple(found)


@lru_cache(maxsize=512)
def struct(extents, strides):
    """The axes of these extents and strides as the scalar that kernels take."""
    value = np.zeros((), AXES)
    given = list(zip(extents, strides, strict=True)) or [(1, 0)]
    value["count"] = len(given)
    for k, (extent, stride) in enumerate(given):
        value["extent"][k], value["stride"][k] = extent, stride
        value["by"][k] = divisor(extent)
    return value[()]


class Plan(NamedTuple):
    """How a reduction runs. along: whether the threads of a team stand along the reduced axes.

    vector: elements of one access. block: threads that share an output, and outputs (or the
    reverse, if not along). slices: pieces of the reduced axes, each `each` accesses or rows long.
    """

    along: bool
    vector: int
    kept: np.void
    reduced: np.void
    outputs: int
    count: int
    block: tuple[int, int]
    blocks: int
    slices: int
    each: int


def power_of_two(least):
    """The smallest power of two that is not below `least`."""
    return 1 << max(least - 1, 0).bit_length()


@lru_cache(maxsize=512)
def plan(shape, axes, multiprocessors):
    """How to reduce `axes` of an array of this shape on a device of so many multiprocessors."""
    found = collapsed(shape, axes)
    kept, reduced = ([a for a in found if a.reduced == r] for r in (False, True))
    outputs, count = (math.prod(a.extent for a in part) for part in (kept, reduced))
    along = bool(found) and found[0].reduced
    vector = 4 if found and found[0].extent % 4 == 0 else 1
    if along:
        work = count // vector
        team = min(power_of_two(-(-work // LEAST)), 32) if work <= 512 else THREADS
        block = team, THREADS // team
        blocks = -(-outputs // block[1])
    else:
        work, units = count, -(-outputs // vector)
        most = THREADS // min(power_of_two(units), 32)
        team = min(power_of_two(-(-work // (2 * LEAST))), most)
        block = min(power_of_two(units), THREADS // team), team
        blocks = -(-units // block[0])
    wanted = -(-BLOCKS * multiprocessors // max(blocks, 1))
    slices = max(min(wanted, work // (LEAST * team), MOST_SLICES), 1)
    each = -(-work // slices)
    slices = -(-work // max(each, 1)) or 1
    structs = (
        struct(tuple(a.extent for a in part), tuple(a.stride for a in part))
        for part in (kept, reduced)
    )
    return Plan(along, vector, *structs, outputs, work, block, blocks, slices, each)
