"""Opening a file that comes from outside: what it is and how large it is are checked first.

Every reader of a format goes through `size_of` and `reading`, so that a missing file, a folder, a
pipe, a file without permission or one of absurd size is the same clear `DataError` everywhere.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from dlcli.errors import DataError


def reason(error: OSError) -> str:
    """What the system says about a failed call, without the path, which the message already has."""
    return error.strerror or str(error) or type(error).__name__


def size_of(path: Path, most: int) -> int:
    """The size of a regular file in bytes, at most `most`.

    DataError: there is no such file, it is not a regular file (a pipe would block the program
    for ever), it is empty, or it is larger than `most`.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"{path}: cannot be read", why=why) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise DataError(f"{path}: cannot be read", why=f"it is {kind}")
    if status.st_size == 0:
        raise DataError(f"{path}: the file is empty", hint="copy or download it again")
    if status.st_size > most:
        raise DataError(
            f"{path}: the file is too large",
            why=f"it has {status.st_size:,} bytes; at most {most:,} are read",
        )
    return status.st_size


@contextmanager
def reading(path: Path) -> Iterator[BufferedReader]:
    """The file opened for reading bytes; an OSError while opening or reading is a DataError."""
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path}: cannot be read", why=reason(error)) from error
