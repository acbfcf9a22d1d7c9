"""Single images: every kind has a defined conversion, every bad file a clear refusal."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlcli.data import image
from dlcli.data.image import probe, read_image
from dlcli.errors import DataError

GRADIENT = (np.arange(12)[:, None] * 10 + np.arange(9)[None, :]).astype(np.uint8)
COLOUR = np.stack([GRADIENT, 255 - GRADIENT, GRADIENT[::-1]], axis=-1)


def encode(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG whose header says what one likes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_lossless_grey_images_are_read_exactly(kind):
    content = encode(Image.fromarray(GRADIENT), kind)
    np.testing.assert_array_equal(read_image(content, (12, 9, 1))[..., 0], GRADIENT)
    np.testing.assert_array_equal(read_image(content, (12, 9, 3)), np.stack([GRADIENT] * 3, -1))


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
)
def test_lossless_colour_images_are_read_exactly(kind, options):
    content = encode(Image.fromarray(COLOUR), kind, **options)
    np.testing.assert_array_equal(read_image(content, (12, 9, 3)), COLOUR)


def test_colour_becomes_grey_by_luma():
    content = encode(Image.fromarray(COLOUR))
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_image(content, (12, 9, 1))[..., 0] - luma).max() < 1


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    path = tmp_path / "with space 中文.jpg"
    Image.fromarray(COLOUR).save(path)
    expected = read_image(path.read_bytes(), (7, 7, 3))
    for source in (path, str(path)):
        np.testing.assert_array_equal(read_image(source, (7, 7, 3)), expected)


def test_one_bit_is_black_and_white():
    picture = Image.fromarray(GRADIENT > 60)
    assert picture.mode == "1"
    expected = np.where(GRADIENT > 60, 255, 0)
    np.testing.assert_array_equal(read_image(encode(picture), (12, 9, 1))[..., 0], expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    levels = np.array([[0, 128, 257, 32767, 65535]], dtype=np.uint16)
    content = encode(Image.fromarray(levels), kind)
    assert read_image(content, (1, 5, 1)).ravel().tolist() == [0, 0, 1, 127, 255]


def test_pixels_without_a_defined_range_are_refused():
    for pixels in (np.ones((3, 3), np.float32), np.full((3, 3), 70_000, np.int32)):
        with pytest.raises(DataError) as caught:
            read_image(encode(Image.fromarray(pixels), "TIFF"), (3, 3, 1))
        assert "defined range" in caught.value.why


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_white(mode):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0], pixels[1, 1] = (0, 0, 0, 255), (0, 0, 0, 128)
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture = Image.fromarray(np.array([[1, 0], [0, 1]], np.uint8)).convert("P")
        content = encode(picture, transparency=0)
        expected = [[1, 255], [255, 1]]
    else:
        content = encode(picture.convert(mode))
        expected = [[0, 255], [255, 127]]
    np.testing.assert_array_equal(read_image(content, (2, 2, 1))[..., 0], expected)


def test_a_transparent_colour_shows_white():
    content = encode(
        Image.fromarray(np.array([[[9, 9, 9], [1, 2, 3]]], np.uint8)), transparency=(9, 9, 9)
    )
    assert read_image(content, (1, 2, 3)).tolist() == [[[255, 255, 255], [1, 2, 3]]]


def test_a_palette_gives_its_colours():
    picture = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    picture.putpalette([255, 0, 0, 0, 0, 255])
    assert read_image(encode(picture), (1, 2, 3)).tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_cmyk_becomes_rgb():
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[..., 0] = 255  # cyan
    content = encode(Image.fromarray(inks, "CMYK"), "TIFF")
    assert read_image(content, (8, 8, 3))[0, 0].tolist() == [0, 255, 255]
    jpeg = encode(Image.fromarray(inks, "CMYK"), "JPEG", quality=100)
    assert np.abs(read_image(jpeg, (8, 8, 3)).astype(int) - [0, 255, 255]).max() < 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_rotated_photograph_is_turned_upright(tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right
    path = tmp_path / "photo"
    options = {"lossless": True} if kind == "WEBP" else {}
    path.write_bytes(encode(Image.fromarray(COLOUR), kind, exif=exif, **options))
    assert probe(path) == (9, 12)
    np.testing.assert_array_equal(read_image(path, (9, 12, 3)), np.rot90(COLOUR, -1))


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (10, 200, 90)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (read_image(content, (4, 4, 1)) == 10).all()


@pytest.mark.parametrize("tall", [True, False])
def test_another_aspect_is_cropped_at_the_centre(tall):
    pixels = np.zeros((30, 10), np.uint8)
    pixels[10:20] = 255  # the middle third
    content = encode(Image.fromarray(pixels if tall else pixels.T))
    assert (read_image(content, (5, 5, 1)) == 255).all()


def test_resizing_keeps_the_mean():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    small = read_image(encode(Image.fromarray(pixels)), (8, 8, 1))
    assert small.shape == (8, 8, 1)
    assert abs(small.mean() - pixels.mean()) < 3


@settings(max_examples=30, deadline=None, derandomize=True)
@given(sides=st.tuples(*[st.integers(1, 40)] * 4), channels=st.sampled_from([1, 3]))
def test_any_size_becomes_any_size(sides, channels):
    content = encode(Image.new("RGB", sides[:2], (7, 7, 7)))
    out = read_image(content, (*sides[2:], channels))
    assert out.shape == (*sides[2:], channels)
    assert (out == 7).all()


@pytest.mark.parametrize("side", [8200, 9000, 50_000])
def test_an_image_bomb_is_refused_by_its_header(side):
    with pytest.raises(DataError, match="photo: the image is too large"):
        read_image(png(side, side, b""), (8, 8, 1), name="photo")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_bomb_costs_neither_time_nor_memory(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(50_000, 50_000, bytes(1 << 20)))
    program = (
        "import re, time\n"
        "from dlcli.data.image import read_image\n"
        "from dlcli.errors import DataError\n"
        "start = time.monotonic()\n"
        "try:\n"
        f"    read_image({str(path)!r}, (8, 8, 1))\n"
        "except DataError as error:\n"
        "    assert 'too large' in error.what\n"
        "    status = open('/proc/self/status').read()\n"
        "    peak = int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1])\n"
        "    print(time.monotonic() - start < 1, peak < 200_000)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n{program}",
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"%PDF-1.4\n",
        b"not an image at all",
        b"\0" * 100,
    ],
)
def test_what_is_no_image_by_its_content_is_refused_whatever_its_name(tmp_path, content):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"picture\.png: not an image that can be read"):
        read_image(path, (8, 8, 3))


def test_a_format_that_is_not_listed_is_refused(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encode(Image.fromarray(COLOUR), "ICO"))
    with pytest.raises(DataError, match="not an image that can be read"):
        read_image(path, (8, 8, 3))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_truncated_image_is_refused_with_its_path(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    content = encode(Image.fromarray(noise), kind)
    path = tmp_path / "half.img"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"half\.img"):
        read_image(path, (64, 64, 3))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(kind=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM"]), data=st.data())
def test_a_corrupted_image_gives_a_data_error_or_an_image(kind, data):
    content = bytearray(encode(Image.fromarray(COLOUR), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    out, complaint = None, ""
    try:
        out = read_image(bytes(content), (6, 6, 3), name="upload")
    except DataError as error:
        complaint = error.what
    if out is None:
        assert complaint.startswith("upload: ")
    else:
        assert (out.shape, out.dtype) == ((6, 6, 3), np.uint8)


def test_a_missing_empty_or_huge_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "empty.png").touch()
    for name, words in (
        ("none.png", "cannot be read"),
        ("empty.png", "empty"),
        ("", "cannot be read"),
    ):
        with pytest.raises(DataError, match=words):
            read_image(tmp_path / name, (8, 8, 3))
    with pytest.raises(DataError, match="standard input: is empty"):
        read_image(b"", (8, 8, 3))
    monkeypatch.setattr(image, "MAX_BYTES", 10)
    with pytest.raises(DataError, match="too large"):
        read_image(bytes(11), (8, 8, 3))


@pytest.mark.parametrize("shape", [(8, 8, 2), (0, 8, 1), (8, -1, 3)])
def test_a_shape_that_no_image_has_is_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        read_image(encode(Image.fromarray(COLOUR)), shape)
