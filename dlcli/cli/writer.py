"""Where results that stream go: to standard output, or to a file that is whole or not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dlcli.errors import OutputError, UsageError


def check_new(out: Path | None) -> None:
    """UsageError: the file exists."""
    if out is not None and os.path.lexists(out):
        raise UsageError(f"{out}: exists", why="nothing is overwritten", hint="choose another -o")


@contextmanager
def writer(out: Path | None) -> Iterator[Any]:
    """A function that writes text and flushes it: to stdout, or to a file that gets its name when
    all is in it. OutputError: the file cannot be written.
    """
    if out is None:
        yield _flushing(sys.stdout)
        return
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with open(part, "x", encoding="utf-8") as file:
            yield _flushing(file)
            os.fsync(file.fileno())
        os.replace(part, out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written", why=error.strerror or "") from error
    finally:
        with suppress(OSError):  # never made, where the folder cannot be written
            part.unlink()


def _flushing(stream: IO[str]) -> Any:
    def write(lines: str) -> None:
        stream.write(lines)
        stream.flush()

    return write
