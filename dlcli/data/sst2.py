"""SST-2: sentences of film reviews, negative or positive (Socher et al. 2013).

Three files without a header, a sentence a line: its text, a tab, its label 0 or 1. Nothing is
quoted. `dev.tsv` is the validation part.
"""

from pathlib import Path

import numpy as np

from dlcli.data.text import TextSplit
from dlcli.data.text_lines import lines
from dlcli.errors import DataError

DESCRIPTION = "sentences of film reviews, negative or positive"
KIND = "text"
CLASSES = ["negative", "positive"]
SHAPE = (64, 25_000)  # words of a text at most; ids of the vocabulary at most
COUNTS = {"train": 6_920, "val": 872, "test": 1_821}
RECIPE: dict[str, object] = {"epochs": 5, "batch_size": 32, "lr": 1e-3}
HOMEPAGE = "https://github.com/clairett/pytorch-sentiment-classification"
FOLDERS = ("sst2", "SST-2")
PARTS = {"train": "train.tsv", "val": "dev.tsv", "test": "test.tsv"}
FILES = tuple(PARTS.values())


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def load_parts(folder: Path | None) -> dict[str, TextSplit]:
    """The published parts. DataError: a line that is not a text, a tab and a label."""
    assert folder is not None
    return {part: _read(part, folder / name) for part, name in PARTS.items()}


def _read(part: str, path: Path) -> TextSplit:
    texts, labels = [], []
    for number, line in lines(path):
        text, tab, label = line.rpartition("\t")
        if not tab or label not in ("0", "1"):
            why = "a line is a sentence, a tab and 0 or 1"
            raise DataError(f"{path}:{number}: is no sentence with its label", why=why)
        texts.append(text)
        labels.append(int(label))
    return TextSplit(part, texts, np.array(labels, np.int64))
