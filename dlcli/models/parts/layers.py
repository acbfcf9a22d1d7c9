"""Small layers that models of images put between others."""

from __future__ import annotations

from dlcli.engine.tensor import Tensor
from dlcli.nn.functional import activation
from dlcli.nn.module import Module


class Unflatten(Module):
    """(N, H · W · C) → (N, H, W, C): a view."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.shape = (height, width, channels)

    def forward(self, *inputs: Tensor) -> Tensor:
        return inputs[0].reshape(-1, *self.shape)


class Act(Module):
    """An activation by itself."""

    def __init__(self, act: str) -> None:
        self.act = act

    def forward(self, *inputs: Tensor) -> Tensor:
        return activation(inputs[0], self.act)
