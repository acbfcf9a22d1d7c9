"""What is read from outside, one reader for each format, with small good files to begin with.

A reader is given a file and a folder of its own. What it may do with any bytes is give something
or raise a DlcliError; see `harness.py`.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Format:
    """seeds: good files. read(path, folder): what may happen to them. name: of the file. words:
    pieces that are put into files, besides those that all formats share.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[Path, Path], Any]
    name: str = "file"
    words: tuple[bytes, ...] = ()


# --- binary formats -------------------------------------------------------------------------------


def _idx() -> list[bytes]:
    images = bytes([0, 0, 8, 3]) + struct.pack(">3I", 3, 4, 5) + bytes(range(60))
    return [images, gzip.compress(images, mtime=0)]


def _read_idx(path: Path, folder: Path) -> None:
    from dlcli.data import idx

    idx.read(path, (4, 5))


def _cifar() -> list[bytes]:
    return [b"".join(bytes([k]) + bytes(3072) for k in (1, 9))]


def _read_cifar(path: Path, folder: Path) -> None:
    from dlcli.data import cifar10

    cifar10.read("train", [path])


def _wav() -> list[bytes]:
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


def _read_wav(path: Path, folder: Path) -> None:
    from dlcli.data import wav

    wav.probe(path)
    found = wav.read(path, 4000, 50)
    assert np.isfinite(found).all()


def _images() -> list[bytes]:
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


def _read_image(path: Path, folder: Path) -> None:
    from dlcli.data import image

    image.probe(path)
    found = image.read_image(path, (8, 8, 3))
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)


def _archives() -> list[bytes]:
    found = []
    for mode in ("w", "w:gz"):
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode=mode, format=form) as tar:
                for name in ("a/b.txt", "a/" + "long" * 20 + "/é.txt", "c"):
                    info = tarfile.TarInfo(name if form != tarfile.USTAR_FORMAT else name[:80])
                    info.size = 9
                    tar.addfile(info, io.BytesIO(b"some text"))
            found.append(stream.getvalue())
    return found


def _read_archive(path: Path, folder: Path) -> None:
    from dlcli.data import archive

    target = folder / "inside" / "target"
    target.parent.mkdir(exist_ok=True)
    (folder / "beside").touch()
    before = {p for p in folder.rglob("*") if target not in p.parents}
    try:
        archive.unpack(path, target)
    finally:
        after = {p for p in folder.rglob("*") if p != target and target not in p.parents}
        assert after <= before, f"outside of its target: {after - before}"


# --- texts and tables -----------------------------------------------------------------------------


def _rows(header: str, rows: list[str]) -> list[bytes]:
    text = "\n".join([header, *rows]) + "\n"
    return [text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()]


def _table() -> list[bytes]:
    rows = [
        f"{i},{i / 3:.3f},{'red' if i % 2 else ''},{'yes' if i % 3 else 'no'}" for i in range(18)
    ]
    quoted = [f'{i},0,"a ""b"", c",{"yes" if i % 2 else "no"}' for i in range(12)]
    return [*_rows("a,b,colour,label", rows), *_rows("a,b,colour,label", quoted)]


def _read_table(path: Path, folder: Path) -> None:
    from dlcli.data import table

    found = table.load(path, seed=0, options={})
    table.fit(found.splits["train"])


def _texts() -> list[bytes]:
    return _rows("label,text", [f'{"ab"[i % 2]},"some words, number {i}"' for i in range(12)])


def _read_texts(path: Path, folder: Path) -> None:
    from dlcli.data import csv_text

    csv_text.load(path, seed=0)


def _series() -> list[bytes]:
    return _rows("date,sold,rain", [f"2020-01-{i + 1:02},{i * 1.5},{i % 3}" for i in range(28)])


def _read_series(path: Path, folder: Path) -> None:
    from dlcli.data import series_csv

    series_csv.read(path)


def _ratings() -> list[bytes]:
    rows = [f"u{i % 5},i{i % 7},{1 + i % 5}" for i in range(35)]
    return _rows("user,item,rating", rows)


def _read_ratings(path: Path, folder: Path) -> None:
    from dlcli.data import ratings

    ratings.load(path)


def _pairs() -> list[bytes]:
    return ["".join(f"hello {i}!\tbonjour {i} !\n" for i in range(30)).encode()]


def _read_pairs(path: Path, folder: Path) -> None:
    from dlcli.data import pair_table

    pair_table.load(path, seed=0, options={})


def _plain() -> list[bytes]:
    return ["To be, or not to be – that's the question.\n".encode() * 3]


def _read_plain(path: Path, folder: Path) -> None:
    from dlcli.data import plain_text

    plain_text.characters(path)
    plain_text.words(path)


# --- what a run is made of ------------------------------------------------------------------------


def _config() -> list[bytes]:
    text = (
        '[model]\nname = "cnn"\nchannels = [8, 8, 8]\n[data]\nsource = "digits"\n'
        '[train]\nepochs = 3\nlr = 1e-3\naugment = "shift=1,flip"\nuntil = {loss = 0.1}\n'
    )
    return [text.encode()]


