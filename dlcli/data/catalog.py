"""Finds datasets by name or path.

A named dataset is a module of this package that has a `DESCRIPTION`; its name is the file's with
`_` as `-`. Adding the file is all there is to adding a dataset. Such a module has

    DESCRIPTION, CLASSES, SHAPE, RECIPE     what it is, and defaults for training on it
    KIND                                    of its samples, "image" if it does not say
    KINDS                                   instead of KIND and SHAPE, where a model may choose: the
                                            shape by kind, the usual one first
    COUNTS                                  samples per published part
    FOLDERS                                 where its files lie below a data folder; () if embedded
    FILES, HOMEPAGE                         what to get, and from where
    missing(folder) -> list[str]            the files that a folder lacks
    load_parts(folder) -> dict[str, Part]   the parts: "train", "test", perhaps "val"
    load(folder, seed, options) -> Dataset  instead of load_parts, where parts are not cut at random
    place(folder) -> Path                   instead of both, where its kind loads it from there as a
                                            user's own

Named datasets are looked for in the folder that the user gives, then in $DLCLI_DATA, then in the
user's cache; the first place that has all files is taken.
"""

import importlib
import os
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import dlcli.data
from dlcli.data import kind as kinds
from dlcli.data.dataset import Dataset, DatasetInfo, Part, Subset, fingerprint
from dlcli.data.image_kind import KIND as IMAGES
from dlcli.data.kind import Kind, Shape
from dlcli.data.sources import SOURCES
from dlcli.data.split import VAL_ONE_IN, stratified
from dlcli.errors import DataError, UsageError, did_you_mean

ENVIRONMENT = "DLCLI_DATA"


@cache
def _modules() -> dict[str, ModuleType]:
    """The dataset modules by name."""
    found = {}
    for entry in pkgutil.iter_modules(dlcli.data.__path__):
        if not entry.name.startswith("_"):
            module = importlib.import_module(f"dlcli.data.{entry.name}")
            if hasattr(module, "DESCRIPTION"):
                found[entry.name.replace("_", "-")] = module
    return dict(sorted(found.items()))


def names() -> list[str]:
    """The names of all datasets, sorted."""
    return list(_modules())


def describe(name: str, *, data_dir: Path | None = None, kind: Kind | None = None) -> DatasetInfo:
    """What is known of a dataset without loading it, as samples of `kind` where it can be read so.

    UsageError: there is none of that name.
    """
    module = _module(name)
    shape, kind = _form(module, kind)
    folder = _locate(module, data_dir)
    absent = bool(module.FOLDERS) and folder is None
    return DatasetInfo(
        name=name,
        description=module.DESCRIPTION,
        shape=shape,
        classes=list(module.CLASSES),
        counts=dict(module.COUNTS),
        recipe=dict(module.RECIPE),
        embedded=not module.FOLDERS,
        folder=folder,
        how_to_get=_how_to_get(module, data_dir) if absent else "",
        files=tuple(module.FILES),
        kind=kind,
    )


def load(
    source: str,
    *,
    data_dir: Path | None = None,
    seed: int = 0,
    kind: Kind | None = None,
    **options: Any,
) -> Dataset:
    """The dataset of that name, or what a user has at that path, read as samples of `kind`.

    data_dir: where named datasets are looked for first. seed: of the parts that are cut from
    others (a missing validation part is a stratified tenth of the training part); it is no
    training seed. options: of the dataset's kind (None and False say nothing): image_size and
    grayscale for folders, max_length and vocabulary for texts.

    UsageError: an unknown name, or an option that does not apply. DataError: files that are
    missing or damaged.
    """
    given = {k: v for k, v in options.items() if v is not None and v is not False}
    if source not in _modules():
        return _load_path(source, seed, given, kind or IMAGES)
    module = _module(source)
    base, kind = _form(module, kind)
    if given and not set(given) <= set(kind.options):
        raise _does_not_apply(source, given, kind)
    folder = _locate(module, data_dir)
    if module.FOLDERS and folder is None:
        raise _not_found(source, module, data_dir)
    if hasattr(module, "place"):
        return replace(kind.load(module.place(folder), seed, given), name=source, source=source)
    if hasattr(module, "load"):
        return replace(module.load(folder, seed, given), name=source, source=source)
    parts: dict[str, Part] = dict(module.load_parts(folder))
    if "val" not in parts:
        kept, taken = stratified(parts["train"].labels, VAL_ONE_IN, seed=seed)
        train = parts["train"]
        parts |= {"train": Subset(train, kept), "val": Subset(train, taken)}
    shape = kind.shape(source, base, parts["train"], given)
    return Dataset(
        name=source,
        classes=list(module.CLASSES),
        shape=shape,
        splits={part: parts[part] for part in ("train", "val", "test")},
        recipe=dict(module.RECIPE),
        fingerprint=fingerprint(module.CLASSES, shape, parts),
        source=source,
        kind=kind,
    )


