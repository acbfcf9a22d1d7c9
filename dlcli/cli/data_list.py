"""dlcli data list: lists the datasets that are known by name, and where they are."""

from __future__ import annotations

from pathlib import Path

from dlcli.cli import output
from dlcli.cli.options import command, data_dir, output_options


@command("list", examples=["dlcli data list", "dlcli data list --json"])
@output_options
@data_dir
def main(data_dir: Path | None) -> None:
    """Lists the datasets: how many samples, of which shape, and where they are."""
    from dlcli.cli import data_source
    from dlcli.data import catalog

    found = [catalog.describe(name, data_dir=data_dir) for name in catalog.names()]
    if output.settings.json:
        output.document([data_source.facts(info) for info in found])
        return
    rows = []
    for info in found:
        counts = " + ".join(f"{count:,}" for count in info.counts.values())
        shape = info.kind.describe(info.shape)
        classes = len(info.classes) or ""
        place = data_source.place(info)
        rows.append((info.name, place, info.kind.many, counts, shape, classes))
    output.table(("name", "where", "of", "samples", "shape", "classes"), rows, left=3)
    if any(info.how_to_get for info in found):
        output.note("\n`dlcli data show NAME` says how to get one that is not here")
