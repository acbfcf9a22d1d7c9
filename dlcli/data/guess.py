"""Of which kind what lies at a path is: samples of images, sounds, texts and so on."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from dlcli.data import audio, image
from dlcli.data import kind as kinds
from dlcli.data.text_lines import lines
from dlcli.errors import DataError

MOST_FILES = 20_000  # of a folder that are looked at, by name alone
COLUMNS = [  # of a table's header, in small letters: the first that are all there
    ("text", {"text", "label"}),
    ("ratings", {"user", "item", "rating"}),
    ("table", {"label"}),
    ("table", {"class"}),
    ("table", {"target"}),
]
TABLES = {".csv": ",", ".tsv": "\t"}


def kind(path: Path, options: Collection[str] = ()) -> str:
    """The name of the kind, as `dlcli.data.kind.of` takes it.

    options: keys of [data] that were given; where only one kind has them all, it is that one.
    DataError: there is no such path, or the file is empty or a sample by itself.
    """
    able = [name for name in kinds.names() if set(options) <= kinds.of(name).options.keys()]
    return able[0] if len(able) == 1 else _of_content(path)


def _of_content(path: Path) -> str:
    if not os.path.lexists(path):
        raise DataError(f"{path}: there is no such file or folder")
    if os.path.isdir(path):
        return _of_folder(path)
    suffix = path.suffix.lower()
    if suffix in image.SUFFIXES | audio.SUFFIXES:
        hint = f"dlcli data check {path.parent}"
        raise DataError(f"{path}: is one sample", why="a dataset is the folder of all", hint=hint)
    separator = TABLES.get(suffix)
    if separator is None:
        return "characters"
    first = next(lines(path), (1, ""))[1]
    header = {name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])}
    known = ((name, wanted) for name, wanted in COLUMNS if name in kinds.names())
    return next((name for name, wanted in known if wanted <= header), "series")


def _of_folder(path: Path) -> str:
    """Sounds where more names end so than as images."""
    files = (name for _, _, names in os.walk(path) for name in names)
    endings = Counter(Path(name).suffix.lower() for name in islice(files, MOST_FILES))
    sounds = sum(endings[suffix] for suffix in audio.SUFFIXES)
    images = sum(endings[suffix] for suffix in image.SUFFIXES)
    return "audio" if sounds > images else "image"
