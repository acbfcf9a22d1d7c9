"""IMDb: whole film reviews, negative or positive (Maas et al. 2011).

The published archive, or the folder `aclImdb` that is in it: train/ and test/ with neg/ and pos/, a
file a review, named id_rating.txt. Reviews without a label (train/unsup) are passed over. The
archive is read without being unpacked.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dlcli.data.files import reading, size_of
from dlcli.data.text import TextSplit
from dlcli.errors import DataError

DESCRIPTION = "film reviews, negative or positive"
KIND = "text"
CLASSES = ["negative", "positive"]
SHAPE = (400, 25_000)  # words of a text at most; ids of the vocabulary at most
COUNTS = {"train": 25_000, "test": 25_000}
RECIPE: dict[str, object] = {"epochs": 5, "batch_size": 32, "lr": 1e-3}
HOMEPAGE = "https://ai.stanford.edu/~amaas/data/sentiment/"
FOLDERS = ("imdb", ".")
FILES = ("aclImdb_v1.tar.gz",)
MOST_ARCHIVE, MOST_UNPACKED = 1 << 30, 4 << 30  # bytes
MOST_REVIEW, MOST_REVIEWS = 1 << 20, 1 << 20  # bytes of a review; reviews
PLACES = ("aclImdb/train/neg", "aclImdb/train/pos", "aclImdb/test/neg", "aclImdb/test/pos")
REVIEW = re.compile(r"(?:\./)?aclImdb/(train|test)/(neg|pos)/((\d{1,9})_\d{1,2}\.txt)")
LABELS = {"neg": 0, "pos": 1}


def _archive(folder: Path) -> Path | None:
    """The archive: the whole, or a part of it in the same layout."""
    return min(folder.glob("aclImdb*.tar.gz"), default=None, key=lambda p: (p.name not in FILES, p))


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    there = _archive(folder) or all((folder / place).is_dir() for place in PLACES)
    return [] if there else list(FILES)


def load_parts(folder: Path | None) -> dict[str, TextSplit]:
    """The published parts, negative reviews first, in the order of their ids.

    DataError: the archive is damaged or absurdly large, or a part has no reviews.
    """
    assert folder is not None
    archive = _archive(folder)
    found: dict[str, list[tuple[int, int, str, bytes]]] = {"train": [], "test": []}
    for path, data in _unpacked(folder) if archive is None else _packed(archive):
        if match := REVIEW.fullmatch(path):
            part, word, file, number = match.groups()
            found[part].append((LABELS[word], int(number), f"{part}/{word}/{file}", data))
            if len(found[part]) > MOST_REVIEWS:
                raise DataError(f"{folder}: more than {MOST_REVIEWS:,} reviews")
    parts = {}
    for part, reviews in found.items():
        if not reviews:
            raise DataError(f"{archive or folder}: holds no reviews of the {part} part")
        reviews.sort(key=lambda review: review[:3])
        labels, _, ids, raw = zip(*reviews, strict=True)
        texts = [data.decode("utf-8", "replace") for data in raw]
        parts[part] = TextSplit(part, texts, np.array(labels, np.int64), list(ids))
    return parts


def _unpacked(folder: Path) -> Iterator[tuple[str, bytes]]:
    for place in PLACES:
        for path in (folder / place).iterdir():
            name = f"{place}/{path.name}"
            if REVIEW.fullmatch(name):
                size_of(path, MOST_REVIEW)
                with reading(path) as file:
                    yield name, file.read(MOST_REVIEW)


def _packed(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the reviews; whatever else is in the archive is not looked at."""
    size_of(archive, MOST_ARCHIVE)
    total = 0
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                total += member.size + tarfile.BLOCKSIZE
                tar.members = []  # it would keep every header
                if total > MOST_UNPACKED:
                    raise DataError(f"{archive}: unpacks to more than {MOST_UNPACKED:,} bytes")
                if not member.isfile() or not REVIEW.fullmatch(member.name):
                    continue
                if member.size > MOST_REVIEW:
                    why = f"at most {MOST_REVIEW:,} bytes are read"
                    raise DataError(f"{archive}: {member.name} is too large", why=why)
                file = tar.extractfile(member)
                assert file is not None  # a regular file has contents
                yield member.name, file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        hint = "download it again"
        raise DataError(f"{archive}: is damaged", why=str(error), hint=hint) from error
