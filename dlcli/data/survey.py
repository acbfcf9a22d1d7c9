"""A folder of files as it is, good or bad: what `class_folder.find` would refuse is listed here.

The layouts are those of `class_folder` and `flat_folder`: FOLDER/<class>/<file>, the same below
FOLDER/train, FOLDER/val and FOLDER/test, or files without classes.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dlcli.data.class_folder import LEAST, Sought, entries, is_folder
from dlcli.data.findings import Finding
from dlcli.errors import DataError

PARTS = ("train", "val", "test")
WHOLE = "all"  # the part of a folder that has none


@dataclass(frozen=True)
class File:
    """path: below the root, with "/". part: of PARTS, or WHOLE. label: its class, "" without one.
    size: in bytes.
    """

    path: str
    part: str
    label: str
    size: int


@dataclass
class Survey:
    """The files that are samples by their names, the classes, the parts, and what is wrong."""

    root: Path
    files: list[File] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many files there are, by part and class."""
        found = {part: dict.fromkeys(self.classes, 0) for part in self.parts}
        for file in self.files:
            found[file.part][file.label] = found[file.part].get(file.label, 0) + 1
        return found


def look(root: Path, sought: Sought) -> Survey:
    """Walks a folder. DataError: it cannot be listed, or holds no file of those sought."""
    survey = Survey(root)
    folders = _folders(root, entries(root), survey)
    nested = "train" in folders and bool(_folders(root / "train", _listed(survey, "train"), survey))
    if not nested and not folders:
        survey.parts = [WHOLE]
        _take(survey, sought, WHOLE, "", "")
    elif not nested:
        survey.parts = [WHOLE]
        for name in folders:
            _class(survey, sought, WHOLE, name, name)
    else:
        survey.parts = [part for part in PARTS if part in folders]
        for part in survey.parts:
            for name in _folders(root / part, _listed(survey, part), survey):
                _class(survey, sought, part, name, f"{part}/{name}")
        for name in folders:
            if name not in PARTS:
                why = "beside 'train' only 'val' and 'test' have a meaning"
                survey.findings.append(Finding("layout", (name,), why))
    passed_over = all(finding.kind == "ignored" for finding in survey.findings)
    if not survey.files and passed_over:
        why = "; ".join(finding.why for finding in survey.findings)
        raise DataError(f"{root}: holds no {sought.many}", why=why, hint=sought.layout)
    _count(survey)
    return survey


def _folders(parent: Path, listed: list[os.DirEntry[str]], survey: Survey) -> list[str]:
    found = []
    for entry in listed:
        try:
            if is_folder(entry, parent):
                found.append(entry.name)
        except DataError as error:
            path = (parent / entry.name).relative_to(survey.root).as_posix()
            finding = Finding("layout", (path,), error.why)
            if finding not in survey.findings:
                survey.findings.append(finding)
    return found


def _listed(survey: Survey, below: str) -> list[os.DirEntry[str]]:
    """What is in a folder, none if it cannot be listed."""
    try:
        return entries(survey.root / below)
    except DataError as error:
        finding = Finding("unreadable", (below,), error.why)
        if finding not in survey.findings:
            survey.findings.append(finding)
        return []


def _class(survey: Survey, sought: Sought, part: str, name: str, below: str) -> None:
    if name not in survey.classes:
        survey.classes.append(name)
    before = len(survey.files)
    _take(survey, sought, part, name, below)
    if len(survey.files) == before and part in ("train", WHOLE):
        survey.findings.append(Finding("empty-class", (below,), f"it holds no {sought.many}"))


def _take(survey: Survey, sought: Sought, part: str, label: str, below: str) -> None:
    """The files directly in a folder."""
    ignored: Counter[str] = Counter()
    folder = survey.root / below
    listed = _listed(survey, below)
    folders = set(_folders(folder, listed, survey))
    for entry in listed:
        path = (folder / entry.name).relative_to(survey.root).as_posix()
        suffix = Path(entry.name).suffix.lower()
        if entry.name in folders:
            survey.findings.append(Finding("layout", (path,), "a folder inside a class"))
        elif suffix not in sought.suffixes:
            ignored[suffix or "no ending"] += 1
        elif not _is_file(entry):
            why = "a dangling link" if entry.is_symlink() else "not a regular file"
            survey.findings.append(Finding("unreadable", (path,), why))
        else:
            survey.files.append(File(path, part, label, entry.stat().st_size))
    if ignored:
        why = ", ".join(f"{n:,} {suffix}" for suffix, n in ignored.most_common())
        survey.findings.append(Finding("ignored", (below or ".",), why))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a symbolic link to itself
        return False


def _count(survey: Survey) -> None:
    """Classes that are too small for training to begin, or that it has never seen."""
    counts = survey.counts()
    learned = counts.get("train", counts.get(WHOLE, {}))
    least = LEAST if WHOLE in counts else 4 - len(counts)
    for name in survey.classes:
        n = learned.get(name, 0)
        if 0 < n < least:
            why = f"{n}, at least {least} are needed"
            survey.findings.append(Finding("too-few", (name,), why))
        if "train" in counts and not n and any(of.get(name) for of in counts.values()):
            survey.findings.append(Finding("layout", (name,), "a class that 'train' has not"))
    if len(survey.classes) == 1:
        why = "there is nothing to tell apart"
        survey.findings.append(Finding("too-few", (survey.classes[0],), f"the only class: {why}"))
    for part in counts:
        if part != "train" and part != WHOLE and not sum(counts[part].values()):
            survey.findings.append(Finding("layout", (part,), "the part is empty"))
