"""A grid of pictures with a line of text below each: a contact sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlcli.data.mosaic import SMALL, WHITE

GAP = 6  # pixels between pictures
FONT = 12  # pixels
LINE = FONT + 5  # pixels of a line of text
LEAST_WIDE = 64  # pixels of a column, so that a label has room


def draw(pictures: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Pictures (H, W, C) uint8 of one shape, C 1 or 3, in rows: one (·, ·, 3) uint8.

    Small ones are enlarged by a whole factor, so that their pixels stay squares. labels: one for
    each, cut where they are longer than the column; no line is left for them if all are empty.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = pictures[0].shape[:2]
    factor = max(1, SMALL // min(height, width))
    height, width = height * factor, width * factor
    wide, line = max(width, LEAST_WIDE), LINE if any(labels) else 0
    across = _columns(len(pictures), wide, height + line)
    down = -(-len(pictures) // across)
    size = (across * (wide + GAP) + GAP, down * (height + line + GAP) + GAP)
    sheet = Image.new("RGB", size, (WHITE,) * 3)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left = GAP + i % across * (wide + GAP)
        top = GAP + i // across * (height + line + GAP)
        large = picture.repeat(factor, axis=0).repeat(factor, axis=1)
        tile = Image.fromarray(large[..., 0] if large.shape[-1] == 1 else large)
        sheet.paste(tile, (left + (wide - width) // 2, top))
        if label:
            text = _fitting(label, wide, font)
            middle = (left + wide / 2, top + height + line / 2)
            pen.text(middle, text, fill=(40, 40, 40), font=font, anchor="mm")
    return np.array(sheet)


def _columns(n: int, wide: int, high: int) -> int:
    """How many tiles of so many pixels stand in a row: about a square, its last row rather full."""
    ideal = math.sqrt(n * high / wide)
    near = range(max(1, round(0.8 * ideal)), math.ceil(1.25 * ideal) + 1)
    return min(near, key=lambda across: (-n % across, abs(across - ideal)))


def _fitting(text: str, width: int, font: object) -> str:
    """The text on one line, its end replaced by "..." where it is wider than so many pixels."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:  # type: ignore[attr-defined]
        return text
    while text and font.getlength(f"{text}...") > width:  # type: ignore[attr-defined]
        text = text[:-1]
    return f"{text}..."
