"""Configurations that were found to be the fastest here: tile sizes, chosen per device.

A variant declares what may be tried and asks which one to take:

    TUNE = {"matmul": [{"tile_m": 64, "tile_n": 64}, {"tile_m": 128, "tile_n": 64}]}

    def matmul(out, a, b, bias, **attrs):
        tile = choose("matmul", "cuda_raw_warptile", TUNE["matmul"][0])

The choice is made by `dlcli kernels tune` and kept in the user's cache, one file per device. A
choice that the variant does not know (its keys differ) is ignored. NumPy only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import cache

Config = dict[str, Any]
_trying: dict[str, Config] = {}  # op/variant -> what is being timed, on every thread
_kept: dict[str, dict[str, Config]] = {}  # device -> op/variant(key) -> configuration, once read


def choose(op: str, variant: str, default: Mapping[str, Any], **key: Any) -> Config:
    """The configuration to run with: the one being tried, the one kept, or the default.

    key: what else the choice depends on (a class of sizes), as it was tuned. A choice without a
    key is for all of them.
    """
    trying = _trying.get(f"{op}/{variant}")
    if trying is not None:
        return trying
    kept = _read(_device_of(variant))
    for name in (name_of(op, variant, key), name_of(op, variant, {})):
        found = kept.get(name)
        if found is not None and found.keys() == default.keys():
            return found
    return dict(default)


def name_of(op: str, variant: str, key: Mapping[str, Any]) -> str:
    """How a choice is filed: matmul/cuda_raw_warptile, or …[m=64] with a key."""
    inner = ",".join(f"{k}={v}" for k, v in sorted(key.items()))
    return f"{op}/{variant}" + (f"[{inner}]" if inner else "")


@contextmanager
def trying(op: str, variant: str, config: Mapping[str, Any]) -> Iterator[None]:
    """Every call of the variant inside runs with `config`."""
    name = f"{op}/{variant}"
    before = _trying.get(name)
    _trying[name] = dict(config)
    try:
        yield
    finally:
        if before is None:
            del _trying[name]
        else:
            _trying[name] = before


def keep(op: str, variant: str, config: Mapping[str, Any], **key: Any) -> Path:
    """Files a choice for the device of the variant; OSError if the cache cannot be written."""
    device = _device_of(variant)
    path = _file(device)
    if path is None:
        raise OSError("the cache cannot be written: set DLCLI_CACHE to a folder that can")
    kept = {**_read_file(path), name_of(op, variant, key): dict(config)}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(kept, indent=2, sort_keys=True), encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _kept[device] = kept
    return path


def kept(variant: str) -> dict[str, Config]:
    """Everything that is filed for the device of the variant."""
    return dict(_read(_device_of(variant)))


def forget() -> None:
    """Reads the files anew at the next choice."""
    _kept.clear()


def _read(device: str) -> dict[str, Config]:
    found = _kept.get(device)
    if found is None:
        path = _file(device)
        found = _kept[device] = {} if path is None else _read_file(path)
    return found


def _read_file(path: Path) -> dict[str, Config]:
    """What is filed; a damaged file holds nothing, and is replaced by the next choice."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, dict)}


def _file(device: str) -> Path | None:
    folder = cache.folder("tuned")
    if folder is None:
        return None
    return folder / f"{hashlib.sha256(device.encode()).hexdigest()[:16]}.json"


_names: dict[str, str] = {}


def _device_of(variant: str) -> str:
    """The name of the processor or of the GPU that the variant runs on."""
    kind = variant.split("_", 1)[0]
    if kind not in _names:
        if kind == "cuda":
            from .raw import target

            on = target()
            facts: dict[str, Any] = getattr(on, "facts", dict)()
            _names[kind] = f"{facts.get('name', type(on).__name__)} {on.arch}"
        else:
            from .bench_machine import processor

            _names[kind] = processor()
    return _names[kind]
