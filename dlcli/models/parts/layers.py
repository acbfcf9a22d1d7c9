"""What models of images put between others."""

from __future__ import annotations

from dlcli.engine.tensor import Tensor
from dlcli.nn.module import Module


class Unflatten(Module):
    """(N, H · W · C) → (N, H, W, C): a view."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.shape = (height, width, channels)

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].reshape(-1, *self.shape)
