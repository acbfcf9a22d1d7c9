"""A benchmark as a JSON document, and back: machine, roofline, rows with every single time.

Times are seconds, in the order in which they were measured. What is derived from them is written
too, to be read by people; `load` takes the times alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .bench_row import Row
from .roofline import Roofline
from .timing import Sample

KIND, SCHEMA = "dlcli kernels bench", 1
TIMES = ("cold", "warm", "replayed")
LARGEST = 1 << 28  # bytes of a file that is believed to be a benchmark
COLUMNS = (
    "op",
    "variant",
    "case",
    "precision",
    "cold_us",
    "iqr_us",
    "p95_us",
    "warm_us",
    "gflops",
    "gbytes_per_s",
    "roofline",
    "bound",
    "speedup",
    "speedup_low",
    "speedup_high",
    "vendor",
    "error",
    "reason",
    "note",
)


class BadDocument(ValueError):
    """A file that is no benchmark of ours, or one of another schema."""


def document(
    machine: Mapping[str, Any],
    states: Sequence[Mapping[str, Any]],
    remarks: Sequence[str],
    roofline: Roofline,
    rows: Sequence[Row],
) -> dict[str, Any]:
    """The document. machine: `bench_machine.identity`; states: before and after."""
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "machine": dict(machine),
        "state": {"before": dict(states[0]), "after": dict(states[1])},
        "remarks": list(remarks),
        "roofline": {
            "flops_per_s": dict(roofline.flops),
            "bytes_per_s": dict(roofline.bytes),
            "bandwidth": roofline.bandwidth,
        },
        "rows": [row_document(row) for row in rows],
    }


def row_document(row: Row) -> dict[str, Any]:
    """One row: its figures, and its times."""
    ratio = row.speedup
    return {
        "op": row.op,
        "variant": row.variant,
        "case": row.case,
        "sizes": row.sizes,
        "precision": row.precision,
        "device": row.device,
        "ok": not row.reason,
        "reason": row.reason,
        "note": row.note,
        "error": row.error,
        "compared": row.compared,
        "flops": row.flops,
        "bytes": row.bytes,
        **{name: _times(getattr(row, name)) for name in TIMES},
        "cold_us": _micro(row.cold, "median"),
        "warm_us": _micro(row.warm, "median"),
        "gflops": _rate(row.flops, row.cold),
        "gbytes_per_s": _rate(row.bytes, row.cold),
        "roofline": row.share if row.cold else None,
        "bound": row.bound,
        "kernels": row.kernels,
        "vendor": {
            "name": row.vendor,
            "cold": _times(row.vendor_cold),
            "warm": _times(row.vendor_warm),
            "speedup": ratio and {"value": ratio.value, "low": ratio.low, "high": ratio.high},
        }
        if row.vendor
        else None,
    }


def _times(sample: Sample | None) -> dict[str, Any] | None:
    if sample is None:
        return None
    return {
        "median": sample.median,
        "iqr": sample.iqr,
        "p95": sample.p95,
        "times": sample.times.tolist(),
    }


def _rate(amount: int, sample: Sample | None) -> float | None:
    """Billions per second."""
    return None if sample is None else amount / sample.median * 1e-9


def cells(row: Row) -> dict[str, Any]:
    """A row as `COLUMNS`, numbers as numbers; None where there is none."""
    made = row_document(row)
    vendor = made["vendor"] or {}
    speedup = vendor.get("speedup") or {}
    found: dict[str, Any] = {key: made.get(key) for key in COLUMNS}
    found |= {
        "iqr_us": _micro(row.cold, "iqr"),
        "p95_us": _micro(row.cold, "p95"),
        "speedup": speedup.get("value"),
        "speedup_low": speedup.get("low"),
        "speedup_high": speedup.get("high"),
        "vendor": vendor.get("name"),
    }
    return found


def _micro(sample: Sample | None, figure: str) -> float | None:
    return None if sample is None else 1e6 * float(getattr(sample, figure))


# --- back -----------------------------------------------------------------------------------------


def load(path: Path) -> dict[str, Any]:
    """A document as it was written. OSError, or BadDocument for what is none."""
    if path.stat().st_size > LARGEST:
        raise BadDocument(f"{path} is too large for a benchmark")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, or not JSON
        raise BadDocument(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise BadDocument(f"{path} was not written by dlcli kernels bench")
    if found.get("schema") != SCHEMA:
        raise BadDocument(f"{path} has schema {found.get('schema')}, this version reads {SCHEMA}")
    if not isinstance(found.get("rows"), list) or not isinstance(found.get("machine"), dict):
        raise BadDocument(f"{path} has no rows or no machine")
    for row in found["rows"]:
        if not isinstance(row, dict) or not all(isinstance(row.get(k), str) for k in KEY):
            raise BadDocument(f"{path} has a row without {', '.join(KEY)}")
    return found


KEY = ("op", "variant", "case", "precision", "device")  # what makes two rows the same


def key_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What two documents are matched by."""
    return tuple(row[k] for k in KEY)


def sample_of(row: Mapping[str, Any], which: str) -> Sample | None:
    """The times of a loaded row, None where it has none. BadDocument if they are no times."""
    found = row.get(which)
    if found is None:
        return None
    times = found.get("times") if isinstance(found, dict) else None
    numbers = isinstance(times, list) and all(isinstance(t, int | float) for t in times)
    if not numbers or not times or not all(0 < t < 1e9 for t in times):
        raise BadDocument(f"{' '.join(key_of(row))}: the {which} times are no positive numbers")
    return Sample(np.array(times, dtype=np.float64))
