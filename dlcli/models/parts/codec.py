"""Networks from images to features and from codes back to images, in two forms: dense layers, for
small images, and convolutions, which halve the sides and double them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from dlcli import nn
from dlcli.errors import UsageError
from dlcli.models.parts.layers import Unflatten

Shape = tuple[int, int, int]
SMALL = 7  # pixels: a map of this side is not halved any more


@dataclass(frozen=True)
class Sizes:
    """form: dense, two layers each way, or conv. code: its numbers. hidden: units of the dense
    layers, one each way where there are convolutions. width: channels of the largest map of the
    convolutions, doubled with every halving.
    """

    form: str = "conv"
    code: int = 16
    hidden: int = 256
    width: int = 32


@dataclass(frozen=True)
class Codec:
    """encoder: images (N, H, W, C) to features (N, units). decoder: codes to values (N, H, W, C) of
    any size, which something else brings into the range of pixels.
    """

    encoder: nn.Module
    units: int
    decoder: nn.Module


def dense(sizes: Sizes, shape: Shape, codes: int) -> Codec:
    """Two layers each way."""
    pixels, hidden = prod(shape), sizes.hidden
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, hidden, act="relu"), nn.Linear(hidden, hidden, act="relu")
    )
    decoder = nn.Sequential(
        nn.Linear(codes, hidden, act="relu"),
        nn.Linear(hidden, hidden, act="relu"),
        nn.Linear(hidden, pixels),
        Unflatten(*shape),
    )
    return Codec(encoder, hidden, decoder)


def conv(sizes: Sizes, shape: Shape, codes: int) -> Codec:
    """Halvings by convolutions of stride 2, a dense layer, and the same back. An odd side s becomes
    (s + 1) / 2 by filters of 3 instead of 4, which lead back to s.
    """
    height, width, inputs = shape
    down: list[nn.Module] = []
    up: list[nn.Module] = []
    outputs = sizes.width
    while max(height, width) > SMALL or not down:
        kernel = (4 - height % 2, 4 - width % 2)
        down.append(nn.Conv2d(inputs, outputs, kernel, stride=2, padding=1, act="relu"))
        act = "relu" if up else None
        up.append(nn.ConvTranspose2d(outputs, inputs, kernel, stride=2, padding=1, act=act))
        height, width, inputs, outputs = -(-height // 2), -(-width // 2), outputs, 2 * outputs
    units = height * width * inputs
    encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(units, sizes.hidden, act="relu"))
    decoder = nn.Sequential(
        nn.Linear(codes, sizes.hidden, act="relu"),
        nn.Linear(sizes.hidden, units, act="relu"),
        Unflatten(height, width, inputs),
        *reversed(up),
    )
    return Codec(encoder, sizes.hidden, decoder)


FORMS = {"dense": dense, "conv": conv}


def build(model: str, sizes: Sizes, shape: Shape, codes: int) -> Codec:
    """The networks for images (H, W, C) = shape and decoders' inputs (N, codes). UsageError: for
    sizes that make none.
    """
    if sizes.form not in FORMS:
        why = f"there is {', '.join(FORMS)}"
        raise UsageError(f"{model}: there is no form '{sizes.form}'", why=why)
    if min(sizes.code, sizes.hidden, sizes.width) < 1:
        why = "code, hidden and width are 1 or more"
        raise UsageError(f"{model}: its settings make no network", why=why)
    return FORMS[sizes.form](sizes, shape, codes)
