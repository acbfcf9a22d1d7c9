"""What an image file is, without its pixels in full: format, size, mode, what is unusual about it,
a hash of its content, and a thumbnail by which images that look alike are found.

Every pixel is decoded, so that what is truncated shows; a JPEG at an eighth of its size where
that is enough, which reads all of the file in a fraction of the time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcli.data.files import reading, size_of
from dlcli.data.image import MAX_BYTES, ORIENTATION, SIDEWAYS, flat, is_transparent, opened

if TYPE_CHECKING:
    from PIL.Image import Image

THUMB = 16  # pixels a side
LEAST_SIDE = 32  # pixels: of smaller images too much looks alike, and only equal ones are found
CHUNK = 1 << 20  # bytes
GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}
SUFFIX_OF = {  # of a format's files, in small letters
    "PNG": {".png"},
    "JPEG": {".jpg", ".jpeg"},
    "BMP": {".bmp"},
    "GIF": {".gif"},
    "WEBP": {".webp"},
    "TIFF": {".tif", ".tiff"},
    "PPM": {".ppm", ".pgm"},
}


@dataclass(frozen=True)
class Facts:
    """format: as in image.FORMATS. height, width: in pixels, as a viewer shows the image. traits:
    of "grey", "CMYK", "16-bit", "alpha", "EXIF-rotated", "animated". misnamed: its name ends as
    those of another format. digest: of the file's bytes. thumb: (THUMB, THUMB) uint8, its luma;
    None of an image that is smaller than LEAST_SIDE.
    """

    format: str
    height: int
    width: int
    mode: str
    traits: tuple[str, ...]
    misnamed: bool
    digest: bytes
    thumb: np.ndarray | None


def examine(path: Path) -> Facts:
    """Looks at an image file. DataError: it cannot be read, as with `image.read_image`."""
    digest = content(path)

    def look(image: Image) -> Facts:
        kind, mode, traits = str(image.format), image.mode, tuple(_traits(image))
        width, height = image.size
        if image.getexif().get(ORIENTATION) in SIDEWAYS and kind != "TIFF":
            width, height = height, width
        image.draft("RGB" if mode != "L" else "L", (4 * THUMB, 4 * THUMB))
        thumb = _thumb(image)
        large = min(width, height) >= LEAST_SIDE
        misnamed = path.suffix.lower() not in SUFFIX_OF[kind]
        return Facts(kind, height, width, mode, traits, misnamed, digest, thumb if large else None)

    return opened(path, str(path), look)


def content(path: Path) -> bytes:
    """A hash of a file's bytes, 16 bytes long. DataError: it cannot be read, or is too large."""
    size_of(path, MAX_BYTES)
    made = hashlib.blake2b(digest_size=16)
    with reading(path) as file:
        while chunk := file.read(CHUNK):
            made.update(chunk)
    return made.digest()


def verify(path: Path) -> None:
    """DataError: the image cannot be decoded."""

    def decode(image: Image) -> None:
        image.draft(image.mode, (1, 1))
        image.load()
        flat(image)

    opened(path, str(path), decode)


def _traits(image: Image) -> list[str]:
    raw = str(image.tile[0][3]) if image.tile else ""
    rotated = image.getexif().get(ORIENTATION, 1) not in (0, 1)
    there = {
        "grey": image.mode in GREY,
        "CMYK": image.mode == "CMYK",
        "16-bit": image.mode.startswith("I") or ";16" in raw,
        "alpha": is_transparent(image),
        "EXIF-rotated": rotated,
        "animated": _animated(image),
    }
    return [name for name, is_so in there.items() if is_so]


def _animated(image: Any) -> bool:
    """Whether there is more than one frame or page; none but the first two are looked at."""
    return bool(getattr(image, "is_animated", False))


def _thumb(image: Image) -> np.ndarray:
    from PIL import Image as Images
    from PIL import ImageOps

    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    grey = flat(image).convert("L")
    return np.array(grey.resize((THUMB, THUMB), Images.Resampling.BOX, reducing_gap=2.0), np.uint8)
