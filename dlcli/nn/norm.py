"""Normalisation layers."""

from __future__ import annotations

import numpy as np

from ..engine.tape import apply, no_grad
from ..engine.tensor import Tensor
from . import init
from .module import Module, Parameter, Statistic


class BatchNorm(Module):
    """(x − mean) / √(var + eps) · weight + bias per channel, over every axis but the last (Ioffe
    and Szegedy 2015).

    In training the batch's statistics are used and the running ones follow them by `momentum`,
    with the unbiased variance, as in PyTorch. Without track_running_stats there are none, and the
    batch's are always used: for a discriminator, whose batches are either real or generated. With
    frozen weights the running statistics are used, and kept, in training too: they are a part of
    what is frozen.
    """

    def __init__(
        self,
        channels: int,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        self.weight = Parameter((channels,), init.ones) if affine else None
        self.bias = Parameter((channels,), init.zeros) if affine else None
        self.tracks = track_running_stats
        if self.tracks:
            self.running_mean = Statistic(np.zeros(channels, np.float32))
            self.running_var = Statistic(np.ones(channels, np.float32))
        self.eps, self.momentum = eps, momentum

    @property
    def frozen(self) -> bool:
        """Whether it has weights and none of them is trained."""
        own = [p for p in (self.weight, self.bias) if p is not None]
        return bool(own) and all(p.frozen for p in own)

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        if self.tracks and (self.frozen or not self.training):
            return apply(
                "batchnorm_inference",
                x,
                self.weight,
                self.bias,
                self.running_mean,
                self.running_var,
                eps=self.eps,
            )
        out, mean, var = apply("batchnorm", x, self.weight, self.bias, eps=self.eps)
        if not self.tracks:
            return out
        n = x.size // max(x.shape[-1], 1)
        with no_grad():
            apply("update_running", self.running_mean, mean, momentum=self.momentum, correction=1.0)
            unbiased = n / (n - 1) if n > 1 else 1.0
            apply(
                "update_running", self.running_var, var, momentum=self.momentum, correction=unbiased
            )
        return out


class LayerNorm(Module):
    """(x − mean) / √(var + eps) · weight + bias over the last axis (Ba et al. 2016)."""

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        self.weight = Parameter((features,), init.ones) if affine else None
        self.bias = Parameter((features,), init.zeros) if affine else None
        self.eps = eps

    def forward(self, *inputs: Tensor) -> Tensor:
        return apply("layernorm", inputs[0], self.weight, self.bias, eps=self.eps)


class InstanceNorm(Module):
    """(x − mean) / √(var + eps) · weight + bias per image and channel, x (N, …, C) (Ulyanov et al.
    2016). The same in training and evaluation; without weight and bias unless `affine`.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, affine: bool = False) -> None:
        self.weight = Parameter((channels,), init.ones) if affine else None
        self.bias = Parameter((channels,), init.zeros) if affine else None
        self.eps = eps

    def forward(self, *inputs: Tensor) -> Tensor:
        return apply("instancenorm", inputs[0], self.weight, self.bias, eps=self.eps)
