"""Convolutions, NHWC and NTC, with activation and max-pooling fused where they follow."""

from __future__ import annotations

from ..engine.tape import apply
from ..engine.tensor import Tensor
from . import init
from .functional import Padding, Pair, activation, pair, resolve_padding, split_epilogue
from .module import Module, Parameter


class Conv2d(Module):
    """act(conv(x) + b), then max-pooling with windows of `pool` if given:

    x (N, H, W, in) → (N, P, Q, out).

    weight (out, R, S, in / groups), bias (out,). padding: "valid", "same", n, (v, h) or ((top,
    bottom), (left, right)).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: Padding = "valid",
        dilation: int | Pair = 1,
        groups: int = 1,
        act: str | None = None,
        pool: int | Pair | None = None,
        bias: bool = True,
        fill: init.Fill | None = None,
    ) -> None:
        if inputs % groups or outputs % groups:
            raise ValueError(f"{inputs} and {outputs} channels do not split into {groups} groups")
        self.kernel, self.stride, self.dilation = pair(kernel), pair(stride), pair(dilation)
        self.weight = Parameter(
            (outputs, *self.kernel, inputs // groups), fill or init.fan_in_uniform
        )
        self.bias = Parameter((outputs,), init.zeros) if bias else None
        self.padding, self.groups, self.act = padding, groups, act
        self.pool = None if pool is None else pair(pool)

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        fused, after = split_epilogue(self.act)
        size = (x.shape[1], x.shape[2])
        attrs = {
            "stride": self.stride,
            "padding": resolve_padding(self.padding, size, self.kernel, self.stride, self.dilation),
            "dilation": self.dilation,
            "groups": self.groups,
            "act": fused,
        }
        if self.pool is None:
            return activation(apply("conv2d", x, self.weight, self.bias, **attrs), after)
        if after is None:
            return apply("conv2d_pool", x, self.weight, self.bias, **attrs, pool=self.pool)
        z = activation(apply("conv2d", x, self.weight, self.bias, **attrs), after)
        return apply("maxpool2d", z, window=self.pool, stride=self.pool, padding=((0, 0), (0, 0)))


class Conv1d(Module):
    """act(conv(x) + b) along time: x (N, T, in) → (N, T', out); weight (out, S, in / groups).

    A 2-D convolution of height 1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: str | int | Pair = "valid",
        dilation: int = 1,
        groups: int = 1,
        act: str | None = None,
        bias: bool = True,
    ) -> None:
        if inputs % groups or outputs % groups:
            raise ValueError(f"{inputs} and {outputs} channels do not split into {groups} groups")
        self.weight = Parameter((outputs, kernel, inputs // groups), init.fan_in_uniform)
        self.bias = Parameter((outputs,), init.zeros) if bias else None
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.dilation, self.groups, self.act = dilation, groups, act

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        n, t, c = x.shape
        fused, after = split_epilogue(self.act)
        sides = self.padding
        if isinstance(sides, int):
            sides = (sides, sides)
        along = (
            resolve_padding(sides, (1, t), (1, self.kernel), (1, self.stride), (1, self.dilation))[
                1
            ]
            if isinstance(sides, str)
            else sides
        )
        out = apply(
            "conv2d",
            x.reshape(n, 1, t, c),
            self.weight.reshape(self.weight.shape[0], 1, self.kernel, -1),
            self.bias,
            stride=(1, self.stride),
            padding=((0, 0), along),
            dilation=(1, self.dilation),
            groups=self.groups,
            act=fused,
        )
        return activation(out, after).reshape(n, out.shape[2], out.shape[3])
