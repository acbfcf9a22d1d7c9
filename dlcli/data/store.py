"""The images of a folder, decoded when they are asked for and kept in memory up to a bound.

All parts of a dataset share one store. If all its images fit in `CACHE_BYTES`, each is decoded
once; otherwise each is decoded every time. The images of one request are decoded by threads:
Pillow releases the interpreter's lock.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dlcli.data.image import probe, read_image
from dlcli.errors import DataError

CACHE_BYTES = 1 << 30
DEFAULT_SIDE = 128  # pixels, at most, where the user does not say
THREADS = min(8, os.cpu_count() or 1)


class ImageStore:
    """Labelled image files as a split.

    root: the folder. paths: n names below it, with "/". sizes: n sizes in bytes. labels: (n,)
    int64. shape: the (H, W, C) that every image becomes. cache_bytes: the bound of the cache.
    """

    def __init__(
        self,
        root: Path,
        paths: list[str],
        sizes: list[int],
        labels: np.ndarray,
        shape: tuple[int, int, int],
        *,
        cache_bytes: int | None = None,
    ) -> None:
        self.root, self.paths, self.sizes, self.shape = root, paths, sizes, shape
        self.labels = labels
        bound = CACHE_BYTES if cache_bytes is None else cache_bytes
        fits = len(paths) * int(np.prod(shape)) <= bound
        self._cache = np.empty((len(paths), *shape), dtype=np.uint8) if fits else None
        self._ready = np.zeros(len(paths), dtype=bool)

    lengths = None  # all images have one shape

    def __len__(self) -> int:
        return len(self.paths)

    def id(self, index: int) -> str:
        """The path of the file."""
        return str(self.root / self.paths[index])

    def samples(self, indices: np.ndarray) -> np.ndarray:
        """The images at `indices`: (B, H, W, C) uint8. DataError: a file is damaged or gone."""
        indices = np.asarray(indices, dtype=np.int64)
        if self._cache is None:
            out = np.empty((len(indices), *self.shape), dtype=np.uint8)
            self._decode(indices, out, np.arange(len(indices)))
            return out
        absent = np.unique(indices[~self._ready[indices]])
        self._decode(absent, self._cache, absent)
        self._ready[absent] = True  # after the pixels: another thread may look at any time
        return np.take(self._cache, indices, axis=0)

    def read(self, row: int) -> np.ndarray:
        """Decodes an image, of `shape`."""
        return read_image(self.root / self.paths[row], self.shape)

    def _decode(self, rows: np.ndarray, out: np.ndarray, places: np.ndarray) -> None:
        """Decodes the images `rows` into `out` at `places`."""

        def one(row: int, place: int) -> None:
            out[place] = self.read(row)

        if len(rows) < 2 or THREADS < 2:
            for row, place in zip(rows, places, strict=True):
                one(row, place)
            return
        with ThreadPoolExecutor(min(THREADS, len(rows)), "dlcli-decode") as pool:
            try:
                for _ in pool.map(one, rows.tolist(), places.tolist()):
                    pass
            except DataError:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def digest(self) -> bytes:
        """SHA-256 of the files' names below the root, their sizes and labels; not of the pixels."""
        h = hashlib.sha256(repr(self.shape).encode())
        for path, size, label in zip(self.paths, self.sizes, self.labels, strict=True):
            h.update(f"\n{label} {size} {path}".encode(errors="surrogateescape"))
        return h.digest()


def common_shape(paths: list[Path]) -> tuple[int, int]:
    """The (height, width) that suits all images, from their headers.

    Their own size if all are equal and no side is above `DEFAULT_SIDE`; else a square of the
    median over all sides, at most `DEFAULT_SIDE`. DataError: a file is no image.
    """
    with ThreadPoolExecutor(THREADS, "dlcli-probe") as pool:
        futures = [pool.submit(probe, path) for path in paths]
        try:
            shapes = [future.result() for future in futures]
        except DataError:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if len(set(shapes)) == 1 and max(shapes[0]) <= DEFAULT_SIDE:
        return shapes[0]
    side = min(DEFAULT_SIDE, max(1, int(np.median(np.array(shapes)))))
    return side, side
