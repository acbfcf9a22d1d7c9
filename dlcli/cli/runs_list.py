"""dlcli runs list: lists the runs of a folder, with their state and best figure."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli import output
from dlcli.cli.options import command, output_options

MIB = 1 << 20


@command("list", examples=["dlcli runs list", "dlcli runs list --json"])
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@output_options
def main(folder: Path | None) -> None:
    """Lists the runs in FOLDER (default: runs), the oldest first. Folders that are none are passed
    over.
    """
    from dlcli.cli import run_facts

    found = [run_facts.facts(run) for run in run_facts.inside(folder)]
    if output.settings.json:
        output.document(found)
        return
    if not found:
        output.note(f"no runs in {folder or run_facts.FOLDER}")
        return
    rows = [
        (
            run["name"],
            run.get("model") or "",
            run.get("data") or "",
            run["state"],
            run.get("epoch") or "",
            f"{run['seconds']:.0f} s" if run.get("seconds") else "",
            run_facts.monitored(run),
            f"{run['bytes'] / MIB:.1f} MiB",
        )
        for run in found
    ]
    header = ("run", "model", "data", "state", "epochs", "time", "best", "size")
    output.table(header, rows, left=4)
