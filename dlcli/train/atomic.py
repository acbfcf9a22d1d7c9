"""Files and folders that appear under their name complete or not at all, power loss included.

Bytes go to a temporary name in the same folder, are fsynced, renamed, and the folder is fsynced
(Pillai et al., "All file systems are not created equal", OSDI 2014, shows that no step of these
may be left out). An OSError becomes an OutputError (exit 9); what was there before is intact.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dlcli.errors import OutputError

HINTS = {
    errno.ENOSPC: "free some space, then resume",
    errno.EDQUOT: "free some of your quota, then resume",
    errno.EROFS: "choose a folder that can be written, with --out",
    errno.EACCES: "choose a folder that you may write, with --out",
    errno.EPERM: "choose a folder that you may write, with --out",
}
_numbers = itertools.count()


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turns an OSError into an OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written",
            why=error.strerror or str(error),
            hint=HINTS.get(error.errno or 0, ""),
        ) from error


def write_file(path: Path, data: bytes) -> None:
    """Replaces the file `path` by `data`, all or nothing. OutputError: writing failed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.tmp")
    with output_errors(path):
        try:
            _create(temporary, data)
            os.replace(temporary, path)
            _fsync_folder(path.parent)
        except BaseException:  # a signal too: nothing may be left behind
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def append(path: Path, data: bytes) -> None:
    """Adds `data` at the end of `path`, all or nothing unless killed. OutputError: it failed."""
    with output_errors(path):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = os.fstat(file).st_size
            try:
                _write(file, data)
                os.fsync(file)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, size)
                raise
        finally:
            os.close(file)


def replace_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Replaces the folder `path` by one that holds `files`, written in their order.

    A folder cannot be renamed over one that is not empty, so there are three names: the new one
    is written as <name>.tmp, then <name> → <name>.old, <name>.tmp → <name>, and the old one is
    removed. At every moment one of `candidates(path)`, in that order, is complete. One writer at
    a time; it tidies up after one that was killed. OutputError: writing failed, `path` is as
    before (or new already, where only the last fsync failed).
    """
    new, old = path.with_name(path.name + ".tmp"), path.with_name(path.name + ".old")
    with output_errors(path):
        if not path.exists() and old.exists():
            os.rename(old, path)  # the last writer died between its two renames
        _remove(new)
        try:
            os.mkdir(new)
            for name, data in files.items():
                _create(new / name, data)
            _fsync_folder(new)
            if path.exists():
                _remove(old)
                os.rename(path, old)
            os.rename(new, path)
            _fsync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                if not path.exists() and old.exists():
                    os.rename(old, path)
                _remove(new)
            raise
    shutil.rmtree(old, ignore_errors=True)  # the new one is safe: what is left is only untidy


def candidates(path: Path) -> list[Path]:
    """Where the folder `path` may be found after a writer was killed, first choice first."""
    return [path, path.with_name(path.name + ".old"), path.with_name(path.name + ".tmp")]


def make_folder(path: Path) -> Path:
    """Makes `path` and its parents where they are missing. OutputError: it cannot be."""
    with output_errors(path):
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
    return path


def tidy(folder: Path) -> None:
    """Removes the temporary files that killed writers left in `folder`. One writer at a time."""
    for leftover in folder.glob(".*.tmp"):
        with suppress(OSError):
            leftover.unlink()


def _create(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _write(file, data)
        os.fsync(file)
    finally:
        os.close(file)


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:  # a write may take less than it was given
        rest = rest[os.write(file, rest) :]


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _fsync_folder(folder: Path) -> None:
    """Makes names durable; where the system cannot fsync a folder, its renames must do."""
    if os.name == "nt":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(file)
