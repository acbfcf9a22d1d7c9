"""tastes: made-up ratings whose truth is known. 300 users, 200 items, about 12,000 ratings.

    rating = 3.5 + user's bias + item's bias + Σₖ tasteₖ · wayₖ + noise,   k = 1 … 4

Biases and products are normal numbers with deviations 0.3, 0.3 and 0.8, the noise has 0.4: no model
can have a lower RMSE than that. Which pairs are rated is drawn evenly, with one item in four three
times as often as the others: how often an item is rated says nothing of how well. There is nothing
to download, so it is what one tries first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from dlcli_kernels.philox import Generator

from dlcli.data import ratings
from dlcli.data.dataset import Dataset

DESCRIPTION = "made-up ratings of known tastes; needs no files"
KIND = "ratings"
CLASSES: list[str] = []
USERS, ITEMS, FACTORS = 300, 200, 4
SHAPE = (USERS + 1, ITEMS + 1)
RECIPE = ratings.RECIPE
HOMEPAGE = ""
FOLDERS: tuple[str, ...] = ()
FILES: tuple[str, ...] = ()
MEAN, BIAS, TASTE, NOISE = 3.5, 0.3, 0.8, 0.4
COUNTS = {"train": 8_318, "val": 1_215, "test": 2_336}


def missing(folder: Path) -> list[str]:
    """Nothing is ever missing."""
    return []


def truth() -> np.ndarray:
    """The ratings without their noise: (users, items) float64."""
    users, items = _drawn("user", USERS, 1 + FACTORS), _drawn("item", ITEMS, 1 + FACTORS)
    product = users[:, 1:] @ items[:, 1:].T * (TASTE / FACTORS**0.5)
    return MEAN + BIAS * users[:, :1] + BIAS * items[:, 0] + product


def load(folder: Path | None, seed: int, options: Mapping[str, Any]) -> Dataset:
    """All ratings in three parts. seed: of the parts."""
    return replace(ratings.dataset(_ratings(), "tastes", "tastes", seed=seed), recipe=dict(RECIPE))


def _drawn(stream: str, *shape: int) -> np.ndarray:
    return np.asarray(Generator(0, f"tastes/{stream}").normal(*shape))


def _ratings() -> Iterator[tuple[str, str, float]]:
    noisy = truth() + NOISE * _drawn("noise", USERS, ITEMS)
    share = np.where(np.arange(ITEMS) % 4 == 0, 0.4, 0.4 / 3)
    known = np.asarray(Generator(0, "tastes/known").uniform(USERS, ITEMS)) < share
    for user, item in np.argwhere(known):
        yield f"user-{user + 1}", f"item-{item + 1}", round(float(noisy[user, item]), 2)