def _form(module: ModuleType, wanted: Kind | None) -> tuple[Shape, Kind]:
    """The shape and kind of a dataset's samples: those that are wanted, if it can be read so, be it
    as samples of another kind that the wanted one reads.
    """
    forms: dict[str, Shape]
    if hasattr(module, "KINDS"):
        forms = module.KINDS
    else:
        forms = {getattr(module, "KIND", IMAGES.name): module.SHAPE}
    if wanted is not None:
        for name in (wanted.name, getattr(wanted, "reads", "")):
            if name in forms:
                return forms[name], wanted
    name = next(iter(forms))
    return forms[name], kinds.of(name)


def _does_not_apply(source: str, given: Mapping[str, Any], kind: Kind) -> UsageError:
    key = next(key for key in given if key not in kind.options)
    return UsageError(
        f"data.{key} does not apply to {source}",
        why=f"its samples are {kind.many}",
        hint=f"there is: {', '.join(kind.options)}",
    )


def _module(name: str) -> ModuleType:
    known = _modules()
    if name not in known:
        raise UsageError(f"there is no dataset '{name}'", hint=did_you_mean(name.lower(), known))
    return known[name]


def _load_path(source: str, seed: int, given: dict[str, Any], kind: Kind) -> Dataset:
    path = Path(os.path.expanduser(source))
    if not source or not os.path.lexists(path):
        if any(mark in source for mark in ("/", "\\", ".", "~")):
            raise DataError(f"{source}: there is no such file or folder")
        _module(source)
    if not set(given) <= set(kind.options):
        raise _does_not_apply(source, given, kind)
    return replace(kind.load(path, seed, given), source=source)


def _roots(data_dir: Path | None) -> list[Path]:
    """The data folders to look in, in order."""
    from platformdirs import user_cache_path

    roots = [Path(os.path.expanduser(data_dir))] if data_dir is not None else []
    if given := os.environ.get(ENVIRONMENT):
        roots.append(Path(os.path.expanduser(given)))
    return [*roots, user_cache_path("dlcli") / "data"]


def _locate(module: ModuleType, data_dir: Path | None) -> Path | None:
    """The first folder that has all files of a dataset."""
    if not module.FOLDERS:
        return None
    for root in _roots(data_dir):
        for below in module.FOLDERS:
            if os.path.isdir(root / below) and not module.missing(root / below):
                return root / below
    return None


def _not_found(name: str, module: ModuleType, data_dir: Path | None) -> DataError:
    places = [root / below for root in _roots(data_dir) for below in module.FOLDERS]
    hint = _how_to_get(module, data_dir)
    for place in places:
        if os.path.isdir(place):
            absent = module.missing(place)
            return DataError(f"{name}: {place} lacks {', '.join(absent)}", hint=hint)
    looked = [str(root / module.FOLDERS[0]) for root in _roots(data_dir)]
    return DataError(
        f"{name}: its files are not here", why=f"not in {', '.join(looked)}", hint=hint
    )


def place_for(name: str, data_dir: Path | None) -> Path:
    """The folder into which the files of a dataset belong, where they are not anywhere yet."""
    return _roots(data_dir)[0] / _module(name).FOLDERS[0]


def _how_to_get(module: ModuleType, data_dir: Path | None) -> str:
    target = _roots(data_dir)[0] / module.FOLDERS[0]
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    command = f"dlcli data get {name}, or " if name in SOURCES else ""
    return f"{command}put {', '.join(module.FILES)} from {module.HOMEPAGE} into {target}"
