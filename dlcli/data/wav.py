"""WAV files: what their header says, checked against the file, and their samples.

Read are PCM of 8, 16, 24 and 32 bits and floats of 32 and 64 bits, also in the extensible format,
of any number of channels, which are averaged. Whatever else a file may hold is refused with its
name, and so is a header that contradicts itself or the size of the file: a sound that is read
wrongly looks like noise to people, and like a sound to a model.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dlcli.data.files import reading, size_of
from dlcli.data.resample import resample
from dlcli.errors import DataError

MOST_BYTES = 1 << 30  # of a file
MOST_CHANNELS = 64
LEAST_RATE, MOST_RATE = 1_000, 768_000  # samples per second
MOST_CHUNKS = 1_000
MOST_VALUE = 1e6  # of a float: full scale is 1, or 32,768 where somebody forgot to divide
UNKNOWN_LENGTH = 0x7FFFF000  # from this on a length means: written to a pipe, up to its end
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
SUBFORMAT = bytes.fromhex("000000001000800000aa00389b71")  # follows the code in the extensible one
DTYPES = {
    (PCM, 8): "u1",
    (PCM, 16): "<i2",
    (PCM, 24): "3u1",
    (PCM, 32): "<i4",
    (FLOAT, 32): "<f4",
    (FLOAT, 64): "<f8",
}
CODES = {2: "ADPCM", 6: "A-law", 7: "µ-law", 0x11: "ADPCM", 0x31: "GSM", 0x50: "MPEG", 0x55: "MP3"}
OTHERS = {b"RIFX": "RIFX", b"RF64": "RF64", b"FORM": "AIFF", b"fLaC": "FLAC", b"OggS": "Ogg"}
OTHERS |= {b"ID3\x03": "MP3", b"ID3\x04": "MP3"}
HINT = "convert it: ffmpeg -i FILE -acodec pcm_s16le FILE.wav"


@dataclass(frozen=True)
class Header:
    """rate: samples per second. channels: how many. dtype: of a sample, a NumPy dtype's name.
    frames: samples of each channel, 1 or more. start: the byte where they begin.
    """

    rate: int
    channels: int
    dtype: str
    frames: int
    start: int

    @property
    def width(self) -> int:
        """Bytes of a frame: of a sample of every channel."""
        return np.dtype(self.dtype).itemsize * self.channels

    def length(self, rate: int) -> int:
        """The number of samples at another rate."""
        return -(-self.frames * rate // self.rate)


def probe(path: Path) -> Header:
    """The header of a file. DataError: it is no WAV file, or none that can be read."""
    size = size_of(path, MOST_BYTES)
    with reading(path) as file:
        return _header(file, size, str(path))


def read(path: Path, rate: int, most: int) -> np.ndarray:
    """The sound of a file at `rate` samples per second, mono, at most `most` samples from its
    middle: (n,) float32, full scale is 1. DataError: as `probe`, or samples that are no numbers.
    """
    size = size_of(path, MOST_BYTES)
    with reading(path) as file:
        return _samples(file, _header(file, size, str(path)), str(path), rate, most)


def decode(data: bytes, name: str, rate: int, most: int) -> np.ndarray:
    """As `read`, of what a file holds. name: for messages."""
    if not data:
        raise DataError(f"{name}: there is nothing in it")
    file = io.BytesIO(data)
    return _samples(file, _header(file, len(data), name), name, rate, most)


def _header(file: BinaryIO, size: int, name: str) -> Header:
    """The header of an opened file of `size` bytes."""
    start = file.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"WAVE":
        kind = OTHERS.get(start[:4])
        why = f"it begins as {kind}" if kind else "it does not begin with RIFF … WAVE"
        raise DataError(f"{name}: is no WAV file", why=why, hint=HINT if kind else "")
    format_: bytes | None = None
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            raise _damaged(name, "it ends before its samples begin")
        kind, length = struct.unpack("<4sI", head)
        at = file.tell()
        if kind == b"data":
            if format_ is None:
                raise _damaged(name, "its samples come before their format")
            return _checked(format_, at, length, size, name)
        if at + length > size:
            raise _damaged(name, f"a part of {length:,} bytes in a file of {size:,}")
        if kind == b"fmt ":
            if format_ is not None or not 16 <= length <= 4096:
                why = "two formats" if format_ is not None else f"a format of {length:,} bytes"
                raise _damaged(name, why)
            format_ = file.read(length)
        file.seek(at + length + length % 2)
    raise _damaged(name, f"more than {MOST_CHUNKS:,} parts before its samples")


def _checked(format_: bytes, at: int, length: int, size: int, name: str) -> Header:
    """What a format says of samples of `length` bytes at byte `at` of a file of `size`."""
    code, channels, rate, speed, width, bits = struct.unpack("<HHIIHH", format_[:16])
    if code == EXTENSIBLE and len(format_) >= 40 and format_[26:40] == SUBFORMAT:
        code = int.from_bytes(format_[24:26], "little")
    if (code, bits) not in DTYPES:
        coded = CODES.get(code, "" if code in (PCM, FLOAT) else f"code {code}")
        what = f"its samples are {coded}" if coded else f"its samples have {bits} bits"
        raise DataError(f"{name}: {what}, which are not read", why="PCM and floats are", hint=HINT)
    if not 1 <= channels <= MOST_CHANNELS:
        raise _damaged(name, f"{channels:,} channels, and 1 … {MOST_CHANNELS} are possible")
    if not LEAST_RATE <= rate <= MOST_RATE:
        why = f"{rate:,} samples per second, and {LEAST_RATE:,} … {MOST_RATE:,} are possible"
        raise _damaged(name, why)
    if width != channels * bits // 8 or speed != rate * width:
        why = f"{channels} × {bits} bits at {rate:,} Hz are not {width} bytes, {speed:,} a second"
        raise _damaged(name, why)
    if length >= UNKNOWN_LENGTH:
        length = size - at
    if at + length > size:
        raise _damaged(name, f"it is cut off: {size - at:,} of {length:,} bytes are there")
    if length % width:
        raise _damaged(name, f"{length:,} bytes are not a whole number of {width}")
    if not length:
        raise DataError(f"{name}: holds no samples")
    return Header(rate, channels, DTYPES[code, bits], length // width, at)


def _damaged(name: str, why: str) -> DataError:
    return DataError(f"{name}: is damaged", why=why, hint="copy, download or convert it again")


def _samples(file: BinaryIO, header: Header, name: str, rate: int, most: int) -> np.ndarray:
    """The middle of the sound. Only what is needed of the file is read."""
    wanted = min(header.frames, -(-most * header.rate // rate))
    file.seek(header.start + (header.frames - wanted) // 2 * header.width)
    data = file.read(wanted * header.width)
    if len(data) < wanted * header.width:  # shortened since its size was asked
        raise _damaged(name, "it is cut off")
    values = _floats(np.frombuffer(data, header.dtype), header.dtype)
    if header.dtype in ("<f4", "<f8") and not (np.abs(values) <= MOST_VALUE).all():
        raise _damaged(name, "samples that are not finite, or far beyond full scale")
    mono = values.reshape(wanted, header.channels).mean(axis=1)
    return resample(mono, header.rate, rate)[:most]


def _floats(raw: np.ndarray, dtype: str) -> np.ndarray:
    """Samples of any type as float64, full scale is 1."""
    if dtype == "u1":
        return (raw.astype(np.float64) - 128) / 128
    if dtype == "3u1":
        wide = np.zeros((raw.size // 3, 4), np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        return wide.view("<i4")[:, 0] / 2.0**31
    if dtype in ("<i2", "<i4"):
        return raw / 2.0 ** (15 if dtype == "<i2" else 31)
    with np.errstate(invalid="ignore"):  # a signalling NaN; whoever calls looks for NaN
        return raw.astype(np.float64)
