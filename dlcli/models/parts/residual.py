"""The residual generator of CycleGAN (Zhu et al. 2017, after Johnson et al. 2016): pictures to
pictures of the same size, through blocks that each add something to what they are given.
"""

from __future__ import annotations

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor
from dlcli.models.parts.adversarial import small_normal

HALVINGS = 2


def convolved(inputs: int, outputs: int, kernel: int, act: str | None = None) -> list[nn.Module]:
    """A convolution that keeps the size: what lies beyond the edges is a mirror image."""
    conv = nn.Conv2d(inputs, outputs, kernel, act=act, fill=small_normal)
    return [nn.ReflectionPad2d(kernel // 2), conv]


def normed(width: int, act: str | None = "relu") -> list[nn.Module]:
    """Instance norm and an activation."""
    return [nn.InstanceNorm(width), *([nn.Activation(act)] if act else [])]


class Block(nn.Module):
    """x + what two convolutions make of it, (N, H, W, width)."""

    def __init__(self, width: int) -> None:
        twice = [*convolved(width, width, 3), *normed(width), *convolved(width, width, 3)]
        self.inner = nn.Sequential(*twice, *normed(width, None))

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        sum_: Tensor = apply("add", x, self.inner(x))
        return sum_


def residual(inputs: int, outputs: int, width: int, blocks: int) -> nn.Module:
    """Pictures (N, H, W, inputs) to (N, H, W, outputs) in [−1, 1]; H and W divide by 4."""
    layers: list[nn.Module] = [*convolved(inputs, width, 7), *normed(width)]
    for _ in range(HALVINGS):
        conv = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, fill=small_normal)
        width *= 2
        layers += [conv, *normed(width)]
    layers += [Block(width) for _ in range(blocks)]
    for _ in range(HALVINGS):
        up = nn.ConvTranspose2d(
            width, width // 2, 3, stride=2, padding=1, output_padding=1, fill=small_normal
        )
        width //= 2
        layers += [up, *normed(width)]
    return nn.Sequential(*layers, *convolved(width, outputs, 7, act="tanh"))
