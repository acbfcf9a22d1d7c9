"""Event files for TensorBoard, RUN/tensorboard/events.out.tfevents.*, written without TensorFlow.

A file is a sequence of records: the length in 8 bytes, its checksum, the data, their checksum
(https://www.tensorflow.org/tutorials/load_data/tfrecord). The data are messages `Event` in the wire
format of protocol buffers, of which these fields are used:

    Event        1 wall_time: double   2 step: int64   3 file_version: string   5 summary: Summary
                 7 session_log: SessionLog
    Summary      1 value: repeated Value          Value  1 tag: string   2 simple_value: float
    SessionLog   1 status: enum, 1 = START: what an earlier file holds from this step on is void
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from typing import Any

from dlcli.train import atomic
from dlcli.train.protocol import Quiet

MOST = 3.4e38  # that a float of 4 bytes holds; a perplexity may be above it
SECONDS = 1.0  # between writes, so that curves can be watched


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's polynomial
    return byte


TABLE = tuple(map(_remainder, range(256)))


def crc32c(data: bytes) -> int:
    """The checksum CRC-32C (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """The data as a record of the file, with checksums masked as the format has them."""
    parts = b""
    for part in (struct.pack("<Q", len(data)), data):
        crc = crc32c(part)
        masked = (crc >> 15 | (crc & 0x7FFF) << 17) + 0xA282EAD8
        parts += part + struct.pack("<I", masked & 0xFFFFFFFF)
    return parts


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def event(wall_time: float, step: int, content: bytes) -> bytes:
    """An `Event`; content: its further fields."""
    return struct.pack("<Bd", 1 << 3 | 1, wall_time) + _varint(2 << 3) + _varint(step) + content


def summary(figures: Mapping[str, float]) -> bytes:
    """The field `summary` of an `Event` with a value for each figure."""
    values = b""
    for tag, value in figures.items():
        number = struct.pack("<Bf", 2 << 3 | 5, max(min(value, MOST), -MOST))  # NaN stays
        values += _bytes(1, _bytes(1, tag.encode("utf-8", "replace")) + number)
    return _bytes(5, values)


class Log(Quiet):
    """An observer that writes the loss and learning rate of each step, and the figures of each
    epoch: "loss/train" and "loss/val". OutputError: the file cannot be written.
    """

    def __init__(self, run: Any) -> None:
        """run: a `RunDir`, in which each training, also one that goes on, has a file of its own."""
        name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        self.path = run.folder("tensorboard") / name
        self.waiting = record(event(time.time(), 0, _bytes(3, b"brain.Event:2")))
        self.written = time.monotonic()

    def on_start(self, info: dict[str, Any]) -> None:
        if step := info["step"]:
            self.waiting += record(event(time.time(), step + 1, _bytes(7, bytes([1 << 3, 1]))))
        self._write()

    def on_step(self, step: int, loss: float, lr: float, images: int) -> None:
        self._add(step, {"loss/step": loss, "lr": lr})
        if time.monotonic() - self.written > SECONDS:
            self._write()

    def on_epoch(self, record: dict[str, Any]) -> None:
        known = {k: v for k, v in record.items() if isinstance(v, float) and k != "lr"}
        parts = {k: "val" if k.startswith("val_") else "train" for k in known}
        figures = {f"{k.removeprefix('val_')}/{parts[k]}": v for k, v in known.items()}
        self._add(record["step"], figures)
        self._write()

    def on_stop(self, summary: Any) -> None:
        self._write()

    def _add(self, step: int, figures: Mapping[str, float]) -> None:
        self.waiting += record(event(time.time(), step, summary(figures)))

    def _write(self) -> None:
        with atomic.output_errors(self.path), open(self.path, "ab") as file:
            file.write(self.waiting)
        self.waiting, self.written = b"", time.monotonic()
