"""FSDD: spoken digits, recorded by six speakers (Jackson et al., Free Spoken Digit Dataset).

A folder `recordings` with files that are named digit_speaker_index.wav: 8,000 samples per second,
mono, 16 bits. By its published split, recordings with an index of 0 to 4 are the test part.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from dlcli.data.audio import WaveStore
from dlcli.data.files import reason
from dlcli.errors import DataError

DESCRIPTION = "spoken digits, six speakers"
KIND = "audio"
CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
RATE = 8_000
SHAPE = (8_000, RATE)  # of 1,000 recordings, 6 are longer than a second
COUNTS = {"train": 2_700, "test": 300}
RECIPE: dict[str, object] = {"epochs": 20, "batch_size": 32, "lr": 2e-3}
HOMEPAGE = "https://github.com/Jakobovski/free-spoken-digit-dataset"
FOLDERS = ("fsdd", "free-spoken-digit-dataset")
RECORDINGS = "recordings"
FILES = (f"{RECORDINGS}/",)
NAME = re.compile(r"(\d)_([^_]+)_(\d{1,6})\.wav")
TEST_BELOW = 5  # indices


def missing(folder: Path) -> list[str]:
    """The names of the folders that `folder` lacks."""
    return [] if (folder / RECORDINGS).is_dir() else list(FILES)


def load_parts(folder: Path | None) -> dict[str, WaveStore]:
    """The published parts, digit by digit. DataError: a recording that cannot be read, or none."""
    assert folder is not None
    root = folder / RECORDINGS
    try:
        names = os.listdir(root)
    except OSError as error:
        raise DataError(f"{root}: cannot be listed", why=reason(error)) from error
    found: dict[str, list[tuple[int, str, int, str]]] = {"train": [], "test": []}
    for name in names:
        if match := NAME.fullmatch(name):
            digit, speaker, index = match.groups()
            part = "test" if int(index) < TEST_BELOW else "train"
            found[part].append((int(digit), speaker, int(index), name))
    parts = {}
    for part, recordings in found.items():
        if not recordings:
            why = "they are named digit_speaker_index.wav"
            raise DataError(f"{root}: holds no recordings of the {part} part", why=why)
        recordings.sort()
        labels = np.array([recording[0] for recording in recordings])
        paths = [recording[3] for recording in recordings]
        parts[part] = WaveStore(root, paths, labels, RATE, None)
    return parts
