"""Of which kind what lies at a path is: samples of images, sounds, texts and so on."""

from __future__ import annotations

import csv
import os
from collections import Counter
from itertools import islice
from pathlib import Path

from dlcli.data import audio, image
from dlcli.data.text_lines import lines
from dlcli.errors import DataError

MOST_FILES = 20_000  # of a folder that are looked at, by name alone
COLUMNS = {  # of a table's header, in small letters: the first that are all there
    "text": {"text", "label"},
    "ratings": {"user", "item", "rating"},
}
TABLES = {".csv": ",", ".tsv": "\t"}


def kind(path: Path) -> str:
    """The name of the kind, as `dlcli.data.kind.of` takes it. DataError: there is no such path, or
    the file is empty.
    """
    if not os.path.lexists(path):
        raise DataError(f"{path}: there is no such file or folder")
    if os.path.isdir(path):
        return _of_folder(path)
    separator = TABLES.get(path.suffix.lower())
    if separator is None:
        return "characters"
    first = next(lines(path), (1, ""))[1]
    header = {name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])}
    return next((name for name, wanted in COLUMNS.items() if wanted <= header), "series")


def _of_folder(path: Path) -> str:
    """Sounds where more names end so than as images."""
    files = (name for _, _, names in os.walk(path) for name in names)
    endings = Counter(Path(name).suffix.lower() for name in islice(files, MOST_FILES))
    sounds = sum(endings[suffix] for suffix in audio.SUFFIXES)
    images = sum(endings[suffix] for suffix in image.SUFFIXES)
    return "audio" if sounds > images else "image"
