"""Pooling layers, NHWC."""

from __future__ import annotations

from typing import Any

from ..engine.tape import apply
from ..engine.tensor import Tensor
from .functional import Padding, Pair, pair, resolve_padding
from .module import Module


class Pool2d(Module):
    """What the windowed pools share: window, stride (the window's extent unless given), padding.

    padding: as in Conv2d, each side less than the window. ValueError, when it is called, if a
    window does not fit the map.
    """

    def __init__(
        self, window: int | Pair, stride: int | Pair | None = None, padding: Padding = "valid"
    ) -> None:
        self.window = pair(window)
        self.stride = self.window if stride is None else pair(stride)
        self.padding = padding

    def geometry(self, x: Tensor) -> dict[str, Any]:
        """The attributes of the op for a map x (N, H, W, C)."""
        size = (x.shape[1], x.shape[2])
        padding = resolve_padding(self.padding, size, self.window, self.stride)
        return {"window": self.window, "stride": self.stride, "padding": padding}


class MaxPool2d(Pool2d):
    """The maximum of each window: (N, H, W, C) → (N, P, Q, C)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return apply("maxpool2d", x, **self.geometry(x))


class AvgPool2d(Pool2d):
    """The mean of each window; zeros of the padding count unless `count_include_pad` is False."""

    def __init__(
        self,
        window: int | Pair,
        stride: int | Pair | None = None,
        padding: Padding = "valid",
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(window, stride, padding)
        self.count_include_pad = count_include_pad

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return apply("avgpool2d", x, **self.geometry(x), count_include_pad=self.count_include_pad)


class GlobalAvgPool2d(Module):
    """The mean over the map: (N, H, W, C) → (N, C)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return apply("global_avgpool", inputs[0])


class GlobalMaxPool2d(Module):
    """The maximum over the map: (N, H, W, C) → (N, C)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return apply("max", inputs[0], axes=(1, 2), keepdims=False)
