"""Gets the files of a published dataset into its folder: downloaded, held against their hashes,
and unpacked where they are an archive. One process at a time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dlcli.data import archive, download
from dlcli.data.download import Progress
from dlcli.data.sources import Remote
from dlcli.errors import OutputError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a lock beside `folder`, whose parents are made; another process waits for it.

    OutputError: the folder cannot be written.
    """
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"{folder}: cannot be written", why=why) from error


def get(remote: Remote, folder: Path, progress: Progress) -> None:
    """Downloads a file into `folder`, or unpacks it to be `folder`. Errors: as of `download.fetch`
    and `archive.unpack`.
    """
    if not remote.unpack:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            download.fetch(remote, folder / remote.name, progress=progress)
        finally:
            with suppress(OSError):
                folder.rmdir()  # only where nothing came
        return
    packed = folder.parent / remote.name
    download.fetch(remote, packed, progress=progress)
    stage = folder.with_name(f".{folder.name}.unpacked")
    shutil.rmtree(stage, ignore_errors=True)  # of one that was killed
    try:
        archive.unpack(packed, stage)
        inside = list(stage.iterdir())
        os.rename(inside[0] if len(inside) == 1 and inside[0].is_dir() else stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    os.unlink(packed)
