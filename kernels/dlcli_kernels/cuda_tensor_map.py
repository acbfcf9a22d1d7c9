"""Tensor maps: how the bulk copies of sm_90 (TMA) see an array, encoded by the driver.

The driver refuses a wrong map with no word on why; here the message names the rule. Rules and
names: CUDA driver API, cuTensorMapEncodeTiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .raw import TensorMap

BYTES = 128  # of a map, passed by value
MOST_KEPT = 4096  # maps are made again once so many arrays have been seen
TYPES = {
    "uint8": "UINT8",
    "int8": "UINT8",
    "uint16": "UINT16",
    "int16": "UINT16",
    "uint32": "UINT32",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FLOAT16",
    "bfloat16": "BFLOAT16",
    "float32": "FLOAT32",
    "float64": "FLOAT64",
}
SWIZZLES = {0: "NONE", 32: "32B", 64: "64B", 128: "128B"}


class Maps:
    """Encoded maps, kept by all that they say: a launch on the same arrays encodes nothing."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], np.ndarray] = {}

    def encode(self, described: TensorMap, address: int) -> np.ndarray:
        """The map as one element of 128 bytes. ValueError if such an array or box has none."""
        array = described.array
        form = (array.shape, array.strides, array.dtype.name, described.box, described.swizzle)
        kept = self._kept.get((address, *form))
        if kept is None:
            check(described, address)
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept[address, *form] = _encode(described, address)
        return kept


def check(described: TensorMap, address: int) -> None:
    """ValueError, with the rule, if the hardware cannot copy such boxes of such an array."""
    array, box, swizzle = described.array, described.box, described.swizzle
    size = array.dtype.itemsize
    rules = (
        (2 <= array.ndim <= 5, f"the array has {array.ndim} axes, not 2 to 5"),
        (len(box) == array.ndim, f"the box {box} has not an extent for each axis"),
        (array.dtype.name in TYPES, f"elements of {array.dtype.name} cannot be copied"),
        (
            swizzle in SWIZZLES,
            f"a swizzle of {swizzle} bytes is none of {', '.join(map(str, SWIZZLES))}",
        ),
        (0 not in array.shape, f"the array {array.shape} is empty"),
        (address % 16 == 0, "the array does not begin on a boundary of 16 bytes"),
        (array.strides[-1:] == (size,), "elements of the last axis do not lie side by side"),
        (
            all(s % 16 == 0 for s in array.strides[:-1]),
            "rows do not begin on boundaries of 16 bytes",
        ),
        (all(0 < extent <= 256 for extent in box), f"an extent of the box {box} is not 1 to 256"),
        (
            box[-1:] and box[-1] * size % 16 == 0,
            f"a row of the box {box} is no multiple of 16 bytes",
        ),
        (
            swizzle == 0 or box[-1] * size <= swizzle,
            f"a row of the box {box} is longer than the swizzle of {swizzle} bytes",
        ),
    )
    for holds, why in rules:
        if not holds:
            raise ValueError(f"tensor map: {why}")


def _encode(described: TensorMap, address: int) -> np.ndarray:
    from cuda.bindings import driver

    array = described.array
    rank, kind, swizzle = array.ndim, TYPES[array.dtype.name], SWIZZLES[described.swizzle]
    status, encoded = driver.cuTensorMapEncodeTiled(
        getattr(driver.CUtensorMapDataType, f"CU_TENSOR_MAP_DATA_TYPE_{kind}"),
        rank,
        address,
        [driver.cuuint64_t(extent) for extent in reversed(array.shape)],  # innermost first
        [driver.cuuint64_t(stride) for stride in reversed(array.strides[:-1])],
        [driver.cuuint32_t(extent) for extent in reversed(described.box)],
        [driver.cuuint32_t(1)] * rank,
        driver.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
        getattr(driver.CUtensorMapSwizzle, f"CU_TENSOR_MAP_SWIZZLE_{swizzle}"),
        driver.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
        driver.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,  # zeros outside
    )
    if status != driver.CUresult.CUDA_SUCCESS:
        raise ValueError(f"tensor map of {array.shape} by {described.box}: {status.name}")
    words = np.array([int(word) for word in encoded.opaque], np.uint64)
    return np.frombuffer(words.tobytes(), f"V{BYTES}")
