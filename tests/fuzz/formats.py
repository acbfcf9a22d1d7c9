"""What is read from outside, one reader for each format, with small good files to begin with.

A reader is given a file and a folder of its own. What it may do with any bytes is give something
or raise a DlcliError; see `harness.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz import binary, runs, tables


@dataclass(frozen=True)
class Format:
    """seeds: good files. read(path, folder): what may happen to them. name: of the file. words:
    pieces that are put into files, besides those that all formats share.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[Path, Path], Any]
    name: str = "file"
    words: tuple[bytes, ...] = ()


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
    "idx": Format(binary.idx, binary.read_idx),
    "cifar": Format(binary.cifar, binary.read_cifar),
    "wav": Format(
        binary.wav, binary.read_wav, "file.wav", (b"fmt ", b"data", b"LIST", b"\xfe\xff")
    ),
    "image": Format(binary.images, binary.read_image, "file.png"),
    "archive": Format(
        binary.archives, binary.read_archive, "file.tar", (b"../", b"/etc", b"\x00ustar", b"path=")
    ),
    "table": Format(tables.table, tables.read_table, "file.csv", MARKS),
    "texts": Format(tables.texts, tables.read_texts, "file.csv", MARKS),
    "series": Format(
        tables.series, tables.read_series, "file.csv", (*MARKS, b"9999-12-31", b"T25:61")
    ),
    "ratings": Format(tables.ratings, tables.read_ratings, "file.csv", MARKS),
    "pairs": Format(tables.pairs, tables.read_pairs, "file.tsv", MARKS),
    "plain": Format(tables.plain, tables.read_plain, "file.txt", MARKS),
    "config": Format(
        runs.config, runs.read_config, "config.toml", (b"[", b"=", b"nan", b"inf", *JSON)
    ),
    "weights": Format(runs.weights, runs.read_weights, "w.safetensors", (b'"data_offsets"', *JSON)),
    "state": Format(runs.state, runs.read_state, "state.json", JSON),
    "manifest": Format(runs.manifests, runs.read_manifest, "manifest.json", JSON),
    "metrics": Format(runs.metrics, runs.read_metrics, "metrics.jsonl", JSON),
    "encoder": Format(runs.encoders, runs.read_encoder, "model.json", JSON),
}
