"""Tensor maps as the emulator's bulk copies read them: `Map` of hopper.cpp in the 128 bytes."""

from __future__ import annotations

import struct

from ..cuda_tensor_map import BYTES, check
from ..raw import TensorMap

__all__ = ["BYTES", "encode"]
MAP = struct.Struct("<Qqqiiii")  # base, rows, columns, the box's, swizzle, bytes of an element


def encode(described: TensorMap, address: int) -> bytes:
    """The map of an array whose elements lie at `address`. ValueError: there can be none."""
    check(described, address)
    if described.array.ndim != 2:
        raise ValueError("tensor map: only matrices are emulated")
    array = described.array
    return MAP.pack(
        address, *array.shape, *described.box, described.swizzle, array.dtype.itemsize
    ).ljust(BYTES, b"\0")
