"""A row of a benchmark: what was measured of one variant on one case, and if that can be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .bench_device import Device
from .roofline import SLACK, Roofline
from .timing import Ratio, Sample

AGAIN = 5  # times that the roofline is measured anew before a time that beats it is refused


@dataclass
class Row:
    """One variant on one case. Times are missing where it was refused: `reason` says why."""

    op: str
    variant: str
    case: str
    precision: str
    device: str
    flops: int
    bytes: int
    sizes: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    error: float = 0.0  # the worst, as a share of the tolerance
    compared: str = ""  # all, or how many rows
    cold: Sample | None = None
    warm: Sample | None = None
    replayed: Sample | None = None  # in a CUDA graph: what it takes without the host's part
    kernels: list[dict[str, Any]] = field(default_factory=list)  # registers and spills, where known
    vendor: str = ""
    vendor_cold: Sample | None = None
    vendor_warm: Sample | None = None
    speedup: Ratio | None = None  # the vendor's warm time / ours
    note: str = ""
    share: float = 0.0  # of the roofline, cold
    bound: str = ""

    def refuse(self, reason: str) -> None:
        """Takes the times away."""
        self.reason = reason
        self.cold = self.warm = self.replayed = self.speedup = None


def settle(rows: Sequence[Row], roofline: Roofline) -> None:
    """Each row's share of the roofline and which roof; refuses those far above it."""
    for row in rows:
        if row.cold is None:
            continue
        floor, row.bound = roofline.floor(row.flops, row.bytes, row.precision)
        row.share = floor / row.cold.median
        if row.share > SLACK:
            row.refuse(f"measuring error: {row.share:.0%} of the roofline ({row.bound})")


def settled(rows: Sequence[Row], device: Device, roofline: Roofline) -> Roofline:
    """`settle`, after the roofline was measured anew where a time beats it: it may be too low."""
    for _ in range(AGAIN):
        if not any(_beats(row, roofline) for row in rows):
            break
        roofline = roofline.raised(device.roofline(rows[0].precision))
    settle(rows, roofline)
    return roofline


def _beats(row: Row, roofline: Roofline) -> bool:
    if row.cold is None:
        return False
    return roofline.floor(row.flops, row.bytes, row.precision)[0] > SLACK * row.cold.median
