"""Named arrays as safetensors bytes and back. What is read is checked before it is believed.

The format (https://github.com/huggingface/safetensors): 8 bytes, the header's length; the header,
JSON with dtype, shape and offsets per name; the arrays' bytes without holes or overlaps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from dlcli.errors import CheckpointError

DTYPES = frozenset(
    {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}
)
MOST_HEADER = 32 << 20


def pack(tensors: Mapping[str, np.ndarray]) -> bytes:
    """The same tensors give the same bytes, whatever their order or memory layout."""
    arrays = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    return safetensors_numpy.save(arrays)


def unpack(data: bytes, name: str) -> dict[str, np.ndarray]:
    """The arrays in `data`, writable.

    CheckpointError: `name` is truncated, its header is absurd, a tensor's offsets overlap, leave
    a hole or do not match its shape, a name occurs twice, or a dtype is one that we never write.
    """
    _check_header(data, name)
    try:
        loaded = safetensors_numpy.load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise CheckpointError(f"{name}: damaged", why=str(error)) from error
    return {key: np.array(array) for key, array in loaded.items()}


def _check_header(data: bytes, name: str) -> None:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MOST_HEADER):
        raise CheckpointError(
            f"{name}: damaged",
            why=f"its header claims {length:,} bytes, the file holds {len(data):,}",
        )
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_distinct)
        dtypes = {v["dtype"] for k, v in header.items() if k != "__metadata__"}
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{name}: damaged", why=f"its header: {error}") from error
    if not dtypes <= DTYPES:
        unknown = ", ".join(sorted(map(str, dtypes - DTYPES)))
        raise CheckpointError(f"{name}: cannot be read", why=f"dtype {unknown}")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def misfits(wanted: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> list[str]:
    """How `found` differs from `wanted` in names, shapes and dtypes: a phrase each, or []."""
    lines = [f"{key} is missing" for key in wanted if key not in found]
    lines += [f"{key} is not in the model" for key in found if key not in wanted]
    for key, want in wanted.items():
        got = found.get(key)
        if got is not None and (got.shape, got.dtype) != (want.shape, want.dtype):
            lines.append(
                f"{key} is {got.dtype}{list(got.shape)}, not {want.dtype}{list(want.shape)}"
            )
    return lines


def nonfinite(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """The names of tensors that hold a NaN or an infinity."""
    return [k for k, a in tensors.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
