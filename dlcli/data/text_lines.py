"""Lines of a text file or a pipe, bounded: a file without line breaks does not fill the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dlcli.data.files import reading, size_of
from dlcli.errors import DataError

MOST_BYTES = 1 << 30  # of a file
MOST_LINE = 1 << 20  # bytes of a line
CHUNK = 1 << 16  # bytes of a stream at a time, at most


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line without its end) of a UTF-8 file, a mark at its beginning left out.

    DataError: no such file, one that is empty or too large, a line that is too long or no UTF-8.
    """
    size_of(path, MOST_BYTES)
    with reading(path) as file:
        number = 0
        while raw := file.readline(MOST_LINE + 1):
            number += 1
            if len(raw) > MOST_LINE:
                why = f"it has more than {MOST_LINE:,} bytes"
                raise DataError(f"{path}:{number}: the line is too long", why=why)
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                why = f"byte {error.start + 1} of the line"
                hint = "save the file as UTF-8"
                raise DataError(f"{path}:{number}: is not UTF-8", why=why, hint=hint) from error


def from_pipe(stream: IO[bytes]) -> Iterator[str | None]:
    """Lines of a stream, one by one; see `arriving`."""
    for lines in arriving(stream):
        yield from lines


def arriving(stream: IO[bytes]) -> Iterator[list[str | None]]:
    """Lines of a stream as they come: each list holds those that are there, one or more, so that
    no line waits for the next one. Bytes that are no UTF-8 are replaced.

    None stands for a line that is too long, as soon as it is; the rest of it is passed over.
    Nothing is read ahead of who consumes, so that an endless stream fills no memory.
    """
    rest, passing, first = b"", False, True
    while data := stream.read1(CHUNK):  # type: ignore[attr-defined]  # what is there, or waits
        *whole, rest = (rest + data).split(b"\n")
        found: list[bytes | None] = [None if len(raw) > MOST_LINE else raw for raw in whole]
        if whole and passing:  # the end of a line that was too long
            passing = False
            del found[0]
        if len(rest) > MOST_LINE and not passing:
            passing = True
            found.append(None)
        if passing:
            rest = b""
        if found:
            yield [_decoded(raw, first and i == 0) for i, raw in enumerate(found)]
            first = False
    if rest:
        yield [_decoded(rest, first)]


def _decoded(raw: bytes | None, first: bool) -> str | None:
    encoding = "utf-8-sig" if first else "utf-8"
    return None if raw is None else raw.decode(encoding, "replace").rstrip("\r")
