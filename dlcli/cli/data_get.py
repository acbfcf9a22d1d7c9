"""dlcli data get: downloads a published dataset, against pinned hashes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import click

from dlcli.cli import output
from dlcli.cli.options import command, data_dir, output_options
from dlcli.errors import UsageError

MIB = 1 << 20


@command("get", examples=["dlcli data get digits", "dlcli data get --help"])
@click.argument("name")
@output_options
@data_dir
def main(name: str, data_dir: Path | None) -> None:
    """Downloads the files of a dataset to where the other commands find it: --data-dir, or
    $DLCLI_DATA, or the user's cache.

    Every file is held against a hash. A download that was stopped goes on where it was when the
    command is run again. With DLCLI_OFFLINE=1 nothing is asked for.
    """
    from dlcli.data import catalog

    info = catalog.describe(name, data_dir=data_dir)
    if info.embedded or info.folder is not None:
        where = "embedded" if info.embedded else str(info.folder)
        _say(name, info.folder, [], f"{name} is here: {where}")
        return
    from dlcli.data.sources import SOURCES

    if name not in SOURCES:
        raise UsageError(
            f"{name} cannot be downloaded", why="its hash is not known", hint=info.how_to_get
        )
    folder = catalog.place_for(name, data_dir)
    files = _get(SOURCES[name], folder)
    _say(name, folder, files, f"{name} is in {folder}")


def _get(remotes: Any, folder: Path) -> list[str]:
    """Downloads what is not there, one process at a time; the names of the files."""
    from filelock import FileLock

    from dlcli.data import archive, download
    from dlcli.train import atomic

    atomic.make_folder(folder.parent)
    with atomic.output_errors(folder), FileLock(folder.parent / f".{folder.name}.lock"):
        for remote in remotes:
            # an archive lies beside the folder that is made of it
            target = (folder.parent if remote.unpack else folder) / remote.name
            atomic.make_folder(target.parent)
            with output.Bar(remote.name, 0) as bar:
                download.fetch(remote, target, progress=bar.of)
            if remote.unpack:
                inside = folder.with_name(f".{folder.name}.unpacked")
                shutil.rmtree(inside, ignore_errors=True)  # of one that was killed
                archive.unpack(target, inside)
                _settle(inside, folder)
                os.unlink(target)
            size = f", {remote.size / MIB:,.1f} MiB" if remote.size else ""
            output.note(f"{remote.name}{size}: {remote.algorithm} as published")
    return [remote.name for remote in remotes]


def _settle(inside: Path, folder: Path) -> None:
    """The one folder that an archive holds becomes `folder`."""
    try:
        there = list(inside.iterdir())
        os.rename(there[0] if len(there) == 1 and there[0].is_dir() else inside, folder)
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def _say(name: str, folder: Path | None, files: list[str], text: str) -> None:
    if output.settings.json:
        output.document({"name": name, "folder": folder, "downloaded": files})
        return
    output.text(text)
