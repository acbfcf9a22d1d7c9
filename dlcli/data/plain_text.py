"""A text file of any size up to a bound, read piece by piece: its characters or words as codes.

What is not UTF-8 is refused with its place. Line ends of all systems become "\\n", and a mark at
the beginning of the file is left out. Words keep the space before them and each line end is a word,
as in GPT-2 (Radford et al. 2019): put together, they are the text again.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from io import IncrementalNewlineDecoder
from pathlib import Path

import numpy as np

from dlcli.data.files import reading, size_of
from dlcli.errors import DataError

MOST_BYTES = 1 << 28  # of a file: what a model on a CPU would read for hours
PIECE = 1 << 20  # bytes at a time
MOST_WORDS = 4_000_000  # different ones in a file
MOST_POINT = 0x110000  # of Unicode's characters
OPEN = 2  # words at the end of a piece that what follows may change: don, '
Codes = tuple[np.ndarray, tuple[str, ...]]  # (n + 1,), the text's beginning first; the symbols
_WORD = re.compile(
    r" ?[^\W\d_]{1,64}(?:['’-][^\W\d_]{1,32})?"  # with what is contracted or joined
    r"| ?\d{1,32}"
    r"| ?(?:[^\w\s]|_)"
    r"|\n"
    r"|[^\S\n]{1,64}(?!\S)"  # spaces, but the one that belongs to the next word
    r"|[^\S\n]{1,64}"
)


def pieces(path: Path) -> Iterator[str]:
    """The text of a file, piece by piece.

    DataError: no such file, one that is empty or too large, or, with line and byte, no UTF-8.
    """
    size_of(path, MOST_BYTES)
    ends = IncrementalNewlineDecoder(None, translate=True)
    place, line, rest = 0, 1, b""
    with reading(path) as file:
        while True:
            new = file.read(PIECE)
            data = rest + new
            try:
                text, rest = data.decode("utf-8"), b""
            except UnicodeDecodeError as error:
                if not new or error.end < len(data) or error.reason != "unexpected end of data":
                    line += data.count(b"\n", 0, error.start)
                    why = f"byte {place + error.start + 1:,} of the file"
                    hint = "save the file as UTF-8"
                    raise DataError(f"{path}:{line}: is not UTF-8", why=why, hint=hint) from error
                text, rest = data[: error.start].decode("utf-8"), data[error.start :]
            if place == 0:
                text = text.removeprefix("\ufeff")
            place += len(data) - len(rest)
            line += data.count(b"\n")
            if piece := ends.decode(text, final=not new):
                yield piece
            if not new:
                return


def characters(path: Path) -> Codes:
    """The characters of a file, each a symbol. DataError: see `pieces`."""
    found = []
    for text in pieces(path):
        points = np.frombuffer(text.encode("utf-32-le"), "<u4")
        found.append(points.astype(np.min_scalar_type(int(points.max()))))  # small while many
    points = np.concatenate(found)
    there = np.zeros(MOST_POINT, bool)
    for part in found:
        there[part] = True
    distinct = np.flatnonzero(there)
    code_of = np.zeros(MOST_POINT, np.min_scalar_type(len(distinct)))
    code_of[distinct] = np.arange(len(distinct))
    return _behind_its_beginning(code_of[points], tuple(map(chr, distinct)))


def words(path: Path) -> Codes:
    """The words of a file, each a symbol. DataError: see `pieces`, or too many different ones."""
    known: dict[str, int] = {}
    codes = array("I")
    rest = ""
    for text in pieces(path):
        found = units(rest + text)
        rest = "".join(found[-OPEN:])  # which what follows may go on with
        codes.extend(known.setdefault(word, len(known)) for word in found[:-OPEN])
        if len(known) > MOST_WORDS:
            what = f"{path}: has more than {MOST_WORDS:,} different words"
            raise DataError(what, why="is it a text?")
    codes.extend(known.setdefault(word, len(known)) for word in units(rest))
    kept = np.frombuffer(codes, np.uint32).astype(np.min_scalar_type(len(known)))
    return _behind_its_beginning(kept, tuple(known))


def units(text: str) -> list[str]:
    """The words of a text; `"".join` of them is the text."""
    return _WORD.findall(text)


def _behind_its_beginning(codes: np.ndarray, symbols: tuple[str, ...]) -> Codes:
    return np.concatenate([np.array([len(symbols)], codes.dtype), codes]), symbols
