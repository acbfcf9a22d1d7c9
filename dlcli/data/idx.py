"""The IDX format of MNIST and its relatives: a magic number, the dimensions, then the bytes.

    0x00 0x00 type ndim | dim 0 … dim ndim-1, each a big-endian uint32 | the items, row-major

Only type 0x08 (uint8) occurs in published datasets, and only that is read. A file is plain or
gzipped; its content says which, not its name. The header is a claim: it is held against the
bytes that the file has, or that as many compressed bytes could ever expand to, before memory is
taken for it, and not one byte more than it promises is ever kept.
"""

import gzip
import math
import os
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np

from dlcli.data.dataset import ArraySplit
from dlcli.data.files import reading, size_of
from dlcli.errors import DataError

MAX_BYTES = 1 << 30  # of items in one file; the largest published relative has 547 MB
DEFLATE_RATIO = 1032  # no compressed byte can expand to more
CHUNK = 1 << 20
AGAIN = "copy or download it again"

STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
FILES = tuple(f"{stem}.gz" for stems in STEMS.values() for stem in stems)


def find(folder: Path, stem: str) -> Path | None:
    """The file called `stem` in `folder`, with or without .gz and with either spelling."""
    for name in (stem, stem.replace("-idx", ".idx")):
        for candidate in (folder / f"{name}.gz", folder / name):
            if os.path.isfile(candidate):
                return candidate
    return None


def missing(folder: Path) -> list[str]:
    """Those of the four files of an MNIST-like dataset that `folder` lacks."""
    return [f"{s}.gz" for stems in STEMS.values() for s in stems if find(folder, s) is None]


def read(path: Path, item_shape: tuple[int, ...]) -> np.ndarray:
    """The items of an IDX file: (n, *item_shape) uint8, n ≥ 1.

    DataError: not an IDX file of uint8, other dimensions than `item_shape`, fewer or more bytes
    than the header says, a damaged gzip stream, or an absurd size.
    """
    size = size_of(path, MAX_BYTES)
    with reading(path) as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _items(file, path, item_shape, size, exact=True)
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return _items(stream, path, item_shape, size * DEFLATE_RATIO, exact=False)
        except EOFError as error:
            why = "the gzip stream ends before its end marker"
            raise DataError(f"{path}: is truncated", why=why, hint=AGAIN) from error
        except (zlib.error, gzip.BadGzipFile) as error:
            why = f"the gzip stream is damaged: {error}"
            raise DataError(f"{path}: is damaged", why=why, hint=AGAIN) from error


def _items(
    stream: BufferedReader | gzip.GzipFile,
    path: Path,
    item_shape: tuple[int, ...],
    bound: int,
    exact: bool,
) -> np.ndarray:
    """Reads header and items. `bound`: the bytes that the stream has, or may have at most."""
    ndim = 1 + len(item_shape)
    header = stream.read(4 + 4 * ndim)
    if len(header) < 4 + 4 * ndim:
        why = f"an IDX header has {4 + 4 * ndim} bytes, the file holds {len(header)}"
        raise DataError(f"{path}: is truncated", why=why, hint=AGAIN)
    if header[:4] != bytes([0, 0, 8, ndim]):
        why = f"it starts with {header[:4].hex()}, not with 000008{ndim:02x}"
        raise DataError(f"{path}: is not an IDX file of {ndim} dimensions", why=why)
    dims = tuple(int.from_bytes(header[4 + 4 * i : 8 + 4 * i], "big") for i in range(ndim))
    if dims[1:] != item_shape:
        why = f"its items are {_times(dims[1:])}, expected {_times(item_shape)}"
        raise DataError(f"{path}: holds something else", why=why)
    total = math.prod(dims)
    if total == 0:
        raise DataError(f"{path}: holds no items", hint=AGAIN)
    promise = f"the header promises {total:,} bytes"
    if total > MAX_BYTES:
        why = f"{promise}; at most {MAX_BYTES:,} are read"
        raise DataError(f"{path}: claims too much", why=why)
    left = bound - len(header)
    if total > left:
        what = "is truncated" if exact else "claims too much"
        why = f"{promise}, the file {'holds' if exact else 'can hold at most'} {max(left, 0):,}"
        raise DataError(f"{path}: {what}", why=why, hint=AGAIN)
    items, filled = np.empty(total, dtype=np.uint8), 0
    view = items.data
    while filled < total:
        count = stream.readinto(view[filled : filled + CHUNK])
        if not count:
            why = f"{promise}, the file holds {filled:,}"
            raise DataError(f"{path}: is truncated", why=why, hint=AGAIN)
        filled += count
    if stream.read(1):
        raise DataError(f"{path}: is too long", why=f"{promise}, the file holds more", hint=AGAIN)
    return items.reshape(dims)


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "single bytes"


def parts(folder: Path, shape: tuple[int, int, int], classes: int) -> dict[str, ArraySplit]:
    """The "train" and "test" part of an MNIST-like dataset of grey images.

    shape: (H, W, 1). classes: labels are below it. DataError: a file is missing or damaged, the
    numbers of images and labels differ, or a label is out of range.
    """
    if absent := missing(folder):
        raise DataError(f"{folder}: lacks {', '.join(absent)}")
    found = {}
    for part, stems in STEMS.items():
        paths = [path for stem in stems if (path := find(folder, stem))]
        labels = read(paths[1], ())
        images = read(paths[0], shape[:2])
        if len(labels) != len(images):
            why = f"{len(labels):,} labels, {len(images):,} images in {paths[0].name}"
            raise DataError(f"{paths[1]}: does not belong to the images", why=why)
        if labels.max() >= classes:
            at = int(np.argmax(labels >= classes))
            why = f"label {labels[at]} at position {at}; there are {classes} classes"
            raise DataError(f"{paths[1]}: a label is out of range", why=why)
        found[part] = ArraySplit(part, images.reshape(-1, *shape), labels)
    return found
