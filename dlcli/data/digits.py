"""digits: 1,797 handwritten digits of 8×8 grey pixels (UCI, Alpaydin & Kaynak 1998).

They come with scikit-learn, so they need no download: what one tries first. Pixels count 0 to 16
and are scaled to 0 … 255. There is no published test part here; a stratified fifth is it, always
the same one, whatever the seed of the other splits, so that nobody ever trains on it.
"""

from pathlib import Path

import numpy as np

from dlcli.data.dataset import ArraySplit
from dlcli.data.split import stratified

DESCRIPTION = "handwritten digits, tiny and grey; needs no files"
CLASSES = [str(digit) for digit in range(10)]
SHAPE = (8, 8, 1)
COUNTS = {"train": 1_438, "test": 359}
RECIPE: dict[str, object] = {"epochs": 30, "batch_size": 32}
HOMEPAGE = "https://archive.ics.uci.edu/dataset/80"
FOLDERS: tuple[str, ...] = ()  # none: it is embedded
FILES: tuple[str, ...] = ()
TEST_ONE_IN = 5


def missing(folder: Path) -> list[str]:
    """Nothing is ever missing."""
    return []


def scale(counts: np.ndarray) -> np.ndarray:
    """Counts 0 … 16 to uint8 0 … 255, rounded half up."""
    return ((counts.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)


def load_parts(folder: Path | None) -> dict[str, ArraySplit]:
    """The "train" and "test" part; `folder` is ignored."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = scale(data.images)[..., None]
    kept, test = stratified(data.target, TEST_ONE_IN, stream="digits/test")
    return {
        "train": ArraySplit("train", pixels[kept], data.target[kept]),
        "test": ArraySplit("test", pixels[test], data.target[test]),
    }
