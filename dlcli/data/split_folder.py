"""Divides a folder with a folder per class into train, val and test, in a new folder.

    OUT/train/<class>/<file>   OUT/val/…   OUT/test/…   OUT/split.json

OUT appears complete or not at all: it is made beside its place under a hidden name, and renamed.
Files that are moved are hard links in it first; the originals go when it is there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data import check_files, duplicates, parting, survey
from dlcli.data.check_files import Progress, Reader
from dlcli.data.survey import File
from dlcli.errors import DataError, OutputError

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Plan:
    """files: of the folder `root`. parts: (n,) indices of PARTS. together: groups of files that are
    the same or look it, by position. unreadable: files that cannot be decoded, divided all the
    same. ignored: folders with files that are no samples, and which.
    """

    root: Path
    files: list[File]
    parts: np.ndarray
    together: list[list[int]]
    unreadable: list[str]
    ignored: dict[str, str]

    def counts(self) -> dict[str, dict[str, int]]:
        """Files by part and class; parts that get none are left out."""
        found: dict[str, dict[str, int]] = {}
        for p, part in enumerate(PARTS):
            names = [self.files[i].label for i in np.flatnonzero(self.parts == p)]
            if names:
                found[part] = {name: names.count(name) for name in sorted(set(names))}
        return found


def plan(
    root: Path,
    reader: Reader,
    *,
    val: float,
    test: float,
    seed: int,
    looks: bool,
    progress: Progress,
) -> Plan:
    """Where each file would go. looks: images that look alike stay together, as copies do.

    DataError: the folder is divided already, holds no classes, or files are not in their place.
    """
    found = survey.look(root, reader.sought)
    if found.parts != [survey.WHOLE]:
        raise DataError(f"{root}: is divided already", why=f"it has {', '.join(found.parts)}")
    if not found.classes:
        raise DataError(f"{root}: holds no classes", hint=reader.sought.layout)
    for kind in ("layout", "unreadable"):
        for one in (finding for finding in found.findings if finding.kind == kind):
            hint = f"dlcli data check {root}"
            raise DataError(f"{root / one.samples[0]}: {one.why}", hint=hint)
    contents: list[bytes] = []
    facts: list[Any] = []
    unreadable = []
    for i, (file, fact) in enumerate(check_files.examined(found, reader, progress)):
        if isinstance(fact, DataError):
            unreadable.append(file.path)
            contents.append(str(i).encode())
        else:
            contents.append(fact.digest)
            facts.append((i, fact))
    together = _together(contents, facts, reader if looks else None)
    labels = np.array([found.classes.index(file.label) for file in found.files], np.int64)
    parts = parting.assign(labels, together, (1 - val - test, val, test), seed=seed)
    ignored = {one.samples[0]: one.why for one in found.findings if one.kind == "ignored"}
    return Plan(root, found.files, parts, together, unreadable, ignored)


def _together(
    contents: list[bytes], facts: list[tuple[int, Any]], reader: Reader | None
) -> list[list[int]]:
    """Groups of files that stay in one part."""
    groups = duplicates.exact(contents)
    if reader is not None:
        alike, _ = duplicates.near_of([reader.thumb(fact) for _, fact in facts])
        groups += [[facts[i][0] for i in group] for group in alike]
    pairs = [(group[0], other) for group in groups for other in group[1:]]
    return duplicates.joined(len(contents), pairs)


# --- carrying it out ----------------------------------------------------------------------------


def copy(source: Path, target: Path) -> None:
    """A copy, with its times."""
    shutil.copy2(source, target)


def link(source: Path, target: Path) -> None:
    """A symbolic link to where the file lies now."""
    os.symlink(os.path.abspath(source), target)


def hold(source: Path, target: Path) -> None:
    """Another name of the same file, or a copy where the system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


WAYS: dict[str, Callable[[Path, Path], None]] = {"copy": copy, "link": link, "move": hold}


def carry_out(plan: Plan, out: Path, way: str, about: dict[str, Any], progress: Progress) -> None:
    """Makes `out`. way: of WAYS. about: for split.json.

    OutputError: it exists, or writing failed; then nothing is left of it and no file is gone.
    """
    stage = out.parent / f".{out.name}.{os.getpid()}.part"
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        stage.mkdir()
        try:
            for i, file in enumerate(plan.files):
                target = stage / PARTS[plan.parts[i]] / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                WAYS[way](plan.root / file.path, target)
                progress(i + 1, len(plan.files))
            (stage / "split.json").write_text(json.dumps(about, indent=2) + "\n")
            _sync()
            if os.path.lexists(out):  # a rename would replace an empty folder
                raise FileExistsError(17, "it exists", str(out))
            os.rename(stage, out)
        except BaseException:  # Ctrl-C too: nothing may be left behind
            shutil.rmtree(stage, ignore_errors=True)
            raise
        _sync()
    if way == "move":
        _remove(plan)


def _remove(plan: Plan) -> None:
    """The originals, which lie in the new folder now, and the folders that are empty then."""
    for file in plan.files:
        with suppress(FileNotFoundError), _writing(plan.root / file.path):
            os.unlink(plan.root / file.path)
    for label in {file.label for file in plan.files}:
        with suppress(OSError):
            os.rmdir(plan.root / label)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns an OSError into an OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written", why=why) from error


def _sync() -> None:
    """What was written is on the disk, where the system can say so."""
    if hasattr(os, "sync"):
        os.sync()
