"""What in an image makes a classifier say a class: saliency, Grad-CAM and occlusion.

A model here is a `Module` from images (N, H, W, C) float to logits (N, classes), in evaluation
mode. A class is told by its logit, the score before softmax: probabilities of a sure model hardly
move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import tape
from ..engine.tensor import Tensor, on_device
from .conv import Conv2d
from .module import Module, observe

BATCH = 64  # images at a time: those of which a part is covered


def _score(logits: Tensor, number: int) -> Tensor:
    """The logit of a class: (1, K) of which the sum is it, and can be differentiated."""
    one = np.zeros(logits.shape, logits.dtype)
    one[:, number] = 1
    found: Tensor = tape.apply("mul", logits, on_device(one))
    return found


def saliency(model: Any, x: np.ndarray, number: int) -> np.ndarray:
    """|d logit / d x| of the class, the largest over the channels: x (H, W, C) → (H, W).

    Simonyan et al. 2014, "Deep inside convolutional networks". x: as the model takes it, hence the
    gradient is that by normalised pixels.
    """
    image = on_device(np.ascontiguousarray(x[None]), requires_grad=True)
    try:
        (slope,) = tape.grad(_score(model.forward(image), number), [image])
    finally:
        tape.clear()
    found: np.ndarray = np.abs(slope.numpy()[0]).max(axis=-1)
    return found


def has_convolution(model: Any) -> bool:
    """Whether there is a convolution of images, which Grad-CAM looks at."""
    return isinstance(model, Module) and any(isinstance(m, Conv2d) for _, m in model.modules())


def grad_cam(model: Any, x: np.ndarray, number: int) -> np.ndarray:
    """Where the last convolution sees what speaks for the class: x (H, W, C) → (P, Q), ≥ 0.

    Selvaraju et al. 2017, "Grad-CAM": relu(Σ_k a_k · A_k), A_k the maps that the convolution gives
    (after its activation, and its pooling where that is one with it), a_k the mean of
    d logit / d A_k over the map. The map is coarse: its P × Q cells cover the image.

    ValueError: the model has no convolution, or none that the class depends on.
    """
    maps: list[Tensor] = []

    def keep(module: Module, out: Tensor) -> None:
        if isinstance(module, Conv2d):
            maps.append(out)

    image = on_device(np.ascontiguousarray(x[None]), requires_grad=True)
    try:
        with observe(keep):
            logits = model.forward(image)
        if not maps:
            raise ValueError("the model has no convolution")
        (slope,) = tape.grad(_score(logits, number), [maps[-1]])
    finally:
        tape.clear()
    weights = slope.numpy()[0].mean(axis=(0, 1))
    found: np.ndarray = np.maximum(maps[-1].numpy()[0] @ weights, 0)
    return found


@dataclass(frozen=True)
class Patches:
    """The squares that are covered one at a time: side and stride in pixels, and where each begins,
    tops and lefts (m,).
    """

    side: int
    stride: int
    tops: np.ndarray
    lefts: np.ndarray

    @classmethod
    def of(cls, height: int, width: int, side: int | None = None) -> Patches:
        """Squares that overlap by half and cover an image to its edges. side: by default a seventh
        of the image's shorter one, at least 2 pixels where it has them.
        """
        shorter = min(height, width)
        side = min(side or max(2, round(shorter / 7)), shorter)
        stride = max(1, side // 2)
        rows, columns = (_starts(length, side, stride) for length in (height, width))
        tops, lefts = np.meshgrid(rows, columns, indexing="ij")
        return cls(side, stride, tops.ravel(), lefts.ravel())


def _starts(length: int, side: int, stride: int) -> list[int]:
    found = list(range(0, length - side + 1, stride))
    return found if found[-1] == length - side else [*found, length - side]


def occlusion(
    model: Any,
    x: np.ndarray,
    number: int,
    *,
    side: int | None = None,
    on_batch: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """How much of the class's probability is lost where a part of the image is covered: x (H, W, C)
    → (H, W); below 0 where covering helps.

    Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks". A patch of `side`
    pixels is set to 0, the mean of the training images where x is normalised; a pixel's value is
    the mean over the patches that cover it. on_batch(done, total) is called in patches.
    """
    height, width, _ = x.shape
    patches = Patches.of(height, width, side)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    corners = list(zip(patches.tops.tolist(), patches.lefts.tolist(), strict=True))
    before = _probability(model, x[None], number)[0]
    for start in range(0, len(corners), BATCH):
        some = corners[start : start + BATCH]
        covered = np.repeat(x[None], len(some), axis=0)
        for image, (top, left) in zip(covered, some, strict=True):
            image[top : top + patches.side, left : left + patches.side] = 0
        lost = before - _probability(model, covered, number)
        for loss, (top, left) in zip(lost, some, strict=True):
            where = np.s_[top : top + patches.side, left : left + patches.side]
            total[where] += loss
            count[where] += 1
        if on_batch:
            on_batch(start + len(some), len(corners))
    return total / count


def _probability(model: Any, x: np.ndarray, number: int) -> np.ndarray:
    """Of the class, by softmax in float64: (N, H, W, C) → (N,)."""
    with tape.no_grad():
        logits = model.forward(on_device(np.ascontiguousarray(x))).numpy().astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = powers[:, number] / powers.sum(axis=1)
    return found
