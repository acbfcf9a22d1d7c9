"""Functions of tensors that layers and models share: geometry, activations, reductions."""

from __future__ import annotations

from dlcli_kernels.elementwise.activations import EPILOGUES

from ..engine.tape import apply
from ..engine.tensor import Tensor

Pair = tuple[int, int]
Padding = str | int | Pair | tuple[Pair, Pair]


def pair(value: int | Pair) -> Pair:
    """3 → (3, 3)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def resolve_padding(
    padding: Padding, size: Pair, window: Pair, stride: Pair, dilation: Pair = (1, 1)
) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) for "valid", "same", n, (v, h) or itself.

    "same" is TensorFlow's: the output has ⌈size / stride⌉ elements, and the odd one of the padding
    goes after. ValueError for another word.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        both = []
        for n, w, s, d in zip(size, window, stride, dilation, strict=True):
            total = max((-(-n // s) - 1) * s + d * (w - 1) + 1 - n, 0)
            both.append((total // 2, total - total // 2))
        return both[0], both[1]
    if isinstance(padding, str):
        raise ValueError(f"padding is 'same', 'valid' or numbers, not {padding!r}")
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    first, second = padding
    if isinstance(first, int) and isinstance(second, int):
        return (first, first), (second, second)
    return padding  # type: ignore[return-value]


def split_epilogue(act: str | None) -> tuple[str | None, str | None]:
    """(what a product or convolution fuses, what runs after it), one of them None.

    An activation whose gradient needs its input cannot be fused.
    """
    return (act, None) if act is None or act in EPILOGUES else (None, act)


def activation(x: Tensor, act: str | None) -> Tensor:
    """act(x), or x where it is None."""
    return x if act is None else apply("act", x, act=act)


def mean(x: Tensor) -> Tensor:
    """The mean of all elements: a scalar."""
    return apply("mean", x, axes=tuple(range(len(x.shape))), keepdims=False)


def total(x: Tensor) -> Tensor:
    """The sum of all elements: a scalar."""
    return apply("sum", x, axes=tuple(range(len(x.shape))), keepdims=False)
