"""What bounds the kernels of recurrent layers: how large arrays may be, and a block's memory."""

from __future__ import annotations

from typing import Any

from ..raw import target

LARGEST = (1 << 31) - 1  # elements of an array, so that 32 bits count them
KB = 1 << 10
MOST_SHARED = {"sm_80": 163 * KB, "sm_87": 163 * KB, "sm_90": 227 * KB, "sm_100": 227 * KB}
LEAST_SHARED = 99 * KB  # of the other architectures


def most_shared() -> int:
    """Bytes of shared memory that a block of the target in use may have."""
    return MOST_SHARED.get(target().arch, LEAST_SHARED)


def countable(*operands: Any) -> bool:
    """Whether 32 bits count the elements of all operands (None: an absent one), and the floating
    ones are float32.
    """
    return all(
        a is None or (a.size <= LARGEST and (a.dtype.kind != "f" or a.dtype == "float32"))
        for a in operands
    )
