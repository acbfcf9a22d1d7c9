"""Many pictures as one: a grid, as a PNG, and a film of grids, as a GIF."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

GAP = 2  # pixels between pictures
SMALL = 64  # pixels: pictures with a shorter side are enlarged, by whole factors
WHITE = 255


def grid(pictures: np.ndarray | Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """(n, H, W, C) uint8 in rows of `columns`, by default about as many as rows: one (·, ·, C)."""
    stack = np.asarray(pictures)
    n, height, width, channels = stack.shape
    across = columns or math.ceil(math.sqrt(n))
    down = -(-n // across)
    high, wide = height + GAP, width + GAP
    out = np.full((down * high - GAP, across * wide - GAP, channels), WHITE, np.uint8)
    for i, picture in enumerate(stack):
        top, left = i // across * high, i % across * wide
        out[top : top + height, left : left + width] = picture
    return out


def enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    """The picture with every pixel a square, where the shorter `side` of what it shows is small."""
    factor = max(1, SMALL // side)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _image(picture: np.ndarray):  # type: ignore[no-untyped-def]
    from PIL import Image

    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def png(picture: np.ndarray) -> bytes:
    """(H, W, C) uint8 as the bytes of a file."""
    file = io.BytesIO()
    _image(picture).save(file, "PNG", optimize=True)
    return file.getvalue()


def gif(pictures: Sequence[np.ndarray], seconds: float) -> bytes:
    """Pictures one after the other, for so long in all, the last one for longer; for ever again."""
    each = int(1000 * seconds / len(pictures))
    first, *others = [_image(picture) for picture in pictures]
    file = io.BytesIO()
    times = [each] * len(others) + [max(each, 2000)]
    first.save(file, "GIF", save_all=True, append_images=others, duration=times, loop=0)
    return file.getvalue()


def read(path: Path) -> np.ndarray:
    """What `png` wrote: (H, W, C) uint8."""
    from PIL import Image

    with Image.open(path, formats=("PNG",)) as image:
        return np.atleast_3d(np.array(image))
