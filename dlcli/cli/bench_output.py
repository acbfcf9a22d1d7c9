"""A benchmark as a table, Markdown, CSV or JSON, on stdout and in a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcli.cli import output
from dlcli.errors import UsageError

FORMATS = ("table", "md", "csv", "json", "jsonl")
SUFFIXES = {".md": "md", ".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".txt": "table"}
HEAD = (
    "kernel", "shape", "cold", "IQR", "p95", "warm", "GFLOP/s", "GB/s", "roofline", "vs vendor",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a benchmark found: `bench_document.document` takes these."""

    machine: Mapping[str, Any]
    states: Sequence[Mapping[str, Any]]
    remarks: Sequence[str]
    roofline: Any
    rows: Sequence[Any]

    def document(self) -> dict[str, Any]:
        """The whole as JSON's own types."""
        from dlcli_kernels.bench_document import document

        return document(self.machine, self.states, self.remarks, self.roofline, self.rows)


def show(found: Found, form: str, out: Path | None) -> None:
    """Prints it in a format; with `out` the file has that format, and stdout the table."""
    if out is not None:
        out.write_text(_text(found, form), encoding="utf-8")
        output.note(f"wrote {out}")
    if output.settings.json:
        output.document(found.document())
    elif form == "table" or out is not None:
        _table(found)
    else:
        output.text(_text(found, form).removesuffix("\n"))


def format_of(form: str | None, out: Path | None) -> str:
    """The format asked for, or what the file's name ends with; UsageError if that says nothing."""
    if form or output.settings.json:
        return form or "json"
    if out is None:
        return "table"
    if out.suffix not in SUFFIXES:
        hint = "add --format, or end it with .json, .jsonl, .csv or .md"
        raise UsageError(f"--out: '{out}' does not say which format is meant", hint=hint)
    return SUFFIXES[out.suffix]


def _text(found: Found, form: str) -> str:
    if form == "json":
        return output.json_line(found.document()) + "\n"
    if form == "jsonl":
        rows = found.document()["rows"]
        return "".join(output.json_line(row) + "\n" for row in rows)
    if form == "csv":
        return _csv(found.rows)
    rows = [_cells(row) for row in found.rows]
    lines = [_markdown_row(HEAD), _markdown_row(["---"] * 2 + ["--:"] * (len(HEAD) - 2))]
    table = "\n".join([*lines, *map(_markdown_row, rows)])
    return f"{table}\n\n" + "\n".join(_facts(found)) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _csv(rows: Sequence[Any]) -> str:
    from dlcli_kernels.bench_document import COLUMNS, cells

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v
                         for k, v in cells(row).items()})  # fmt: skip
    return text.getvalue()


def _table(found: Found) -> None:
    output.table(HEAD, [_cells(row) for row in found.rows], left=2)
    output.text()
    for line in _facts(found):
        output.text(line)


def _cells(row: Any) -> list[str]:
    kernel = f"{row.op}/{row.variant}"
    if row.cold is None:
        return [kernel, row.case, f"refused: {row.reason}", *[""] * (len(HEAD) - 3)]
    rate = f"{row.flops / row.cold.median * 1e-9:.1f}" if row.flops else "–"
    speedup = row.speedup
    return [
        kernel,
        row.case,
        duration(row.cold.median),
        duration(row.cold.iqr),
        duration(row.cold.p95),
        duration(row.warm.median),
        rate,
        f"{row.bytes / row.cold.median * 1e-9:.2f}",
        f"{row.share:.0%} {row.bound}",
        f"{speedup.value:.2f}× ({speedup.low:.2f}–{speedup.high:.2f})" if speedup else "–",
    ]


def duration(seconds: float) -> str:
    """Three digits in the unit that suits: 3.21 µs."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale or unit == "µs":
            value = seconds / scale
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    raise AssertionError(seconds)


def _facts(found: Found) -> list[str]:
    """What stands below the table: the machine, its roofline, vendors, doubts."""
    machine, roofline = found.machine, found.roofline
    threads = f", {machine['threads']} threads" if machine["threads"] else ""
    rates = ", ".join(f"{name} {rate * 1e-9:,.0f}" for name, rate in roofline.flops.items())
    moved = ", ".join(f"{name} {rate * 1e-9:,.1f}" for name, rate in roofline.bytes.items())
    vendors = sorted({row.vendor for row in found.rows if row.vendor})
    used = {k["kernel"]: k for row in found.rows for k in row.kernels}
    return [
        f"{machine['name']}{threads}",
        f"roofline, measured: GFLOP/s {rates}; GB/s {moved}",
        *([f"vendor: {', '.join(vendors)}; above 1× ours is faster"] if vendors else []),
        *(f"{name}: {k['registers']} registers, {k['spills']} bytes spilled, "
          f"{k['shared']} bytes of static shared memory" for name, k in used.items()),
        *dict.fromkeys(row.note for row in found.rows if row.note),
        *(f"doubtful: {remark}" for remark in found.remarks),
    ]  # fmt: skip
