"""What PATH|NAME of `dlcli data` means: a dataset that is known by name, or what lies at a path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from dlcli.cli import build
from dlcli.cli.train import data_settings
from dlcli.errors import UsageError, did_you_mean


def kind_named(name: str) -> Any:
    """The kind of samples of that name. UsageError: there is none."""
    from dlcli.data import kind as kinds

    if name not in kinds.names():
        raise UsageError(f"--kind: there is no '{name}'", why=did_you_mean(name, kinds.names()))
    return kinds.of(name)


def reading_options(function: Any) -> Any:
    """--kind, and an option for each key of [data], as `dlcli train` has them: the command gets
    `kind` and the keys.
    """
    what = "Of the samples, where the path does not say it: image, text, audio, …"
    return click.option("--kind", metavar="KIND", help=what)(data_settings(function))


def load(source: str, kind: str | None, data_dir: Path | None, **options: Any) -> Any:
    """The dataset. kind: of its samples, guessed from what lies there if it is None. options: keys
    of [data]; what is None or False was not given.
    """
    from dlcli.data import catalog, guess

    if source in catalog.names():
        wanted = None if kind is None else kind_named(kind)
    else:
        path = path_of(source)
        name = guess.kind(path, given_of(options)) if kind is None else kind
        wanted = kind_named(name)
    found = catalog.load(source, data_dir=data_dir, kind=wanted, **options)
    build.tell_left_out(found)
    return found


def given_of(options: Mapping[str, Any]) -> list[str]:
    """The keys of [data] that were given."""
    return [key for key, value in options.items() if value is not None and value is not False]


def path_of(source: str) -> Path:
    """A path that exists. UsageError: it is a name of no dataset; DataError: of no file."""
    from dlcli.data import catalog
    from dlcli.errors import DataError

    path = Path(os.path.expanduser(source))
    if not source or not os.path.lexists(path):
        if any(mark in source for mark in ("/", "\\", ".", "~")):
            raise DataError(f"{source}: there is no such file or folder")
        why = f"there is neither a dataset nor a file '{source}'"
        raise UsageError(why, why=did_you_mean(source, catalog.names()))
    return path


def check(
    source: str,
    kind: str | None,
    data_dir: Path | None,
    looks: bool,
    progress: Callable[[int, int], object],
    **options: Any,
) -> Any:
    """The report of `dlcli data check`: of the files of a folder, or of what can be loaded."""
    from dlcli.data import catalog, check_dataset, check_files, guess

    if source not in catalog.names():
        path = path_of(source)
        given = given_of(options)
        name = kind_named(kind).name if kind is not None else guess.kind(path, given)
        if os.path.isdir(path) and name in check_files.READERS:
            if given:
                option = f"--{given[0].replace('_', '-')}"
                why = "files are looked at as they are"
                raise UsageError(f"{option} does not apply to a folder", why=why)
            reader = check_files.READERS[name]
            return check_files.check(path, reader, looks=looks, progress=progress)
    dataset = load(source, kind, data_dir, **options)
    return check_dataset.check(dataset, looks=looks, progress=progress)


def place(info: Any) -> str:
    """Where a dataset that is known by name lies."""
    return "embedded" if info.embedded else str(info.folder or "not here")


def facts(info: Any) -> dict[str, Any]:
    """A dataset that is known by name, for --json."""
    return {
        "name": info.name,
        "description": info.description,
        "kind": info.kind.name,
        "shape": info.shape,
        "classes": info.classes,
        "counts": info.counts,
        "recipe": info.recipe,
        "embedded": info.embedded,
        "available": info.embedded or info.folder is not None,
        "folder": info.folder,
        "files": info.files,
        "how_to_get": info.how_to_get or None,
    }


def drawn(
    dataset: Any, part: str, n: int, seed: int, augment: str | None = None, epochs: int = 1
) -> list[dict[str, Any]]:
    """n samples of a part: {"id", "label", "sample"}, of its classes in turn. augment: what varies
    them, each as in so many epochs.

    UsageError: there is no such part, or samples of that kind say nothing one by one.
    """
    import numpy as np

    from dlcli.data import views

    view = views.of(dataset.kind)
    split = dataset.splits[part]
    rows = views.chosen(split, n, dataset.classes, seed)
    if augment is not None:
        from dlcli.data import augmented

        return augmented.shown(dataset, part, augment, rows, seed, epochs)
    samples = list(view.each(split.samples(np.array(rows, np.int64)))) if rows else []
    return [
        {"id": split.id(row), "label": views.label(dataset, split, row), "sample": sample}
        for row, sample in zip(rows, samples, strict=True)
    ]


def reader(path: Path) -> Any:
    """What examines the files of a folder, by what it holds: images or sounds."""
    from dlcli.data import check_files, guess

    return check_files.READERS[guess.kind(path)]
