"""Inputs that are whole files, one for each sample: images, sounds; also in folders, or on standard
input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from dlcli.data.kind import Input
from dlcli.errors import DataError

BATCH = 64  # files at a time: large enough to be fast, small enough to stream
MOST_STDIN = 256 << 20  # bytes on standard input
Read = Callable[[str, bytes | None], Any]  # of a name, and of its contents where they are piped


def inputs(
    names: Iterable[str], read: Read, suffixes: Collection[str], many: str
) -> Iterator[list[Input]]:
    """The files, "-", and what is below folders, in batches of BATCH, in their order.

    read(name, data): the sample, of what is piped if `data` is given; a DataError becomes that
    input's error. suffixes: of the files in a folder, in small letters. many: what messages call
    them.
    """
    batch: list[Input] = []
    for item in _expand(names, suffixes, many):
        batch.append(item if isinstance(item, Input) else _read(item, read))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _expand(names: Iterable[str], suffixes: Collection[str], many: str) -> Iterator[str | Input]:
    """The files to read, "-", and what is below folders; a folder without any is bad."""
    for name in names:
        if name == "-" or not os.path.isdir(name):
            yield name
            continue
        found = False
        problems: list[OSError] = []
        for folder, below, files in os.walk(name, onerror=problems.append):
            below.sort()
            for file in sorted(files):
                if Path(file).suffix.lower() in suffixes:
                    found = True
                    yield os.path.join(folder, file)
        for problem in problems:
            yield Input(str(problem.filename), error=problem.strerror or str(problem))
        if not found and not problems:
            yield Input(name, error=f"the folder holds no {many}")


def _read(name: str, read: Read) -> Input:
    try:
        data = sys.stdin.buffer.read(MOST_STDIN + 1) if name == "-" else None
        if data is not None and len(data) > MOST_STDIN:
            raise DataError(f"{name}: is too large", why=f"at most {MOST_STDIN:,} bytes are read")
        return Input(name, read(name, data))
    except DataError as error:
        return Input(name, error=error_of(name, error))


def error_of(name: str, error: DataError) -> str:
    """An error as a line of output says it, without the name, which the line has."""
    return ": ".join(filter(None, (error.what.removeprefix(f"{name}: "), error.why)))
