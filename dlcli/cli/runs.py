"""dlcli runs: lists runs, shows and compares them, trains one again, removes old ones.

A command `dlcli runs <name>` is the file `runs_<name>.py` beside this one.
"""

from __future__ import annotations

import click

from dlcli.cli.lazy import LazyGroup
from dlcli.cli.options import HELP, WithExamples


class _Runs(WithExamples, LazyGroup):
    path = "runs"
    examples = ("dlcli runs list", "dlcli runs list --json")


@click.group("runs", cls=_Runs, context_settings=HELP)
def main() -> None:
    """What `dlcli train` left: folders with a configuration, figures and checkpoints."""
