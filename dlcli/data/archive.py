"""Unpacks a tar archive from outside: regular files and folders only, inside the target, within
bounds of size, number and ratio; into a staging folder that appears under its name when it is
whole. Python's own extraction is not used: its filters have had holes.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dlcli.errors import DataError, OutputError

MOST_BYTES = 4 << 30  # of all files together
MOST_FILES = 200_000
MOST_RATIO = 100  # unpacked bytes to packed ones; images and texts are below 20
MOST_HEADER = 1 << 20  # bytes of a long name or an extended header
MOST_DEPTH = 16  # folders within folders
CHUNK = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """What an archive may be at most."""

    size: int = MOST_BYTES
    files: int = MOST_FILES
    ratio: float = MOST_RATIO


class _Info(tarfile.TarInfo):
    """Refuses the headers that would be read into memory whole, whatever size they claim."""

    def _proc_member(self, tar):  # type: ignore[no-untyped-def]
        special = (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if self.type in special and self.size > MOST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


def unpack(archive: Path, target: Path, bounds: Bounds | None = None) -> None:
    """Unpacks `archive` into the new folder `target`.

    DataError: it is damaged, or holds what must not be in it: a link, a device, a name outside the
    target or one that occurs twice, too much of anything. OutputError: `target` exists, or cannot
    be written. Either way nothing is left.
    """
    if os.path.lexists(target):
        raise OutputError(f"{target}: exists", why="nothing is overwritten", hint="move it away")
    stage = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        os.makedirs(stage)
        for member, path, file in _members(archive, stage, bounds or Bounds()):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(os.open(path, flags, 0o644), "wb") as out:
                _copy(archive, member, file, out)
        os.rename(stage, target)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"{target}: cannot be written", why=why) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _copy(archive: Path, member: tarfile.TarInfo, file, out) -> None:  # type: ignore[no-untyped-def]
    left = member.size
    while left:
        chunk = _read(archive, file, min(CHUNK, left))
        if not chunk:
            raise _damaged(archive, f"{member.name} is cut short")
        out.write(chunk)
        left -= len(chunk)


def _read(archive: Path, file, size: int) -> bytes:  # type: ignore[no-untyped-def]
    try:
        found: bytes = file.read(size)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _damaged(archive, str(error)) from error
    return found


def _members(archive: Path, stage: Path, bounds: Bounds) -> Iterator[tuple]:  # type: ignore[type-arg]
    """(member, where it goes, its contents) of each regular file; folders are passed over."""
    packed, total, count = os.stat(archive).st_size, 0, 0
    seen: set[str] = set()
    tar = _opened(archive)
    with tar:
        while (member := _next(archive, tar)) is not None:
            tar.members = []  # it would keep every header
            total, count = total + member.size + tarfile.BLOCKSIZE, count + 1
            if count > bounds.files:
                raise _refused(archive, f"it holds more than {bounds.files:,} files")
            if total > bounds.size:
                raise _refused(archive, f"it unpacks to more than {bounds.size:,} bytes")
            if total > max(bounds.ratio * packed, CHUNK):
                raise _refused(archive, f"it unpacks to more than {bounds.ratio:g} times its size")
            path = _inside(archive, member.name)
            if member.isdir():
                continue
            if not member.isreg():
                what = "a link" if member.islnk() or member.issym() else "no regular file"
                raise _refused(archive, f"'{member.name}' is {what}")
            key = unicodedata.normalize("NFC", str(path)).casefold()
            if key in seen:
                raise _refused(archive, f"'{member.name}' occurs twice")
            seen.add(key)
            yield member, stage / path, tar.extractfile(member)


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The name as a path below the target."""
    path = PurePosixPath(name)
    bad = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name
    if bad or len(path.parts) > MOST_DEPTH or len(name) > 1000:
        raise _refused(archive, f"'{name[:80]}' is no name within a folder")
    return path


def _opened(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive, "r|gz", tarinfo=_Info)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise _damaged(archive, str(error)) from error
    except TypeError as error:  # what tarfile raises where gzip's header is cut short
        raise _damaged(archive, "the gzip stream ends within its header") from error


def _next(archive: Path, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return tar.next()
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise _damaged(archive, str(error)) from error


def _refused(archive: Path, why: str) -> DataError:
    return DataError(f"{archive}: is not unpacked", why=why)


def _damaged(archive: Path, why: str) -> DataError:
    return DataError(f"{archive}: is damaged", why=why, hint="remove it and get it again")
