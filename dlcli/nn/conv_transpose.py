"""Transposed convolution: the gradient of a convolution for its input, run forwards."""

from __future__ import annotations

from ..engine.tape import apply
from ..engine.tensor import Tensor
from . import init
from .functional import Padding, Pair, activation, pair, resolve_padding, split_epilogue
from .module import Module, Parameter


class ConvTranspose2d(Module):
    """act(convᵀ(x) + b): (N, H, W, in) → (N, P, Q, out), P = (H − 1) · stride + kernel − padding
    before and after + output_padding.

    It is the transpose of the convolution (N, P, Q, out) → (N, H, W, in) with these attributes,
    whose filters are the weight, (in, R, S, out); bias (out,). padding: n, (v, h) or ((top,
    bottom), (left, right)); output_padding, below the stride, chooses among the P from which a
    stride above 1 leads to one H. ValueError if it is not, and for padding by a word.
    """

    output_axis = -1  # of the weight

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        padding: Padding = 0,
        output_padding: int | Pair = 0,
        bias: bool = True,
        act: str | None = None,
        fill: init.Fill | None = None,
    ) -> None:
        if isinstance(padding, str):
            raise ValueError(f"padding is a number of pixels, not {padding!r}")
        self.kernel, self.stride = pair(kernel), pair(stride)
        self.padding = resolve_padding(padding, (1, 1), self.kernel, self.stride)
        self.output_padding = pair(output_padding)
        if not all(0 <= o < s for o, s in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(
                f"output_padding {self.output_padding} is not below the stride {self.stride}"
            )
        self.weight = Parameter((inputs, *self.kernel, outputs), fill or init.fan_in_uniform)
        self.bias = Parameter((outputs,), init.zeros) if bias else None
        self.act = act

    def size(self, height: int, width: int) -> Pair:
        """(P, Q) of the output for an input of height × width."""
        p, q = (
            (n - 1) * s + r - sum(both) + more
            for n, s, r, both, more in zip(
                (height, width),
                self.stride,
                self.kernel,
                self.padding,
                self.output_padding,
                strict=True,
            )
        )
        return p, q

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        out = apply(
            "conv2d_dgrad",
            x,
            self.weight,
            size=self.size(x.shape[1], x.shape[2]),
            stride=self.stride,
            padding=self.padding,
            dilation=(1, 1),
            groups=1,
        )
        if self.bias is None:
            return activation(out, self.act)
        fused, after = split_epilogue(self.act)
        return activation(apply("bias_act", out, self.bias, act=fused), after)
