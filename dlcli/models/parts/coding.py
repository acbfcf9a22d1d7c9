"""What models share that make codes of images and images of codes: one phase, and how far an image
is from what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, made_on_host
from dlcli.nn.noise import one_hot

KIND = "picture"


class Train:
    """The one phase: every parameter moves."""

    name = "train"

    def __init__(self, model: Coder) -> None:
        self.parameters: dict[str, Tensor] = dict(model.named_parameters())
        self.loss = model.loss


class Coder(nn.Module):
    """dims: numbers of a code. classes: how many there are to choose from; 0: it takes none."""

    dims: int
    classes = 0

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over a batch, and outputs for `measure`."""
        raise NotImplementedError

    def encode(self, x: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images (n, H, W, C) in [−1, 1], and where there are classes these, (n,), to codes
        (n, dims), of a distribution its mean. Without gradients.
        """
        raise NotImplementedError

    def decode(self, codes: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Codes (n, dims) and classes to images (n, H, W, C) in [−1, 1]. Without gradients."""
        raise NotImplementedError

    def phases(self) -> list[Any]:
        """One."""
        return [Train(self)]

    def labels(self, batch: Any) -> np.ndarray | None:
        """The classes of a batch's images, where the model takes them."""
        return batch.y if self.classes else None

    def paint(self, noise: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Images (n, H, W, C) float32 in [−1, 1] of noise (n, dims) from N(0, 1)."""
        return self.decode(noise, labels)

    def recode(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The codes of images (n, H, W, C) in [−1, 1], what becomes of the images by them, and the
        classes (n,) that the model takes them for, if it takes any.
        """
        codes = self.encode(x, None)
        return codes, self.decode(codes, None), None

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """Not in training, the sum of "squares": of the distance of an image from its
        reconstruction, as `apart`.
        """
        if self.training:
            return {}
        labels = self.labels(batch)
        made = self.decode(self.encode(batch.x, labels), labels)
        return {"squares": float(np.square(apart(batch.x, made)).sum())}


def apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The root of the mean squared difference of images (n, H, W, C) in [−1, 1], each from its
    counterpart, where black and white are 1 apart: (n,) float64.
    """
    differences = (x.astype(np.float64) - y).reshape(len(x), -1) / 2
    found: np.ndarray = np.sqrt(np.square(differences).mean(axis=1))
    return found


def with_class(x: Tensor, labels: np.ndarray | None, classes: int) -> Tensor:
    """(N, F), and where there are classes, one-hot ones of them: (N, F + classes)."""
    if labels is None:
        return x
    found: Tensor = apply("concat", x, made_on_host(_one_hot(classes, x.dtype), labels))
    return found


@cache
def _one_hot(classes: int, dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The same function each time, as a plan needs it."""
    return lambda labels: one_hot(labels, classes).astype(dtype)
