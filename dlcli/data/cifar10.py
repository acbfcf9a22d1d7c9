"""CIFAR-10: 32×32 colour images of ten kinds of things (Krizhevsky 2009), its binary version.

A file is a run of records of 3,073 bytes: the label, then 1,024 bytes each of red, green and
blue, row by row. Any number of data_batch_*.bin files with any whole number of records is the
training part, test_batch.bin the test part. The Python version is a pickle, which could run code
when it is opened, and is never read.
"""

import os
import re
from pathlib import Path

import numpy as np

from dlcli.data.dataset import ArraySplit
from dlcli.data.files import reading, size_of
from dlcli.errors import DataError

DESCRIPTION = "animals and vehicles, colour"
CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
SHAPE = (32, 32, 3)
COUNTS = {"train": 50_000, "test": 10_000}
RECIPE: dict[str, object] = {"epochs": 10, "batch_size": 128}
HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
FOLDERS = ("cifar10/cifar-10-batches-bin", "cifar10", "cifar-10-batches-bin")
FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")

BATCH = r"data_batch_(\d{1,6})\.bin"
RECORD = 1 + 3 * 32 * 32
MAX_RECORDS = 1_000_000  # of a part, 3 GB


def batches(folder: Path) -> list[Path]:
    """The data_batch_*.bin files of `folder` in the order of their numbers."""
    try:
        present = os.listdir(folder)
    except OSError:  # not there, or not ours to see
        return []
    matches = [match for name in present if (match := re.fullmatch(BATCH, name))]
    return [folder / match[0] for match in sorted(matches, key=lambda match: int(match[1]))]


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks; one training batch is enough."""
    lacking = [] if batches(folder) else ["data_batch_*.bin"]
    return lacking if os.path.isfile(folder / "test_batch.bin") else [*lacking, "test_batch.bin"]


def read(part: str, paths: list[Path]) -> ArraySplit:
    """The records of all files of a part, in order.

    DataError: a file does not hold a whole number of records, a label is 10 or more, or there
    are more than a million records in all.
    """
    counts: list[int] = []
    for path in paths:
        size = size_of(path, (MAX_RECORDS - sum(counts)) * RECORD)
        if size % RECORD:
            why = f"{size:,} bytes are not a whole number of records of {RECORD:,}"
            raise DataError(f"{path}: is truncated", why=why, hint="unpack or download it again")
        counts.append(size // RECORD)
    pixels = np.empty((sum(counts), *SHAPE), dtype=np.uint8)
    labels = np.empty(sum(counts), dtype=np.uint8)
    first = 0
    for path, count in zip(paths, counts, strict=True):
        with reading(path) as file:
            records = np.fromfile(file, dtype=np.uint8, count=count * RECORD)
        if len(records) != count * RECORD:
            raise DataError(f"{path}: changed while it was read")
        records = records.reshape(count, RECORD)
        if records[:, 0].max() >= len(CLASSES):
            at = int(np.argmax(records[:, 0] >= len(CLASSES)))
            why = f"label {records[at, 0]} in record {at}; there are {len(CLASSES)} classes"
            raise DataError(f"{path}: a label is out of range", why=why)
        labels[first : first + count] = records[:, 0]
        planes = records[:, 1:].reshape(count, 3, 32, 32)
        pixels[first : first + count] = planes.transpose(0, 2, 3, 1)
        first += count
    return ArraySplit(part, pixels, labels)


def load_parts(folder: Path | None) -> dict[str, ArraySplit]:
    """The "train" and "test" part, as many records as the files hold. DataError: see `read`."""
    assert folder is not None
    if absent := missing(folder):
        raise DataError(f"{folder}: lacks {', '.join(absent)}")
    return {
        "train": read("train", batches(folder)),
        "test": read("test", [folder / "test_batch.bin"]),
    }
