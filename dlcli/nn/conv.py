"""Convolutions of images NHWC and sequences NTC, fused with what follows where that is possible."""

from __future__ import annotations

from ..engine.tape import apply
from ..engine.tensor import Tensor
from . import init
from .functional import Padding, Pair, activation, pair, resolve_padding, split_epilogue
from .module import Module, Parameter


def check_groups(inputs: int, outputs: int, groups: int) -> None:
    """ValueError unless the channels split into as many groups."""
    if groups < 1 or inputs % groups or outputs % groups:
        raise ValueError(f"{inputs} and {outputs} channels do not split into {groups} groups")


class Conv2d(Module):
    """act(conv(x) + b): (N, H, W, in) → (N, P, Q, out), then max-pooling by windows of `pool`.

    weight (out, R, S, in / groups), bias (out,). padding: "valid", "same", n, (v, h) or ((top,
    bottom), (left, right)). ValueError if the groups do not fit the channels and, when it is
    called, if a filter or a pooling window does not fit the map.
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
        check_groups(inputs, outputs, groups)
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

    A 2-D convolution of height 1. padding: "valid", "same", n or (before, after).
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
        check_groups(inputs, outputs, groups)
        self.weight = Parameter((outputs, kernel, inputs // groups), init.fan_in_uniform)
        self.bias = Parameter((outputs,), init.zeros) if bias else None
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.dilation, self.groups, self.act = dilation, groups, act

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        n, t, c = x.shape
        fused, after = split_epilogue(self.act)
        kernel, stride, dilation = (1, self.kernel), (1, self.stride), (1, self.dilation)
        along = self.padding
        if isinstance(along, str):
            along = resolve_padding(along, (1, t), kernel, stride, dilation)[1]
        out = apply(
            "conv2d",
            x.reshape(n, 1, t, c),
            self.weight.reshape(self.weight.shape[0], *kernel, self.weight.shape[2]),
            self.bias,
            stride=stride,
            padding=((0, 0), pair(along)),
            dilation=dilation,
            groups=self.groups,
            act=fused,
        )
        return activation(out, after).reshape(n, out.shape[2], out.shape[3])
