"""Where compiled kernels are kept between processes: `$DLCLI_CACHE`, or the user's cache folder."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path


def folder(name: str) -> Path | None:
    """The folder `name` of the cache, made if it is not there; None where it cannot be written."""
    base = os.environ.get("DLCLI_CACHE")
    return _writable(_user_cache() if not base else Path(base), name)


def folder_or_temporary(name: str) -> Path:
    """As `folder`, but one of this process alone where the cache cannot be written."""
    return folder(name) or _temporary(name)


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("dlcli")


@cache
def _writable(base: Path, name: str) -> Path | None:
    found = base / name
    try:
        found.mkdir(parents=True, exist_ok=True)
        probe = found / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return None
    return found


_held: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def _temporary(name: str) -> Path:
    _held.append(tempfile.TemporaryDirectory(prefix=f"dlcli-{name}-"))
    return Path(_held[-1].name)
