"""Adult: who of 48,842 people earned more than 50,000 $ a year, from the US census of 1994 (Kohavi
1996).

Two tables without a header, with ", " between cells and ? where nothing is known. In the test part
the label ends with a dot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data import table, table_text
from dlcli.data.dataset import Dataset
from dlcli.data.table_text import Table

DESCRIPTION = "people of the US census 1994: who earns more than 50,000 $"
KIND = "table"
CLASSES = ["<=50K", ">50K"]
SHAPE = (108,)
COUNTS = {"train": 32_561, "test": 16_281}
RECIPE = table.recipe(29_305)
HOMEPAGE = "https://archive.ics.uci.edu/dataset/2/adult"
FOLDERS = ("tabular/adult", "adult")
FILES = ("adult-train.csv", "adult-test.csv")
COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation"),
    *("relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week"),
    *("native-country", "income"),
)


def missing(folder: Path) -> list[str]:
    """The names of the files that `folder` lacks."""
    return [name for name in FILES if not (folder / name).is_file()]


def load(folder: Path | None, seed: int, options: Mapping[str, Any]) -> Dataset:
    """The published test part; a tenth of the training part is the validation part."""
    assert folder is not None
    first, last = (table_text.read(folder / name, header=COLUMNS) for name in FILES)
    columns = {name: first.columns[name] + last.columns[name] for name in COLUMNS}
    columns["income"] = [label.rstrip(".") for label in columns["income"]]
    n = len(first.lines)
    return table.dataset(
        Table(str(folder), columns, first.lines + last.lines),
        "adult",
        seed=seed,
        options={"label": "income", **options},
        test=np.arange(n, n + len(last.lines)),
        ids=[f"{part.where}:{line}" for part in (first, last) for line in part.lines],
    )
