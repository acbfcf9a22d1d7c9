"""dlcli report: makes one HTML page of a run, with its figures and pictures."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli import output
from dlcli.cli.options import command, output_options
from dlcli.cli.writer import check_new

NAME = "report.html"
MIB = 1 << 20


@command(
    "report",
    examples=[
        "dlcli train cnn-small --epochs 2 --out runs/first",
        "dlcli report runs/first",
        "dlcli report runs/first -o first.html --json",
    ],
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE, which must not exist [default: RUN/report.html, anew each time].",
)
@output_options
def main(run: Path, out: Path | None) -> None:
    """Makes one page of RUN that can be sent and opened anywhere: the pictures are in it, and
    nothing is loaded from elsewhere.

    It holds what is known of the run: how it was made and how it went, the figures of each epoch
    and of what was measured since (`dlcli eval`), the pictures of its folder, with what it ran and
    how to train it again. No model is built, so that a run of any kind and state has one.
    """
    check_new(out)
    from dlcli.cli import report_contents, report_page
    from dlcli.train import atomic
    from dlcli.train.run import RunDir

    contents = report_contents.gather(RunDir.open(run))
    for note in contents.notes:
        output.warn(note)
    page = report_page.page(contents).encode("utf-8", "backslashreplace")
    path = run / NAME if out is None else out
    atomic.write_file(path, page)
    if output.settings.json:
        names = [picture.name for picture in contents.pictures]
        about = {"run": run, "report": path, "bytes": len(page)}
        output.document({**about, "pictures": names, "notes": contents.notes})
        return
    shown = f"{len(page) / MIB:.1f} MiB, {len(contents.pictures)} pictures"
    output.text(f"{output.printable(str(path))}  {shown}")
