"""What `dlcli kernels verify` has found, kept in the cache: one small file for each variant, in
each precision, and for the very text of its files.

A changed file has another hash and so no record: nothing is said to be verified that was not.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlcli.cli.kernel_files import digest


@dataclass(frozen=True)
class Record:
    """The outcome for one variant in one precision. where: cpu, cuda, emulator or simulator."""

    op: str
    variant: str
    precision: str
    where: str
    cases: int  # run
    of: int  # in the contract
    failed: int
    worst: float  # as a share of the tolerance
    when: str = ""

    def __str__(self) -> str:
        if self.failed:
            return f"FAILED ({self.where})"
        some = f", {self.cases} of {self.of} cases" if self.cases < self.of else ""
        return f"yes ({self.where}{some})"


def _file(variant: Any, precision: str, where: str) -> Path | None:
    from dlcli_kernels import cache

    folder = cache.folder("verified")
    name = f"{variant.op.name}-{variant.name}-{precision}-{where}-{digest(variant)[:24]}.json"
    return None if folder is None else folder / name


def keep(variant: Any, record: Record) -> None:
    """Writes a record. A success on few cases never replaces a failure or one on more cases."""
    path = _file(variant, record.precision, record.where)
    if path is None:
        return  # the cache cannot be written
    before = _read(path)
    partial = not record.failed and record.cases < record.of
    if before and partial and (before.failed or before.cases > record.cases):
        return
    stamped = asdict(record) | {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        temporary.write_text(json.dumps(stamped), encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk: the result has been said all the same


def find(variant: Any, precision: str) -> Record | None:
    """The record for exactly these files; the one nearest to the hardware where there are more."""
    for where in ("cpu", "cuda", "emulator", "simulator"):
        path = _file(variant, precision, where)
        record = _read(path) if path is not None else None
        if record is not None:
            return record
    return None


def _read(path: Path) -> Record | None:
    """A record, or None where there is none that can be read."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
