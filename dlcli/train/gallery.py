"""Samples while a generator is trained: a grid after every epoch from the same codes, in
RUN/samples, and a film of them at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlcli.data import mosaic
from dlcli.data.codes import codes
from dlcli.data.pixels import to_pixels
from dlcli.train import atomic
from dlcli.train.evaluate import inference
from dlcli.train.protocol import Quiet

SHOWN = 64
SEED = 0  # of the codes: the same in every run, so that runs can be compared
SECONDS = 4.0  # of the film
MOST_FRAMES = 60


class Film(Quiet):
    """An observer that draws `picture()`, (H, W, C) uint8, after each epoch."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def picture(self) -> np.ndarray:
        raise NotImplementedError

    def on_epoch(self, record: dict[str, Any]) -> None:
        self._write(f"epoch-{record['epoch']:04}.png", mosaic.png(self.picture()))

    def on_stop(self, summary: Any) -> None:
        drawn = sorted((self.run.path / "samples").glob("epoch-*.png"))
        if len(drawn) > 1:
            step = -(-len(drawn) // MOST_FRAMES)
            frames = [mosaic.read(path) for path in [*drawn[:-1:step], drawn[-1]]]
            self._write("epochs.gif", mosaic.gif(frames, SECONDS))

    def _write(self, name: str, data: bytes) -> None:
        atomic.write_file(self.run.folder("samples") / name, data)


class Gallery(Film):
    """Samples of a model with `dims`, `classes` and `paint`. also(record): after each epoch."""

    def __init__(
        self,
        run: Any,
        model: Any,
        classes: Sequence[str],
        also: Callable[[dict[str, Any]], object],
    ) -> None:
        super().__init__(run)
        self.model, self.also = model, also
        self.noise = codes(SEED, range(SHOWN), model.dims)
        self.labels = np.arange(SHOWN) % max(len(classes), 1)

    def picture(self) -> np.ndarray:
        with inference(self.model):
            return _grid(to_pixels(self.model.paint(self.noise, self.labels)))

    def on_epoch(self, record: dict[str, Any]) -> None:
        super().on_epoch(record)
        self.also(record)


def _grid(pictures: np.ndarray) -> np.ndarray:
    return mosaic.enlarged(mosaic.grid(pictures), pictures.shape[1])
