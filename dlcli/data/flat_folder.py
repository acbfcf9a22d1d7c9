"""Files in a folder without classes, `FOLDER/<file>`: what a model that makes such files learns of.

Hidden files and files with other endings than those asked for are no samples.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcli.data.class_folder import LEAST, Found, Sought, complete, entries, is_folder, sized
from dlcli.errors import DataError


def is_flat(root: Path) -> bool:
    """Whether files lie in it and no folders."""
    if not root.is_dir():
        return False
    there = entries(root)
    return bool(there) and not any(is_folder(entry, root) for entry in there)


def find(root: Path, sought: Sought, *, seed: int = 0) -> Found:
    """The files, all of one class that is called as they are. seed: of the parts, a tenth each for
    validation and test. DataError: fewer than three.
    """
    found = [f for entry in entries(root) for f in sized(root, root / entry.name, entry, sought)]
    if len(found) < LEAST:
        n = len(found)
        raise DataError(
            f"{root}: has {n or 'no'} {sought.one if n == 1 else sought.many}",
            why=f"at least {LEAST} are needed",
            hint=f"{sought.many} end in {', '.join(sorted(sought.suffixes))}",
        )
    labels = np.zeros(len(found), np.int64)
    rows = complete({"train": np.arange(len(found))}, labels, seed)
    paths, sizes = zip(*found, strict=True)
    return Found(list(paths), list(sizes), labels, [sought.one], rows)
