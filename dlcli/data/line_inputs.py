"""Inputs that are lines of files or of standard input, as they come: texts, sentences."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dlcli.data.kind import Input
from dlcli.errors import DataError

BATCH = 64  # lines at a time
MOST_SHOWN = 100  # characters of a text in a line of output
TOO_LONG = "the line is too long"
Make = Callable[[str, str], Input]  # of a name and a line
Read = Callable[[Path], Iterator[tuple[int, str]]]  # (line's number, text) of a file


def of_text(name: str, text: str, sample: Any) -> Input:
    """An input that is said with the beginning of its text."""
    shown = text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"
    return Input(name, sample, about={"text": shown})


def inputs(names: Iterable[str], make: Make, readers: Mapping[str, Read]) -> Iterator[list[Input]]:
    """`make` of each line of the files and of "-", in batches of BATCH.

    readers: of files by their suffixes, in small letters, where they are more than lines. The lines
    of a pipe come as soon as they are there, up to BATCH at a time.
    """
    batch: list[Input] = []
    for name in names:
        if name == "-":
            if batch:
                yield batch
            yield from _piped(make)
            batch = []
            continue
        for item in _file(name, make, readers):
            batch.append(item)
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _file(name: str, make: Make, readers: Mapping[str, Read]) -> Iterator[Input]:
    """The texts of a file; an error, in the place of what cannot be read, is the last of them."""
    from dlcli.data import text_lines

    path = Path(name)
    if os.path.isdir(path):
        yield Input(name, error="is a folder: texts are lines of files")
        return
    try:
        for number, text in readers.get(path.suffix.lower(), text_lines.lines)(path):
            yield make(f"{name}:{number}", text)
    except DataError as error:
        yield Input(name, error=": ".join(filter(None, (error.what, error.why))))


def _piped(make: Make) -> Iterator[list[Input]]:
    """The lines of standard input that are there, at least one, at most BATCH."""
    from dlcli.data import text_lines

    number = 0
    for lines in text_lines.arriving(sys.stdin.buffer):
        for at in range(0, len(lines), BATCH):
            batch = []
            for line in lines[at : at + BATCH]:
                number += 1
                name = f"-:{number}"
                batch.append(Input(name, error=TOO_LONG) if line is None else make(name, line))
            yield batch
