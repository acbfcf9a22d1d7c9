"""Readers of texts and tables, with good files of each."""

from __future__ import annotations

from pathlib import Path


def _rows(header: str, rows: list[str]) -> list[bytes]:
    text = "\n".join([header, *rows]) + "\n"
    return [text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()]


def table() -> list[bytes]:
    rows = [
        f"{i},{i / 3:.3f},{'red' if i % 2 else ''},{'yes' if i % 3 else 'no'}" for i in range(18)
    ]
    quoted = [f'{i},0,"a ""b"", c",{"yes" if i % 2 else "no"}' for i in range(12)]
    return [*_rows("a,b,colour,label", rows), *_rows("a,b,colour,label", quoted)]


def read_table(path: Path, folder: Path) -> None:
    from dlcli.data import table

    found = table.load(path, seed=0, options={})
    table.fit(found.splits["train"])


def texts() -> list[bytes]:
    return _rows("label,text", [f'{"ab"[i % 2]},"some words, number {i}"' for i in range(12)])


def read_texts(path: Path, folder: Path) -> None:
    from dlcli.data import csv_text

    csv_text.load(path, seed=0)


def series() -> list[bytes]:
    return _rows("date,sold,rain", [f"2020-01-{i + 1:02},{i * 1.5},{i % 3}" for i in range(28)])


def read_series(path: Path, folder: Path) -> None:
    from dlcli.data import series_csv

    series_csv.read(path)


def ratings() -> list[bytes]:
    rows = [f"u{i % 5},i{i % 7},{1 + i % 5}" for i in range(35)]
    return _rows("user,item,rating", rows)


def read_ratings(path: Path, folder: Path) -> None:
    from dlcli.data import ratings

    ratings.load(path)


def pairs() -> list[bytes]:
    return ["".join(f"hello {i}!\tbonjour {i} !\n" for i in range(30)).encode()]


def read_pairs(path: Path, folder: Path) -> None:
    from dlcli.data import pair_table

    pair_table.load(path, seed=0, options={})


def plain() -> list[bytes]:
    return ["To be, or not to be – that's the question.\n".encode() * 3]


def read_plain(path: Path, folder: Path) -> None:
    from dlcli.data import plain_text

    plain_text.characters(path)
    plain_text.words(path)
