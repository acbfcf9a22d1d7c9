"""Small datasets, written as their publishers write them, for the tests of the data layer."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

IDX_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def _idx_bytes(items: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, items.ndim]) + b"".join(n.to_bytes(4, "big") for n in items.shape)
    return header + items.astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def idx_bytes() -> Callable[[np.ndarray], bytes]:
    """An array as the bytes of an IDX file."""
    return _idx_bytes


@pytest.fixture
def mnist_like() -> Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Writes the four files of an MNIST-like dataset into a folder; returns what is in them."""

    def write(folder: Path, n: int = 60, zipped: bool = True, dotted: bool = False):
        folder.mkdir(parents=True)
        random = np.random.default_rng(n)
        parts = {}
        for part, count in (("train", n), ("test", n // 3)):
            images = random.integers(0, 256, (count, 28, 28)).astype(np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            parts[part] = images, labels
            for name, items in zip(IDX_NAMES[part], parts[part], strict=True):
                name = name.replace("-idx", ".idx") if dotted else name
                content = _idx_bytes(items)
                path = folder / (f"{name}.gz" if zipped else name)
                path.write_bytes(gzip.compress(content) if zipped else content)
        return parts

    return write


@pytest.fixture(scope="session")
def cifar_records() -> Callable[[int], np.ndarray]:
    """n records of CIFAR-10 with labels 0, 1, … 9, 0, …: (n, 3073) uint8."""

    def make(n: int) -> np.ndarray:
        records = np.random.default_rng(n).integers(0, 256, (n, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(n) % 10
        return records

    return make


@pytest.fixture
def image_folder() -> Callable[..., Path]:
    """Writes `count` PNG images for each class below a folder, of one size or of those given."""

    def write(root: Path, classes: dict[str, int], sizes: tuple[tuple[int, int], ...] = ((6, 5),)):
        random = np.random.default_rng(0)
        for name, count in classes.items():
            (root / name).mkdir(parents=True)
            for i in range(count):
                height, width = sizes[i % len(sizes)]
                pixels = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / name / f"{i:03}.png")
        return root

    return write


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither $DLCLI_DATA nor the user's cache holds anything; the cache's folder."""
    monkeypatch.delenv("DLCLI_DATA", raising=False)
    cache = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: cache / name)
    return cache / "dlcli" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder of published datasets."""
    given = os.environ.get("DLCLI_DATA")
    if not given:
        pytest.skip("DLCLI_DATA is not set: no published datasets here")
    return Path(given)
