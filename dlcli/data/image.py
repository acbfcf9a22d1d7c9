"""One image file, or the bytes of one, to a uint8 array of a given shape.

Refused before anything is decoded: what is not one of `FORMATS` by its content (a name proves
nothing), more than `MAX_PIXELS` by its header, more than `MAX_BYTES` of file. Of an animation or
a file of several pages the first frame counts. What becomes of each kind of image:

- EXIF orientation is applied, so that the image is as a viewer shows it;
- alpha or a transparent colour is laid over white;
- 1-bit, palette, CMYK and YCbCr become grey or RGB; 16-bit grey is scaled by 255 / 65535 and
  rounded; floating-point pixels are refused, since no one knows their range;
- colour to grey is ITU-R 601 luma (0.299 R + 0.587 G + 0.114 B), grey to colour is three equal
  channels;
- the size: the largest centred region with the wanted aspect is kept, the rest cropped, and it is
  resampled with Pillow's antialiased bilinear filter. An image of the right size is not touched.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np

from dlcli.data.files import reading, size_of
from dlcli.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
)
MAX_PIXELS = 64 << 20
MAX_BYTES = 256 << 20
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that swap the sides

# What Pillow's decoders raise for damaged files, found by damaging files
DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    Warning,
)


def read_image(
    source: Path | str | bytes, shape: tuple[int, int, int], *, name: str = "standard input"
) -> np.ndarray:
    """The image as (H, W, C) uint8 with C 1 (grey) or 3 (RGB).

    source: a path, or the bytes of a file, which messages then call `name`. DataError: the file
    cannot be read, is no image of a known format, is damaged or truncated, or is too large.
    """
    height, width, channels = shape
    if channels not in (1, 3) or height < 1 or width < 1:
        raise ValueError(f"shape {shape}")
    return opened(source, name, lambda image: _decode(image, height, width, channels))


def read_halves(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Two pictures side by side in one file: (2, H, W, C) uint8, the left one first, each as
    `read_image` gives a whole one. DataError as above, and for a width that has no half.
    """
    height, width, channels = shape

    def halves(image: "Image") -> np.ndarray:
        from PIL import ImageOps

        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        half, rest = divmod(image.width, 2)
        if rest or not half:
            raise DataError(
                f"{path}: is no pair side by side",
                why=f"{image.width} pixels across have no two halves",
            )
        both = [image.crop((x, 0, x + half, image.height)) for x in (0, half)]
        return np.stack([_decode(one, height, width, channels) for one in both])

    return opened(path, str(path), halves)


def probe(path: Path) -> tuple[int, int]:
    """(height, width) in pixels as a viewer shows it, from the header alone. DataError as above."""

    def sides(image: "Image") -> tuple[int, int]:
        if image.format == "TIFF":
            return image.size[::-1]  # Pillow turns this format by itself
        # Pillow would decode a whole PNG to look for EXIF data behind its pixels
        looks = image.format != "PNG" or "exif" in image.info
        turned = looks and image.getexif().get(ORIENTATION) in SIDEWAYS
        return image.size if turned else image.size[::-1]

    return opened(path, str(path), sides)


def opened(source: Path | str | bytes, name: str, use: Callable[["Image"], T]) -> T:
    """What `use` makes of the opened image; any complaint is a DataError naming the source."""
    if not isinstance(source, bytes):
        path = Path(source)
        size = size_of(path, MAX_BYTES)
        with reading(path) as file:
            return _guarded(_Bounded(file, size), str(path), use)
    if not source:
        raise DataError(f"{name}: is empty", hint="give it an image")
    if len(source) > MAX_BYTES:
        raise DataError(f"{name}: is too large", why=f"{len(source):,} bytes of image")
    return _guarded(io.BytesIO(source), name, use)


class _Bounded:
    """A file of which no more bytes are asked than it has left: Python takes memory for as many as
    are asked, and Pillow asks for what a chunk of a damaged file claims to hold, up to 4 GB.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self.file = file
        self.seek, self.tell = file.seek, file.tell
        self.readline, self.close = file.readline, file.close

    def read(self, n: int = -1) -> bytes:
        """At most n bytes, all that are left for a negative n."""
        left = max(self.size - self.file.tell(), 0)
        return self.file.read(left if n < 0 else min(n, left))


def _guarded(file: "BinaryIO | _Bounded", name: str, use: Callable[["Image"], T]) -> T:
    from PIL import Image, UnidentifiedImageError

    _refuse_bombs()
    bomb = (Image.DecompressionBombWarning, Image.DecompressionBombError)
    try:
        with Image.open(file, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                why = f"{image.width}×{image.height} pixels; at most {MAX_PIXELS:,} are decoded"
                raise DataError(f"{name}: the image is too large", why=why)
            return use(image)
    except bomb as error:
        why = f"more than the {MAX_PIXELS:,} pixels that are decoded at most"
        raise DataError(f"{name}: the image is too large", why=why) from error
    except UnidentifiedImageError as error:
        why = f"its content is none of {', '.join(FORMATS)}"
        raise DataError(f"{name}: not an image that can be read", why=why) from error
    except DAMAGE as error:
        why = str(error) or type(error).__name__
        raise DataError(f"{name}: the image is damaged or truncated", why=why) from error


@cache
def _refuse_bombs() -> None:
    """Pillow only warns of images between one and two times its own limit: an error instead."""
    from PIL import Image

    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _decode(image: "Image", height: int, width: int, channels: int) -> np.ndarray:
    from PIL import Image, ImageOps

    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    image = flat(image).convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.crop(_centre(image.width, image.height, width, height))
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(image, dtype=np.uint8).reshape(height, width, channels)


def flat(image: "Image") -> "Image":
    """Eight bits per channel and nothing transparent."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined range")
    if image.mode == "I" or image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("32-bit pixels outside 0 … 65535 have no defined range")
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))
    if is_transparent(image):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")


def is_transparent(image: "Image") -> bool:
    """Whether a pixel may be. ValueError: nobody can say, since the palette is missing."""
    if image.mode in ("P", "PA") and image.palette is None:
        raise ValueError("its pixels are places in a palette that is not there")
    return bool(image.has_transparency_data)


def _centre(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int, int, int]:
    """The largest centred box of the aspect to_width : to_height: left, top, right, bottom."""
    scale = min(width / to_width, height / to_height)
    across = min(width, max(1, round(to_width * scale)))
    down = min(height, max(1, round(to_height * scale)))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down
