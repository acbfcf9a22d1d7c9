"""The rates of a sweep as a PNG file: a line per kernel and precision, the vendor, the roofline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlcli.cli.plot import figure_at

COMPUTED = 0.5  # operations per byte under which a rate is shown in bytes


def rates(found: Any, path: Path) -> None:
    """GFLOP/s, or GB/s for what computes next to nothing, over the swept size; cold medians.

    found: `bench_output.Found`. One panel per op. OSError: the file cannot be written.
    """
    ops = list(dict.fromkeys(row.op for row in found.rows))
    with figure_at(path, (9.0, 4.2 * max(len(ops), 1))) as figure:
        panels = figure.subplots(max(len(ops), 1), 1, squeeze=False)[:, 0]
        for panel, op in zip(panels, ops, strict=False):
            rows = [row for row in found.rows if row.op == op and row.cold is not None]
            _panel(panel, op, rows, found.roofline)
        machine = found.machine
        threads = f", {machine['threads']} threads" if machine["threads"] else ""
        figure.suptitle(f"{machine['name']}{threads}", fontsize=9)


def _panel(panel: Any, op: str, rows: Sequence[Any], roofline: Any) -> None:
    panel.set_title(op)
    if not rows:
        panel.text(0.5, 0.5, "nothing could be measured", ha="center", transform=panel.transAxes)
        return
    computed = any(row.flops > COMPUTED * row.bytes for row in rows)

    def rate(row: Any, seconds: float) -> float:
        return (row.flops if computed else row.bytes) / seconds * 1e-9

    for name in dict.fromkeys(row.variant for row in rows):
        line = [(_size(row), rate(row, row.cold.median)) for row in rows if row.variant == name]
        panel.plot(*zip(*line, strict=True), marker="o", label=name)
    vendor = {_size(r): rate(r, r.vendor_cold.median) for r in rows if r.vendor_cold is not None}
    if vendor:
        label = next(row.vendor for row in rows if row.vendor)
        panel.plot(*zip(*vendor.items(), strict=True), "--s", color="0.35", label=label)
    floor = {_size(r): rate(r, roofline.floor(r.flops, r.bytes, r.precision)[0]) for r in rows}
    panel.plot(*zip(*floor.items(), strict=True), ":", color="black", label="roofline, measured")
    sizes = sorted({_size(row) for row in rows})
    panel.set_xscale("log", base=2)
    panel.set_xticks(sizes, labels=[f"{size:,}" for size in sizes], rotation=45)
    panel.minorticks_off()
    panel.set_xlabel(" = ".join(rows[0].sizes))
    panel.set_ylabel("GFLOP/s, cold" if computed else "GB/s, cold")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _size(row: Any) -> int:
    """What the sweep varies."""
    return next(iter(row.sizes.values()), 0)
