"""PatchGAN (Isola et al. 2017): a discriminator that gives a score to every patch of a picture."""

from __future__ import annotations

from dlcli import nn
from dlcli.models.parts.adversarial import small_normal

LEAKY = "leaky_relu_0.2"
WIDEST = 8  # times the width


def patches(inputs: int, width: int, strided: int) -> nn.Module:
    """Pictures (N, H, W, inputs) to scores (N, P, Q, 1), P = H / 2^strided − 2.

    As many 4×4 convolutions of stride 2, then two of stride 1. A score sees 70 × 70 pixels with
    three strided convolutions, 34 × 34 with two, 16 × 16 with one.
    """
    wide = [width * min(1 << i, WIDEST) for i in range(strided + 1)]
    first = nn.Conv2d(inputs, width, 4, stride=2, padding=1, act=LEAKY, fill=small_normal)
    layers: list[nn.Module] = [first]
    for i in range(1, strided + 1):
        stride = 2 if i < strided else 1
        conv = nn.Conv2d(
            wide[i - 1], wide[i], 4, stride=stride, padding=1, bias=False, fill=small_normal
        )
        layers += [conv, nn.InstanceNorm(wide[i], affine=True), nn.Activation(LEAKY)]
    return nn.Sequential(*layers, nn.Conv2d(wide[-1], 1, 4, padding=1, fill=small_normal))
