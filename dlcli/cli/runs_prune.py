"""dlcli runs prune: removes runs that failed or that are old, after showing which."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import Choice, Duration, command, output_options
from dlcli.errors import OutputError, UsageError

STATES = ("not begun", "finished", "interrupted", "failed", "killed", "damaged")
MIB = 1 << 20


@command(
    "prune",
    examples=[
        "dlcli runs prune --state failed",
        "dlcli runs prune --older-than 720h --state finished",
    ],
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=Choice(list(STATES)),
    help="Runs in this state; may be repeated.",
)
@click.option("--older-than", type=Duration(), help="Runs last touched so long ago: 90m, 720h.")
@click.option("--yes", is_flag=True, help="Remove them; without it they are only listed.")
@output_options
def main(folder: Path | None, states: tuple[str, ...], older_than: float | None, yes: bool) -> None:
    """Lists the runs in FOLDER (default: runs) that match all that is asked for, and with --yes
    removes them. A run that is being trained is never removed.
    """
    from dlcli.cli import run_facts

    if not states and older_than is None:
        raise UsageError(
            "which runs?", why="nothing is asked for", hint="--state failed, or --older-than 720h"
        )
    now = time.time()
    matching = []
    for run in run_facts.inside(folder):
        found = run_facts.facts(run)
        old = now - _touched(run.path) > (older_than or 0)
        if found["state"] != "running" and old and (not states or found["state"] in states):
            matching.append((run, found))
    for run, found in matching if yes else ():
        _remove(run)
        output.detail(f"removed {found['path']}")
    if output.settings.json:
        output.document({"removed": yes, "runs": [found for _, found in matching]})
        return
    for _, found in matching:
        output.text(f"{found['path']}  {found['state']}  {found['bytes'] / MIB:.1f} MiB")
    total = sum(found["bytes"] for _, found in matching) / MIB
    many = f"{len(matching):,} run{'s' if len(matching) != 1 else ''}, {total:.1f} MiB"
    output.note(f"removed {many}" if yes else f"{many}; --yes removes them")


def _touched(path: Path) -> float:
    """When a file directly in the folder was last written."""
    return max(file.stat().st_mtime for file in (path, *path.iterdir()) if file.exists())


def _remove(run: Any) -> None:
    """Under the run's lock, so that nobody is training in it."""
    with run.lock():
        try:
            shutil.rmtree(run.path)
        except OSError as error:
            what = f"{run.path}: cannot be removed"
            raise OutputError(what, why=error.strerror or str(error)) from error
