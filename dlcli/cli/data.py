"""dlcli data: lists, shows, checks, measures and splits datasets.

A command `dlcli data <name>` is the file `data_<name>.py` beside this one.
"""

from __future__ import annotations

import click

from dlcli.cli.lazy import LazyGroup
from dlcli.cli.options import HELP, WithExamples


class _Data(WithExamples, LazyGroup):
    path = "data"
    examples = ("dlcli data list", "dlcli data show digits", "dlcli data check digits")


@click.group("data", cls=_Data, context_settings=HELP)
def main() -> None:
    """Datasets that are known by name, and those of your own.

    A dataset may also be a folder of images or sounds with a folder per class, a CSV or TSV file,
    or a text: its path is its name then.
    """