def _read_config(path: Path, folder: Path) -> None:
    from dlcli.cli import config
    from dlcli.models import cnn
    from dlcli.train.recipe import Recipe

    tables = config.read(path)
    asked = config.Config()
    asked.update(tables)
    config.check_data(asked.data)
    config.model_config(cnn.Config, asked.model_settings)
    Recipe.from_dict(asked.train)


def _weights() -> list[bytes]:
    from dlcli.train import tensors

    made = {"0.weight": np.ones((3, 2), np.float32), "n": np.zeros(1, np.int64)}
    return [tensors.pack(made), tensors.pack({})]


def _read_weights(path: Path, folder: Path) -> None:
    from dlcli.train import tensors

    tensors.nonfinite(tensors.unpack(path.read_bytes(), str(path)))


def _state() -> list[bytes]:
    from dlcli.train import jsonfile
    from dlcli.train.progress import Progress
    from dlcli.train.recipe import Recipe

    made = Progress(recipe=Recipe().to_dict(), fingerprint="0" * 64)
    return [jsonfile.dumps(made.to_json())]


def _read_state(path: Path, folder: Path) -> None:
    from dlcli.train import jsonfile
    from dlcli.train.progress import Progress

    Progress.from_json(jsonfile.loads(path.read_bytes(), str(path)), str(path))


def _checkpoint() -> list[bytes]:
    return [
        json.dumps({"format": "dlcli-checkpoint", "schema": 1, "dlcli": "0", "files": {}}).encode()
    ]


def _read_checkpoint(path: Path, folder: Path) -> None:
    """A manifest, beside the files of a good checkpoint."""
    from dlcli.train import checkpoint

    checkpoint.save(folder, "best", checkpoint.Checkpoint({}, {}, {}, {}))
    (folder / "best" / checkpoint.MANIFEST).write_bytes(path.read_bytes())
    checkpoint.read(folder / "best")


def _metrics() -> list[bytes]:
    return [b'{"epoch": 1, "step": 9, "loss": 0.5}\n{"epoch": 2, "step": 18, "loss": null}\n']


def _read_metrics(path: Path, folder: Path) -> None:
    from dlcli.train.run import RunDir

    run = RunDir(folder)
    assert all(isinstance(record, dict) for record in run.metrics())
    run.truncate_metrics(1)


def _encoders() -> list[bytes]:
    made = [{"mean": [0.5], "std": [0.25]}, {"mean": [0, 0.1, 1], "std": [1, 1, 1e-3]}]
    return [json.dumps(one).encode() for one in made]


def _read_encoder(path: Path, folder: Path) -> None:
    """Of a checkpoint's model.json: what every kind of samples makes its encoder of."""
    from dlcli.data import kind
    from dlcli.errors import DlcliError
    from dlcli.train import jsonfile

    stored = jsonfile.loads(path.read_bytes(), str(path))
    for name in kind.names():
        try:
            kind.of(name).from_json(stored, (8, 8, 1))
        except DlcliError:
            continue


MARKS = (
    b",",
    b"\t",
    b'"',
    b"\n",
    b"\r",
    b"\x00",
    b"nan",
    b"1e999",
    b"-1",
    b"\xff\xfe",
    b"\xe2\x80\xa8",
)
JSON = (b"null", b"[]", b"{}", b"NaN", b"1e400", b"-1", b"true", b'""', b"[" * 3000, b"9" * 5000)
FORMATS: dict[str, Format] = {
    "idx": Format(_idx, _read_idx),
    "cifar": Format(_cifar, _read_cifar),
    "wav": Format(_wav, _read_wav, "file.wav", (b"fmt ", b"data", b"LIST", b"\xfe\xff")),
    "image": Format(_images, _read_image, "file.png"),
    "archive": Format(
        _archives, _read_archive, "file.tar", (b"../", b"/etc", b"\x00ustar", b"path=")
    ),
    "table": Format(_table, _read_table, "file.csv", MARKS),
    "texts": Format(_texts, _read_texts, "file.csv", MARKS),
    "series": Format(_series, _read_series, "file.csv", (*MARKS, b"9999-12-31", b"T25:61")),
    "ratings": Format(_ratings, _read_ratings, "file.csv", MARKS),
    "pairs": Format(_pairs, _read_pairs, "file.tsv", MARKS),
    "plain": Format(_plain, _read_plain, "file.txt", MARKS),
    "config": Format(_config, _read_config, "config.toml", (b"[", b"=", b"nan", b"inf", *JSON)),
    "weights": Format(_weights, _read_weights, "w.safetensors", (b'"data_offsets"', *JSON)),
    "state": Format(_state, _read_state, "state.json", JSON),
    "manifest": Format(_checkpoint, _read_checkpoint, "manifest.json", JSON),
    "metrics": Format(_metrics, _read_metrics, "metrics.jsonl", JSON),
    "encoder": Format(_encoders, _read_encoder, "model.json", JSON),
}
