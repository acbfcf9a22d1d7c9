"""dlcli data get: downloads a published dataset, against pinned hashes."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli import output
from dlcli.cli.options import command, data_dir, output_options
from dlcli.errors import UsageError


@command("get", examples=["dlcli data get digits"])
@click.argument("name")
@output_options
@data_dir
def main(name: str, data_dir: Path | None) -> None:
    """Downloads the files of a dataset to where the other commands find it: --data-dir, or
    $DLCLI_DATA, or the user's cache.

    Every file is held against a hash. A download that was stopped goes on where it was when the
    command is run again. With DLCLI_OFFLINE=1 nothing is asked for.
    """
    from dlcli.data import catalog, obtain

    info = catalog.describe(name, data_dir=data_dir)
    if info.embedded or info.folder is not None:
        _say(name, info.folder, [], f"{name} is here: {info.folder or 'embedded'}")
        return
    if name not in catalog.SOURCES:
        raise UsageError(
            f"{name} cannot be downloaded", why="its hash is not known", hint=info.how_to_get
        )
    folder = catalog.place_for(name, data_dir)
    files = []
    with obtain.alone(folder):
        for remote in catalog.SOURCES[name]:
            with output.Bar(remote.name, 0) as bar:
                obtain.get(remote, folder, bar.of)
            output.note(f"{remote.name}: its {remote.algorithm} is as published")
            files.append(remote.name)
    _say(name, folder, files, f"{name} is in {folder}")


def _say(name: str, folder: Path | None, files: list[str], text: str) -> None:
    if output.settings.json:
        output.document({"name": name, "folder": folder, "downloaded": files})
        return
    output.text(text)
