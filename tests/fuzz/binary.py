"""Readers of images, sounds, archives and published datasets, with good files of each."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np

from dlcli.errors import DataError


def idx() -> list[bytes]:
    images = bytes([0, 0, 8, 3]) + struct.pack(">3I", 3, 4, 5) + bytes(range(60))
    return [images, gzip.compress(images, mtime=0)]


def read_idx(path: Path, folder: Path) -> None:
    from dlcli.data import idx

    idx.read(path, (4, 5))


def cifar() -> list[bytes]:
    return [b"".join(bytes([k]) + bytes(3072) for k in (1, 9))]


def read_cifar(path: Path, folder: Path) -> None:
    from dlcli.data import cifar10

    cifar10.read("train", [path])


def wav() -> list[bytes]:
    found = []
    for channels, width in ((1, 2), (2, 1), (1, 3)):
        stream = io.BytesIO()
        with wave.open(stream, "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(8000)
            file.writeframes(bytes(range(120)))
        found.append(stream.getvalue())
    floats = np.linspace(-1, 1, 20, dtype="<f4").tobytes()
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 8000, 32000, 4, 32)
    data = head + struct.pack("<4sI", b"data", len(floats)) + floats
    return [*found, b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WAVE" + data]


def read_wav(path: Path, folder: Path) -> None:
    from dlcli.data import wav

    wav.probe(path)
    found = wav.read(path, 4000, 50)
    assert np.isfinite(found).all()


def images() -> list[bytes]:
    from PIL import Image

    colours = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3)
    found = []
    for form in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"):
        stream = io.BytesIO()
        Image.fromarray(colours).save(stream, form)
        found.append(stream.getvalue())
    for mode, form in (
        ("P", "PNG"),
        ("1", "TIFF"),
        ("CMYK", "JPEG"),
        ("LA", "PNG"),
        ("I;16", "PNG"),
    ):
        stream = io.BytesIO()
        Image.new(mode, (6, 4)).save(stream, form)
        found.append(stream.getvalue())
    return found


def read_image(path: Path, folder: Path) -> None:
    from dlcli.data import image, image_facts

    for look in (image_facts.examine, image_facts.verify):  # what `data check` asks
        with suppress(DataError):
            look(path)
    image.probe(path)
    found = image.read_image(path, (8, 8, 3))
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)


def archives() -> list[bytes]:
    found = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
            for name in ("a/b.txt", "a/" + "long" * 40 + "/é.txt", "c"):
                info = tarfile.TarInfo(name if form != tarfile.USTAR_FORMAT else name[:80])
                info.size = 9
                tar.addfile(info, io.BytesIO(b"some text"))
        found.append(stream.getvalue())
    return [*found, gzip.compress(found[0], mtime=0)]


def read_archive(path: Path, folder: Path) -> None:
    from dlcli.data import archive

    if not path.read_bytes().startswith(b"\x1f\x8b"):  # else hardly a change would be unpacked
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    target = folder / "inside" / "target"
    target.parent.mkdir(exist_ok=True)
    (folder / "beside").touch()
    before = {p for p in folder.rglob("*") if target not in p.parents}
    try:
        archive.unpack(path, target)
    finally:
        after = {p for p in folder.rglob("*") if p != target and target not in p.parents}
        assert after <= before, f"outside of its target: {after - before}"
