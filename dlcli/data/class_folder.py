"""Files in a folder per class, `FOLDER/<class>/<file>`: the layout of images, sounds and the like.

If FOLDER/train holds the class folders, it is the training part, and FOLDER/val and FOLDER/test
are those parts where they exist. A part that does not exist is a stratified, seeded tenth of the
files: at least one of each class, and each class keeps at least one for training.

A file lies directly in its class's folder. Hidden files, files with other endings than those asked
for and files beside the class folders have no class and are no samples; a folder within a class or
a file that is a dangling link is an error, because ignoring it would lose samples in silence.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcli.data.files import reason
from dlcli.data.split import VAL_ONE_IN, stratified
from dlcli.errors import DataError

LEAST = 3  # files of a class that is cut into train, val and test
TEST_ONE_IN, VAL_ONE_IN_OF_REST = 10, 9

Listing = list[tuple[str, list[tuple[str, int]]]]  # per class: its name, (file, bytes) of its files


@dataclass(frozen=True)
class Sought:
    """What is looked for. one, many: what messages call it, "image", "images". suffixes: of the
    files' names, in small letters.
    """

    one: str
    many: str
    suffixes: Collection[str]

    @property
    def layout(self) -> str:
        """What is expected, for messages."""
        file = f"<{self.one}>"
        return f"expected FOLDER/<class>/{file}, or FOLDER/train/<class>/{file} and FOLDER/test/…"


@dataclass(frozen=True)
class Found:
    """The n files of all parts. paths: names below the root, with "/". sizes: in bytes. labels:
    (n,) int64, indices of `classes`. rows: of each part, "train", "val" and "test".
    """

    paths: list[str]
    sizes: list[int]
    labels: np.ndarray
    classes: list[str]
    rows: dict[str, np.ndarray]


def find(root: Path, sought: Sought, *, seed: int = 0) -> Found:
    """The files below `root` with their classes and parts. seed: of the parts that must be cut.

    DataError: the layout is another, fewer than two classes, a class with too few files, a file
    that cannot be listed.
    """
    listings, classes = _survey(root, sought)
    paths, sizes, labels, rows = _flatten(listings, classes)
    return Found(paths, sizes, labels, classes, complete(rows, labels, seed))


def _survey(root: Path, sought: Sought) -> tuple[dict[str, Listing], list[str]]:
    """The listing of each part that exists, and the classes of the training part."""
    top = [entry.name for entry in entries(root) if is_folder(entry, root)]
    nested = "train" in top and any(
        is_folder(entry, root / "train") for entry in entries(root / "train")
    )
    if not nested:
        listings = {"train": _list(root, "", sought)}
        if not listings["train"]:
            loose = any(Path(e.name).suffix.lower() in sought.suffixes for e in entries(root))
            why = (
                f"{sought.many} lie in it, but not in a folder per class"
                if loose
                else "it is empty"
            )
            if not loose and any(entries(root)):
                why = "there is no folder in it"
            raise DataError(f"{root}: holds no classes", why=why, hint=sought.layout)
    else:
        if strange := [name for name in top if name not in ("train", "val", "test")]:
            why = f"beside 'train' there is '{strange[0]}'; only 'val' and 'test' have a meaning"
            raise DataError(f"{root}: the layout is unclear", why=why, hint=sought.layout)
        listings = {
            part: _list(root, part, sought) for part in ("train", "val", "test") if part in top
        }
    classes = [name for name, _ in listings["train"]]
    if len(classes) < 2:
        why = "there is nothing to tell apart"
        raise DataError(
            f"{root}: holds one class only, '{classes[0]}'", why=why, hint=sought.layout
        )
    for part, listing in listings.items():
        if unknown := [name for name, _ in listing if name not in classes]:
            why = f"'{unknown[0]}' is a class of '{part}', but not of 'train'"
            raise DataError(f"{root}: the parts have different classes", why=why)
        if part != "train" and not any(files for _, files in listing):
            raise DataError(f"{root / part}: holds no {sought.many}", hint="fill it or remove it")
    for name, files in listings["train"]:
        least = LEAST if listings.keys() == {"train"} else 4 - len(listings)
        if len(files) < least:
            n = len(files)
            has = f"has {n or 'no'} {sought.one if n == 1 else sought.many}"
            what = f"{root / 'train' if nested else root}: class '{name}' {has}"
            why = f"at least {least} {'is' if least == 1 else 'are'} needed"
            raise DataError(
                what, why=why, hint=f"{sought.many} end in {', '.join(sorted(sought.suffixes))}"
            )
    return listings, classes


def _flatten(
    listings: dict[str, Listing], classes: list[str]
) -> tuple[list[str], list[int], np.ndarray, dict[str, np.ndarray]]:
    """Paths below the root, sizes and labels of all files, and the rows of each part."""
    label_of = {name: label for label, name in enumerate(classes)}
    paths: list[str] = []
    sizes: list[int] = []
    labels: list[int] = []
    rows: dict[str, np.ndarray] = {}
    for part, listing in listings.items():
        first = len(paths)
        for name, files in listing:
            for file, size in files:
                paths.append(file)
                sizes.append(size)
                labels.append(label_of[name])
        rows[part] = np.arange(first, len(paths))
    return paths, sizes, np.array(labels, dtype=np.int64), rows


def complete(rows: dict[str, np.ndarray], labels: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Cuts the parts that do not exist from the training part."""
    rows = dict(rows)
    one_in = VAL_ONE_IN
    if "test" not in rows:
        train = rows["train"]
        kept, taken = stratified(labels[train], TEST_ONE_IN, seed=seed, stream="folder/test")
        rows["train"], rows["test"], one_in = train[kept], train[taken], VAL_ONE_IN_OF_REST
    if "val" not in rows:
        train = rows["train"]
        kept, taken = stratified(labels[train], one_in, seed=seed, stream="folder/val")
        rows["train"], rows["val"] = train[kept], train[taken]
    return rows


def _list(root: Path, part: str, sought: Sought) -> Listing:
    """The class folders below root/part and their files, both by name."""
    listing: Listing = []
    for folder in entries(root / part):
        if not is_folder(folder, root / part):
            continue
        files = []
        for entry in entries(root / part / folder.name):
            path = root / part / folder.name / entry.name
            if is_folder(entry, path.parent):
                link = " (a symbolic link)" if entry.is_symlink() else ""
                why = f"{sought.many} lie directly in the folder of their class"
                raise DataError(
                    f"{path}: a folder{link} inside a class", why=why, hint=sought.layout
                )
            files += sized(root, path, entry, sought)
        listing.append((folder.name, files))
    return listing


def sized(root: Path, path: Path, entry: os.DirEntry[str], sought: Sought) -> list[tuple[str, int]]:
    """(name below the root, bytes) of a file that is one of those sought; [] of any other."""
    if path.suffix.lower() not in sought.suffixes:
        return []
    if not entry.is_file():
        why = "a dangling link" if entry.is_symlink() else "not a regular file"
        raise DataError(f"{path}: cannot be read", why=why)
    return [(path.relative_to(root).as_posix(), entry.stat().st_size)]


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder and not hidden, by name."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed", why=reason(error)) from error
    return sorted(found, key=lambda entry: entry.name)


def is_folder(entry: os.DirEntry[str], parent: Path) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a symbolic link to itself
        raise DataError(f"{parent / entry.name}: cannot be read", why=reason(error)) from error
