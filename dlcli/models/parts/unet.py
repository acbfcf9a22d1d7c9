"""U-Net (Ronneberger et al. 2015) as pix2pix has it: pictures to pictures of the same size, halved
to a few pixels and doubled again, with what was there at each size handed across.
"""

from __future__ import annotations

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor

LEAKY = "leaky_relu_0.2"
WIDEST = 8  # times the width: of the smallest maps
SMALLEST = 2  # pixels a side, of which no half is taken


def halvings(height: int, width: int, most: int) -> int:
    """How often pictures of height × width can be halved, at most `most` times, without a rest and
    to no less than SMALLEST pixels.
    """
    times = 0
    while times < most and not (height | width) & 1 and min(height, width) >= 2 * SMALLEST:
        height, width, times = height // 2, width // 2, times + 1
    return times


class Double(nn.Module):
    """(N, H, W, in) → (N, 2 H, 2 W, out): transposed convolution, relu, dropout."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, act="relu")
        self.dropout = nn.Dropout(dropout)

    def forward(self, *inputs: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(self.conv(*inputs))
        return dropped


class UNet(nn.Module):
    """Pictures (N, H, W, inputs) to (N, H, W, outputs) in [−1, 1]. times: of halving, at least 1;
    H and W divide by 2^times. width: channels of the largest map within, doubled with every
    halving up to WIDEST times.
    """

    def __init__(self, inputs: int, outputs: int, times: int, width: int, dropout: float) -> None:
        wide = [width * min(1 << i, WIDEST) for i in range(times)]
        before = [inputs, *wide]
        self.down = [
            nn.Conv2d(before[i], wide[i], 4, stride=2, padding=1, act=LEAKY) for i in range(times)
        ]
        self.up = []
        for number, i in enumerate(reversed(range(1, times))):
            across = 1 if number == 0 else 2  # times what comes from below: with the other side's
            self.up.append(Double(across * wide[i], wide[i - 1], dropout))
        self.last = nn.ConvTranspose2d(
            wide[0] * (1 if times == 1 else 2), outputs, 4, stride=2, padding=1, act="tanh"
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        across = []
        for conv in self.down:
            x = conv(x)
            across.append(x)
        across.pop()
        for double in self.up:
            x = apply("concat", double(x), across.pop())
        return self.last(x)
