"""Checks a folder of files, one sample in each: images, sounds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dlcli.data import duplicates, survey
from dlcli.data.class_folder import Sought
from dlcli.data.file_inputs import error_of
from dlcli.data.findings import Finding, Report, balance, doubles, spread
from dlcli.data.survey import File, Survey
from dlcli.errors import DataError

THREADS = min(4, os.cpu_count() or 1)  # each may hold an image of image.MAX_PIXELS
AT_ONCE = 256  # files that are asked for before their answers are taken
Progress = Callable[[int, int], object]  # (done, of how many)


class Reader(Protocol):
    """What is known of one kind of file.

    kind: as dlcli.data.kind says it. sought: how such files are found.
    """

    kind: str
    sought: Sought

    def examine(self, path: Path) -> Any:
        """The facts of a file, with `digest` and `misnamed`. DataError: it
        cannot be read.
        """

    def summary(self, facts: Sequence[Any]) -> dict[str, Any]:
        """Figures of all files that could be read, for the report."""

    def thumb(self, fact: Any) -> np.ndarray | None:
        """(16, 16) uint8, by which looks are compared; None of what cannot be so."""


@dataclass
class Images:
    """Reader of images."""

    kind = "image"

    @property
    def sought(self) -> Sought:
        from dlcli.data.folder import IMAGES

        return IMAGES

    def examine(self, path: Path) -> Any:
        from dlcli.data.image_facts import examine

        return examine(path)

    def summary(self, facts: Sequence[Any]) -> dict[str, Any]:
        return {
            "width": spread([fact.width for fact in facts]),
            "height": spread([fact.height for fact in facts]),
            "formats": dict(Counter(fact.format for fact in facts).most_common()),
            "modes": dict(Counter(fact.mode for fact in facts).most_common()),
            "traits": dict(Counter(t for fact in facts for t in fact.traits).most_common()),
        }

    def thumb(self, fact: Any) -> np.ndarray | None:
        found: np.ndarray | None = fact.thumb
        return found


@dataclass(frozen=True)
class Sound:
    """Facts of a WAV file. seconds: how long it is."""

    rate: int
    channels: int
    seconds: float
    digest: bytes
    misnamed: bool = False


class Sounds:
    """Reader of WAV files."""

    kind = "audio"

    @property
    def sought(self) -> Sought:
        from dlcli.data.audio_folder import SOUNDS

        return SOUNDS

    def examine(self, path: Path) -> Any:
        from dlcli.data import wav
        from dlcli.data.audio import MOST_SECONDS
        from dlcli.data.image_facts import content

        header = wav.probe(path)
        rate = header.rate
        wav.read(path, rate, min(header.length(rate), MOST_SECONDS * rate))
        return Sound(rate, header.channels, header.length(rate) / rate, content(path))

    def summary(self, facts: Sequence[Any]) -> dict[str, Any]:
        return {
            "seconds": spread([fact.seconds for fact in facts]),
            "rates": dict(Counter(str(fact.rate) for fact in facts).most_common()),
            "channels": dict(Counter(str(fact.channels) for fact in facts).most_common()),
        }

    def thumb(self, fact: Any) -> np.ndarray | None:
        return None


def check(root: Path, reader: Reader, *, looks: bool = True, progress: Progress) -> Report:
    """Looks at every file below `root`. looks: also for images that look alike.

    Memory: the facts of a file, some 300 bytes each, and THREADS files at a time. DataError: the
    folder cannot be listed, or holds no such files.
    """
    found = survey.look(root, reader.sought)
    report = Report(str(root), reader.kind, reader.sought.many, found.classes, found.counts())
    report.findings += found.findings
    good: list[File] = []
    facts: list[Any] = []
    for file, fact in examined(found, reader, progress):
        if isinstance(fact, DataError):
            why = error_of(str(root / file.path), fact)
            report.findings.append(Finding("unreadable", (file.path,), why))
            continue
        good.append(file)
        facts.append(fact)
        if fact.misnamed:
            report.findings.append(Finding("misnamed", (file.path,), f"it is {fact.format}"))
    report.findings += balance(report.counts) if found.classes else []
    report.facts = {"bytes": sum(file.size for file in found.files)}
    if facts:
        report.facts |= reader.summary(facts)
        _doubles(report, good, facts, reader, looks)
    return report


def examined(
    found: Survey, reader: Reader, progress: Progress
) -> Iterator[tuple[File, Any | DataError]]:
    """Each file with its facts, or with the error that came instead, in their order."""

    def one(file: File) -> Any | DataError:
        try:
            return reader.examine(found.root / file.path)
        except DataError as error:
            return error

    with ThreadPoolExecutor(THREADS, "dlcli-check") as pool:
        for start in range(0, len(found.files), AT_ONCE):
            some = found.files[start : start + AT_ONCE]
            try:
                yield from zip(some, pool.map(one, some), strict=True)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            progress(start + len(some), len(found.files))


def _doubles(
    report: Report, files: Sequence[File], facts: Sequence[Any], reader: Reader, looks: bool
) -> None:
    names, parts = [file.path for file in files], [file.part for file in files]
    labels = [file.label for file in files]
    same = duplicates.exact([fact.digest for fact in facts])
    report.findings += doubles(same, names, parts, labels)
    if not looks:
        return
    copies = {i for group in same for i in group[1:]}
    thumbs = [None if i in copies else reader.thumb(fact) for i, fact in enumerate(facts)]
    alike, complete = duplicates.near_of(thumbs)
    report.findings += doubles(alike, names, parts, labels, prefix="near-")
    if any(thumb is not None for thumb in thumbs):
        report.compared = "content and looks" if complete else "content, and looks in part"


READERS: dict[str, Reader] = {"image": Images(), "audio": Sounds()}
