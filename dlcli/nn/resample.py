"""Images NHWC at other sizes without weights: upsampling, reflection padding."""

from __future__ import annotations

from ..engine.tape import apply
from ..engine.tensor import Tensor
from .functional import Padding, Pair, pair, resolve_padding
from .module import Module

MODES = ("nearest", "bilinear")


class Upsample(Module):
    """(N, H, W, C) → (N, H · f, W · f, C): pixels repeated, or blended by their distance.

    factor: a whole number, or (vertical, horizontal). mode: "nearest" or "bilinear", which is
    PyTorch's with align_corners=False. ValueError for another mode.
    """

    def __init__(self, factor: int | Pair = 2, mode: str = "nearest") -> None:
        if mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
        self.factor, self.mode = pair(factor), mode

    def forward(self, *inputs: Tensor) -> Tensor:
        return apply(f"upsample_{self.mode}", inputs[0], factor=self.factor)


class ReflectionPad2d(Module):
    """The image continued by its mirror image; the outermost pixel is the axis.

    padding: n, (v, h) or ((top, bottom), (left, right)), each below the extent that it mirrors;
    ValueError, when it is called, where it is not.
    """

    def __init__(self, padding: Padding) -> None:
        if isinstance(padding, str):
            raise ValueError(f"padding is a number of pixels, not {padding!r}")
        self.padding = resolve_padding(padding, (1, 1), (1, 1), (1, 1))

    def forward(self, *inputs: Tensor) -> Tensor:
        return apply("pad_reflect", inputs[0], padding=self.padding)
