"""Pictures beside what becomes of them: in rows of what is given, what is made, and the truth or,
where it is not known, what is made of that on the way back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli.data import mosaic
from dlcli.data.pixels import to_pixels
from dlcli.train.evaluate import inference
from dlcli.train.gallery import Film
from dlcli.train.likeness import evenly

SHOWN = 8  # triples
ACROSS = 2  # in a row


def paint(model: Any, x: np.ndarray, way: str) -> np.ndarray:
    """Pictures (n, H, W, C) float32 made of others, in evaluation mode."""
    with inference(model):
        made: np.ndarray = model.paint(np.ascontiguousarray(x), way)
    return made


def triples(model: Any, encode: Any, split: Any) -> np.ndarray:
    """(n, 3, H, W, C) uint8 of some of a part's pictures, evenly spread: of each way that the model
    knows in turn.
    """
    ways = model.ways
    each = SHOWN // len(ways)
    columns = []
    for way, (given, wanted) in ways.items():
        rows = evenly(len(split.sides[given]), each)
        x = split.sides[given].samples(rows)
        made = paint(model, encode(x), way)
        if split.paired:
            last = split.sides[wanted].samples(rows)
        else:
            back = next(name for name, ends in ways.items() if ends == (wanted, given))
            last = to_pixels(paint(model, made, back))
        columns.append(np.stack([x, to_pixels(made), last], axis=1))
    n = min(len(column) for column in columns)
    found: np.ndarray = np.stack([column[:n] for column in columns], axis=1)
    return found.reshape(-1, *found.shape[2:])


def grid(found: np.ndarray) -> np.ndarray:
    """Triples in rows, as one picture (H, W, C) uint8."""
    pictures = found.reshape(-1, *found.shape[2:])
    return mosaic.enlarged(mosaic.grid(pictures, 3 * ACROSS), min(pictures.shape[1:3]))


class Rehearsal(Film):
    """An observer that draws triples of the validation part."""

    def __init__(self, run: Any, model: Any, dataset: Any) -> None:
        super().__init__(run)
        self.model, self.encode = model, dataset.kind.fit(dataset)
        self.split = dataset.splits["val"]

    def picture(self) -> np.ndarray:
        return grid(triples(self.model, self.encode, self.split))
