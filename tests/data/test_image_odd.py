"""Odd image files that people have: deep, animated, turned, renamed, cut short, or hostile."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dlcli.data.image import probe, read_image
from dlcli.data.image_facts import examine, verify
from dlcli.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


def encode(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(depth, colour, pixel, before=b""):
    """A PNG of 4×4 equal pixels; before: chunks ahead of the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress((b"\0" + pixel * 4) * 4))
    return b"\x89PNG\r\n\x1a\n" + header + before + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("colour", "levels", "expected"),
    [
        (0, (32768,), (127, 127, 127)),  # grey: scaled by 255 / 65535 and rounded
        (2, (65535, 32768, 128), (255, 128, 0)),  # colour: the upper eight bits
        (6, (65535, 32768, 128, 32768), (255, 191, 127)),  # half transparent, over white
    ],
)
def test_sixteen_bits_a_channel_become_eight(tmp_path, colour, levels, expected):
    path = tmp_path / "deep.png"
    path.write_bytes(png(16, colour, struct.pack(f">{len(levels)}H", *levels)))
    found = read_image(path, (4, 4, 3))[0, 0]
    np.testing.assert_allclose(found, expected, atol=1)
    assert "16-bit" in examine(path).traits


def test_a_photograph_that_a_camera_turned_is_upright_in_facts_and_in_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(Image.fromarray(NOISE), "JPEG", quality=95, subsampling=0, exif=exif))
    facts = examine(path)
    assert (facts.height, facts.width) == probe(path) == (80, 60)
    assert facts.traits == ("EXIF-rotated",)
    upright = np.rot90(NOISE, -1).astype(int)
    assert np.abs(read_image(path, (80, 60, 3)) - upright).mean() < 5


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read_and_the_rest_is_told(tmp_path, kind):
    frames = [Image.new("RGB", (4, 4), (level,) * 3) for level in (10, 200, 90)]
    options = {"lossless": True} if kind == "WEBP" else {}
    path = tmp_path / f"film.{kind.lower()}"
    path.write_bytes(encode(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert (read_image(path, (4, 4, 3)) == 10).all()
    assert "animated" in examine(path).traits


def test_an_animation_of_many_frames_costs_as_much_as_its_first(tmp_path, monkeypatch):
    from PIL.GifImagePlugin import GifImageFile

    frames = [Image.new("L", (2, 2), level % 256) for level in range(0, 7 * 300, 7)]
    path = tmp_path / "long.gif"
    path.write_bytes(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    sought = []
    seek = GifImageFile._seek
    monkeypatch.setattr(
        GifImageFile, "_seek", lambda self, n, *more: (sought.append(n), seek(self, n, *more))[1]
    )
    examine(path)
    assert max(sought) <= 1


def test_pages_in_a_circle_are_read_once(tmp_path):
    content = bytearray(encode(Image.new("L", (4, 4), 5), "TIFF"))
    first = struct.unpack_from("<I", content, 4)[0]
    entries = struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, first + 2 + 12 * entries, first)  # the next page is this one
    path = tmp_path / "loop.tif"
    path.write_bytes(content)
    assert (read_image(path, (4, 4, 1)) == 5).all()
    assert examine(path).traits == ("grey",)


def test_a_file_with_the_ending_of_another_format_is_read_and_told(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encode(Image.fromarray(NOISE), "JPEG"))
    facts = examine(path)
    assert (facts.format, facts.misnamed) == ("JPEG", True)
    assert read_image(path, (60, 80, 3)).std() > 20


@pytest.mark.parametrize(
    ("name", "kind", "mode", "trait"),
    [
        ("ink.jpg", "JPEG", "CMYK", "CMYK"),
        ("ink.tif", "TIFF", "CMYK", "CMYK"),
        ("grey.jpg", "JPEG", "L", "grey"),
        ("bits.png", "PNG", "1", "grey"),
        ("clear.png", "PNG", "RGBA", "alpha"),
        ("clear.webp", "WEBP", "RGBA", "alpha"),
    ],
)
def test_unusual_modes_are_told(tmp_path, name, kind, mode, trait):
    path = tmp_path / name
    picture = Image.fromarray(NOISE).convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)
    path.write_bytes(encode(picture, kind))
    facts = examine(path)
    assert trait in facts.traits
    assert not facts.misnamed


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP"])
def test_a_bomb_beside_the_pixels_is_refused(tmp_path, name):
    bomb = chunk(name, b"a\0\0" + zlib.compress(bytes(40 << 20)))
    path = tmp_path / "bomb.png"
    path.write_bytes(png(8, 2, b"\1\2\3", bomb))
    for look in (lambda p: read_image(p, (4, 4, 3)), examine):
        with pytest.raises(DataError) as caught:
            look(path)
        assert "too large" in caught.value.why


def test_a_frame_that_is_larger_than_its_picture_is_refused(tmp_path):
    content = bytearray(encode(Image.new("L", (4, 4), 9), "GIF"))
    struct.pack_into("<HH", content, content.index(b",") + 5, 60_000, 60_000)
    path = tmp_path / "large.gif"
    path.write_bytes(content)
    with pytest.raises(DataError, match="too large"):
        examine(path)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_anywhere_is_refused_by_the_quick_look_as_by_training(tmp_path, progressive):
    content = encode(Image.fromarray(NOISE), "JPEG", progressive=progressive)
    path = tmp_path / "cut.jpg"
    for length in range(2, len(content) - 1, len(content) // 25):
        path.write_bytes(content[:length])
        for look in (lambda p: read_image(p, (8, 8, 3)), examine, verify):
            with pytest.raises(DataError, match=r"cut\.jpg"):
                look(path)


def accepts(look, path):
    try:
        look(path)
    except DataError:
        return False
    return True


def test_a_damaged_image_is_judged_alike_by_the_quick_look_and_by_training(tmp_path):
    random = np.random.default_rng(1)
    path = tmp_path / "damaged.img"
    verdicts = []
    for number in range(100):
        kind = ("JPEG", "PNG", "GIF", "TIFF", "WEBP")[number % 5]
        content = bytearray(encode(Image.fromarray(NOISE), kind))
        for _ in range(3):
            content[random.integers(len(content))] = random.integers(256)
        path.write_bytes(content)
        looks = (lambda p: read_image(p, (8, 8, 3)), examine, verify)
        verdicts.append({accepts(look, path) for look in looks})
    assert all(len(one) == 1 for one in verdicts)
    assert {True} in verdicts
    assert {False} in verdicts


def test_a_picture_by_a_palette_that_is_not_there_is_damaged(tmp_path):
    path = tmp_path / "bare.png"
    path.write_bytes(png(8, 3, b"\0"))
    for look in (lambda: read_image(path, (4, 4, 3)), lambda: examine(path), lambda: verify(path)):
        with pytest.raises(DataError, match="damaged") as caught:
            look()
        assert "palette" in caught.value.why
    path.write_bytes(png(8, 3, b"\0", before=chunk(b"PLTE", b"\x09\x08\x07")))
    assert read_image(path, (4, 4, 3))[0, 0].tolist() == [9, 8, 7]
