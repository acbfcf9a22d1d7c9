"""dlcli data split: divides a folder into train, val and test, copies kept on one side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import Number, command, output_options
from dlcli.errors import DataError, UsageError

SHARE = Number(float, 0, 0.9)


@command(
    "split",
    examples=[
        "dlcli data export digits --split val -o pictures",
        "dlcli data split pictures --out divided",
        "dlcli data split pictures --out linked --val 0.2 --test 0 --link --seed 1",
    ],
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="DIR", help="A new folder.")
@click.option("--val", type=SHARE, default=0.1, show_default=True, help="Share for validation.")
@click.option("--test", type=SHARE, default=0.1, show_default=True, help="Share for the test.")
@click.option("--seed", type=Number(int, 0), default=0, show_default=True, help="Which files.")
@click.option("--copy", is_flag=True, help="Copy the files, which is what is done by default.")
@click.option("--move", is_flag=True, help="Move them.")
@click.option("--link", is_flag=True, help="Make symbolic links to them.")
@click.option("--no-near", is_flag=True, help="Only exact copies are kept together.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@output_options
def main(
    path: Path,
    out: Path | None,
    val: float,
    test: float,
    seed: int,
    no_near: bool,
    dry_run: bool,
    **ways: bool,
) -> None:
    """Divides PATH, a folder of images or sounds with a folder per class, into DIR/train, DIR/val
    and DIR/test.

    Every class keeps its share in every part. Files that are the same, and images that look alike,
    stay in one part, so that nothing that is tested on was trained on. The same seed gives the same
    parts. DIR appears complete or not at all.
    """
    from dlcli.cli import data_source
    from dlcli.data import split_folder

    way = _way(ways)
    _check(path, out, val, test, dry_run)
    reader = data_source.reader(path)
    with output.Bar("reading", 0) as bar:
        plan = split_folder.plan(
            path, reader, val=val, test=test, seed=seed, looks=not no_near, progress=bar.of
        )
    for file in plan.unreadable:
        output.warn(f"{path / file}: cannot be read, and is divided all the same")
    for folder, why in plan.ignored.items():
        output.warn(f"{path / folder}: {why}, which are no samples, stay where they are")
    found: dict[str, Any] = {
        "source": os.path.abspath(path),
        "way": way,
        "seed": seed,
        "shares": {"train": round(1 - val - test, 9), "val": val, "test": test},
        "counts": plan.counts(),
        "kept_together": [[plan.files[i].path for i in group] for group in plan.together],
        "unreadable": plan.unreadable,
    }
    if not dry_run and out is not None:
        with output.Bar("writing", 0) as bar:
            split_folder.carry_out(plan, out, way, found, bar.of)
    if output.settings.json:
        output.document({"out": None if dry_run else out, **found})
        return
    _show(found)
    output.note("\nnothing was written" if dry_run else f"\nnext:  dlcli train cnn --data {out}")


def _way(ways: dict[str, bool]) -> str:
    asked = [way for way, is_so in ways.items() if is_so]
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} cannot be used together")
    return asked[0] if asked else "copy"


def _check(path: Path, out: Path | None, val: float, test: float, dry_run: bool) -> None:
    """What was asked for is possible, before anything is read."""
    if not val and not test:
        raise UsageError("--val and --test are both 0", why="there is nothing to divide")
    if val + test > 0.9:
        raise UsageError(
            f"--val {val:g} and --test {test:g} are too much", why="at least 0.1 is to learn from"
        )
    if not os.path.isdir(path):
        why = "it is a file" if os.path.lexists(path) else "there is no such folder"
        raise DataError(f"{path}: is not a folder", why=why)
    if out is None:
        if not dry_run:
            raise UsageError("where to?", why="--out is missing", hint="--out DIR, or --dry-run")
        return
    if os.path.lexists(out):
        raise UsageError(
            f"{out}: exists", why="nothing is overwritten", hint="choose another --out"
        )
    if Path(os.path.abspath(out)).is_relative_to(os.path.abspath(path)):
        raise UsageError(f"{out}: lies in {path}", why="it would be one of its classes")


def _show(found: dict[str, Any]) -> None:
    counts = found["counts"]
    names = sorted({name for of in counts.values() for name in of})
    rows = [(name, *(f"{of.get(name, 0):,}" for of in counts.values())) for name in names]
    totals = [f"{sum(of.values()):,}" for of in counts.values()]
    output.table(("class", *counts), [*rows, ("all", *totals)])
    if together := found["kept_together"]:
        files = sum(len(group) for group in together)
        output.text(f"\n{files:,} files that are the same or look it, kept together in groups")
        for group in together if output.settings.verbose else ():
            output.text(output.printable("  " + " = ".join(group)))
