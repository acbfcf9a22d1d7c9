"""English sentences with French translations, from the Tatoeba project (tatoeba.org), as the Anki
project publishes them: `english TAB french TAB attribution`, short sentences first.

An English sentence has several lines where it has several translations. There are no published
parts: they are cut by the English side, see `pair_split`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcli.data import pair_table
from dlcli.data.dataset import Dataset

DESCRIPTION = "short English sentences and their French translations"
KIND = "pair"
CLASSES: list[str] = []
SHAPE = pair_table.SHAPE
COUNTS = {"pairs": 5_000}
RECIPE: dict[str, object] = {"epochs": 45, **pair_table.RECIPE}
HOMEPAGE = "https://www.manythings.org/anki/"
FOLDERS = ("tatoeba-eng-fra", "fra-eng")
FILES = ("eng-fra.txt",)


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def load(folder: Path | None, seed: int, options: Mapping[str, Any]) -> Dataset:
    """The file, cut into parts. DataError: a line that is no pair."""
    assert folder is not None
    return pair_table.load(folder / FILES[0], seed=seed, options=options, recipe=RECIPE)
