"""dlcli kernels show: the source of one kernel, and the figures that were measured of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dlcli.cli import kernel_records, output
from dlcli.cli.kernel_choice import chosen, place, precisions_of
from dlcli.cli.kernel_files import files_of
from dlcli.cli.options import command, kernel_file, output_options
from dlcli.errors import DataError, UsageError

BESIDE = Path("bench", "results")  # in a checkout of the project
KIND = "dlcli kernels bench"


@command(
    "show",
    examples=["dlcli kernels show matmul/cpu_blas", "dlcli kernels show matmul/cpu_blas --json"],
)
@click.argument("kernel", metavar="OP/VARIANT", required=False)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="Of `dlcli kernels bench --json` [default: bench/results/*.json, if they are here].",
)
@kernel_file
@output_options
def main(kernel: str | None, results: tuple[Path, ...], kernel_file: list[Any]) -> None:
    """Shows a kernel: its files as they stand, whether it runs here, and its measured figures."""
    variant = _one(kernel, kernel_file)
    name = f"{variant.op.name}/{variant.name}"
    files = files_of(variant)
    files_of_results = results or sorted(BESIDE.glob("*.json"))
    figures = [row for f in files_of_results for row in _figures(f, variant, named=bool(results))]
    verified = [kernel_records.find(variant, precision) for precision in precisions_of(variant)]
    found = [record for record in verified if record is not None]
    where = place(variant)
    if output.settings.json:
        output.document(
            {
                "op": variant.op.name,
                "variant": variant.name,
                "device": variant.device,
                "available": bool(where),
                "why": where.why or None,
                "verified": found,
                "files": files,
                "figures": figures,
            }
        )
        return
    output.text(f"{name}, for {variant.device}" + (f"; not here: {where.why}" if where.why else ""))
    said = "; ".join(f"{record.precision}: {record}" for record in found)
    output.text(f"verified: {said or f'not on record; dlcli kernels verify {name}'}")
    for file, text in files.items():
        output.text(f"\n--- {file}\n")
        for line in text.splitlines():
            output.text(line)
    output.text("\n--- measured\n")
    if not figures:
        output.text("not measured")
        return
    rows = [_cells(row) for row in figures]
    columns = [key for key in rows[0] if any(row[key] for row in rows)]
    output.table(columns, [[row[key] for key in columns] for row in rows], left=2)


def _one(kernel: str | None, own: list[Any]) -> Any:
    """The variant that is meant: the only one of a kernel file, or the one named."""
    if kernel is None and len(own) == 1:
        return own[0]
    if kernel is None or "/" not in kernel:
        there = chosen([kernel], (), None, own) if kernel else own
        names = ", ".join(f"{v.op.name}/{v.name}" for v in there)
        raise UsageError(
            "one kernel is needed, OP/VARIANT",
            why=f"there is: {names}" if names else "",
            hint="`dlcli kernels list` lists them",
        )
    return chosen([kernel], (), None, own)[0]


def _figures(file: Path, variant: Any, *, named: bool) -> list[dict[str, Any]]:
    """The rows of a file of results about the variant. DataError if it was named and is none."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["kind"] != KIND:
            raise ValueError(f"it is of the kind {document['kind']!r}")
        rows = [
            row
            for row in document["rows"]
            if (row["op"], row["variant"]) == (variant.op.name, variant.name)
        ]
        machine = document["machine"]["name"]
        return [{**row, "machine": machine, "results": file.name} for row in rows]
    except (OSError, ValueError, LookupError, TypeError) as error:
        if not named:  # other results lie in the folder, too
            return []
        why = str(error) if isinstance(error, OSError | ValueError) else ""
        raise DataError(f"{file}: this is no result of `dlcli kernels bench`", why=why) from error


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """A row of results as people read it."""
    speedup = row["vendor"] and row["vendor"]["speedup"]
    return {
        "case": row["case"],
        "precision": row["precision"],
        "cold, µs": _rounded(row["cold_us"]),
        "warm, µs": _rounded(row["warm_us"]),
        "GFLOP/s": _rounded(row["gflops"] or None),
        "GB/s": _rounded(row["gbytes_per_s"]),
        "roofline": "" if row["roofline"] is None else f"{row['roofline']:.0%} {row['bound']}",
        "vendor": f"{speedup['value']:.2f}× {row['vendor']['name']}" if speedup else "",
        "refused": row["reason"],
        "machine": row["machine"],
        "results": row["results"],
        "registers": " ".join(str(kernel["registers"]) for kernel in row["kernels"]),
        "spills": " ".join(str(kernel["spills"]) for kernel in row["kernels"]),
    }


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
