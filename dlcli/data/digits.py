"""digits: 1,797 handwritten digits of 8×8 grey pixels (UCI, Alpaydin & Kaynak 1998).

They stand in digits.npz beside this file (CC BY 4.0; the 1,797 of the published test part, as
scikit-learn has them), so they need no download: what one tries first. Pixels count 0 to 16 and are
scaled to 0 … 255. A stratified fifth is the test part here, always the same one, whatever the seed
of the other splits, so that nobody ever trains on it.
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
    with np.load(Path(__file__).with_suffix(".npz")) as kept:
        pixels, labels = scale(kept["images"])[..., None], kept["labels"].astype(np.int64)
    rest, test = stratified(labels, TEST_ONE_IN, stream="digits/test")
    return {
        "train": ArraySplit("train", pixels[rest], labels[rest]),
        "test": ArraySplit("test", pixels[test], labels[test]),
    }
