"""JSON as we write and read it: no NaN or Infinity, which are no JSON; bounded when read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.errors import CheckpointError

MOST_BYTES = 64 << 20  # of a JSON file that we believe


def plain(value: Any) -> Any:
    """`value` in JSON's types: NumPy's numbers and arrays unpacked, NaN and infinities None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def dumps(value: Any, *, indent: int | None = 2) -> bytes:
    """One JSON document in UTF-8, with a newline at its end. Floats keep their exact value."""
    text = json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogateescape") + b"\n"


def loads(data: bytes, name: str) -> dict[str, Any]:
    """The object in `data`. CheckpointError: `name` is not one JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name}: damaged", why=f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{name}: damaged", why="not a JSON object")
    return value


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A whole file of at most `most` bytes. CheckpointError: larger, missing or not readable."""
    try:
        with open(path, "rb") as file:
            data = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)  # as much is taken
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: missing") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(f"{path}: cannot be read", why=why) from error
    if len(data) > most:
        raise CheckpointError(f"{path}: damaged", why=f"more than {most:,} bytes")
    return data


def read(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in the file `path`. CheckpointError: missing, damaged or too large."""
    return loads(read_bytes(path, most), str(path))
