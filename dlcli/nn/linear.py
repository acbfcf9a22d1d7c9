"""Dense layers."""

from __future__ import annotations

from ..engine.tape import apply
from ..engine.tensor import Tensor
from . import init
from .functional import activation, split_epilogue
from .module import Module, Parameter


class Linear(Module):
    """y = act(x · Wᵀ + b): x (…, in) → (…, out); weight (out, in), bias (out,)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        act: str | None = None,
        bias: bool = True,
        fill: init.Fill | None = None,
    ) -> None:
        self.weight = Parameter((outputs, inputs), fill or init.fan_in_uniform)
        self.bias = Parameter((outputs,), init.zeros) if bias else None
        self.act = act

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        fused, after = split_epilogue(self.act)
        rows = x if len(x.shape) == 2 else x.reshape(-1, x.shape[-1])
        out = apply("matmul", rows, self.weight, self.bias, ta=False, tb=True, act=fused)
        out = activation(out, after)
        return out if len(x.shape) == 2 else out.reshape(*x.shape[:-1], self.weight.shape[0])


class Flatten(Module):
    """(N, …) → (N, everything else): a view."""

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        size = 1
        for extent in x.shape[1:]:
            size *= extent
        return x.reshape(x.shape[0], size)


class Activation(Module):
    """An activation by name, where it is no epilogue of the layer before."""

    def __init__(self, act: str) -> None:
        self.act = act

    def forward(self, *inputs: Tensor) -> Tensor:
        return activation(inputs[0], self.act)
