"""Fashion-MNIST: 28×28 grey images of clothes, in the files and sizes of MNIST (Zalando, 2017).

Four IDX files, gzipped or plain. Its published parts are "train" and "test".
"""

from pathlib import Path

from dlcli.data import idx
from dlcli.data.dataset import ArraySplit

DESCRIPTION = "pieces of clothing, grey"
CLASSES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
SHAPE = (28, 28, 1)
COUNTS = {"train": 60_000, "test": 10_000}
RECIPE: dict[str, object] = {"epochs": 5, "batch_size": 128}
HOMEPAGE = "https://github.com/zalandoresearch/fashion-mnist"
FOLDERS = ("fashion-mnist", "FashionMNIST/raw")  # ours, and the one that torchvision makes
FILES = idx.FILES


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return idx.missing(folder)


def load_parts(folder: Path | None) -> dict[str, ArraySplit]:
    """The published parts, as many records as the files hold. DataError: see `idx.parts`."""
    assert folder is not None
    return idx.parts(folder, SHAPE, len(CLASSES))
