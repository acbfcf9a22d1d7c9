"""dlcli data check: looks for what would spoil a training: damaged files, copies, small classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.data_source import reading_options
from dlcli.cli.options import command, data_dir, output_options
from dlcli.errors import DataError

SHOWN = 5  # findings of a kind that are listed without -v
MOST_CLASSES = 30  # in the table
MOST_NAMES = 4  # in a finding
JOINED = dict.fromkeys(("leak", "conflict", "duplicate"), " = ")  # by the end of a kind's name
MIB = 1 << 20


@command(
    "check",
    examples=["dlcli data check digits", "dlcli data check digits --strict --json"],
)
@click.argument("source", metavar="PATH|NAME")
@click.option("--strict", is_flag=True, help="Exit code 3 if anything was found.")
@click.option("--no-near", is_flag=True, help="Only exact copies, not images that look alike.")
@reading_options
@output_options
@data_dir
def main(
    source: str, strict: bool, no_near: bool, data_dir: Path | None, kind: str | None, **given: Any
) -> None:
    """Checks a folder of images or sounds, a table, or a dataset that is known by name.

    Every file is read: files that are damaged, copies within a part and across parts or classes,
    images that look alike, classes that are small, empty or unequal, and files that are passed
    over. Nothing is changed.
    """
    from dlcli.cli import data_source

    with output.Bar("checking", 0) as bar:
        report = data_source.check(source, kind, data_dir, not no_near, bar.of, **given)
    if output.settings.json:
        output.document(report.to_json())
    else:
        _show(report)
    if strict and report.findings:
        n = len(report.findings)
        raise DataError(f"{source}: {n:,} thing{'s were' if n != 1 else ' was'} found (--strict)")


def _show(report: Any) -> None:
    from dlcli.data.findings import KINDS

    parts = list(report.counts)
    n = len(report.classes)
    of = f" of {n:,} class{'es' if n != 1 else ''}" if n else ""
    size = report.facts.get("bytes")
    much = "" if size is None else f", {_size(size)}"
    output.text(f"{report.source}: {report.samples:,} {report.many}{of}{much}")
    if report.classes:
        _table(report, parts)
    _facts(report)
    output.text(f"compared     {report.compared}")
    if report.compared == "nothing":
        output.text(f"             {report.many} are read and counted, that is all")
    if not report.findings:
        output.text("\nnothing was found")
        return
    for kind, about in KINDS.items():
        found = report.of(kind)
        if not found:
            continue
        output.text(f"\n{about.severity}: {about.title} ({len(found):,})")
        shown = found if output.settings.verbose else found[:SHOWN]
        for one in shown:
            sign = JOINED.get(kind.split("-")[-1], ", ")
            names = sign.join(one.samples[:MOST_NAMES])
            if (more := len(one.samples) - MOST_NAMES) > 0:
                names += f"{sign}{more:,} more"
            output.text(output.printable(f"  {names}" + (f": {one.why}" if one.why else "")))
        if len(found) > len(shown):
            output.text(f"  … {len(found) - len(shown):,} more, with -v or --json")
        output.text(f"  → {about.advice}")


def _size(count: int) -> str:
    """Bytes in a unit that suits them."""
    return f"{count / MIB:,.1f} MiB" if count >= MIB else f"{count / 1024:,.1f} KiB"


def _table(report: Any, parts: list[str]) -> None:
    total = max(report.samples, 1)
    rows = []
    for name in report.classes[:MOST_CLASSES]:
        counts = [report.counts[part].get(name, 0) for part in parts]
        rows.append((name, *(f"{n:,}" for n in counts), f"{100 * sum(counts) / total:.1f} %"))
    heads = ("samples",) if parts == ["all"] else parts
    output.text()
    output.table(("class", *heads, "share"), rows)
    if len(report.classes) > MOST_CLASSES:
        output.text(f"… {len(report.classes) - MOST_CLASSES:,} more classes, with --json")
    output.text()


def _facts(report: Any) -> None:
    """The figures: of a range from the least to the greatest, of a count how many of each."""
    for key, value in report.facts.items():
        if key == "bytes" or not value:
            continue
        if isinstance(value, dict) and "median" in value:
            figures = f"{value['min']:.4g} … {value['max']:.4g}, median {value['median']:.4g}"
            if value["min"] == value["max"]:
                figures = f"{value['min']:.4g}, all of them"
        elif isinstance(value, dict):
            figures = ", ".join(f"{name} {n:,}" for name, n in value.items())
        else:
            figures = str(value)
        output.text(f"{key:<12} {figures}")
