"""From names to things: the device, a model by its name or file, and the model of a trained run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dlcli.cli import config, output
from dlcli.errors import CheckpointError, DataError, UsageError
from dlcli.train.task import Trained


def device(
    name: str, threads: int | None, precision: str = "float32", *, no_plan: bool = False
) -> Any:
    """Makes `name` the device in use and returns its executor; says why "auto" passed over CUDA.

    no_plan: nothing is repeated without calling the model.

    DeviceError: the device is not there, or does not compute in that precision.
    """
    _say_what_is_compiled()
    from dlcli.engine import device as devices
    from dlcli.engine import executor

    chosen, note = devices.choose(name)
    if note:
        output.note(note)
    made = executor.configure(threads, chosen, precision)
    made.plans = made.plans and not no_plan
    return made


@cache
def _say_what_is_compiled() -> None:
    """Tells on stderr when a kernel is compiled, which takes seconds: once for each file."""
    from dlcli_kernels import cpu

    said = set()
    kept = cpu.cache_folder() is not None
    often = "once per machine" if kept else "anew each time: set DLCLI_CACHE to a folder to keep it"

    def tell(name: str) -> None:
        if name not in said:
            said.add(name)
            output.note(f"compiling {name} ({often}) …")

    cpu.on_compile(tell)


def model_module(name: str | None, file: Path | None) -> tuple[str, Any]:
    """The name and module of a model, from the catalogue or from a file of the user's."""
    from dlcli.models import catalog

    if file is not None:
        return name or file.stem, catalog.load_file(file)
    if name is None:
        raise UsageError("which model?", why="MODEL is missing", hint="see 'dlcli models list'")
    return name, catalog.load(name)


def kinds_of(module: Any) -> list[Any]:
    """The kinds of samples that a model takes, the usual one first: images unless it says so."""
    from dlcli.data import kind

    return [kind.of(name) for name in getattr(module, "KINDS", (getattr(module, "KIND", "image"),))]


def kind_of(module: Any, source: str | None = None) -> Any:
    """The kind of samples that a model takes of a dataset, by its name or its file's suffix, where
    it takes several; the usual one otherwise.
    """
    from dlcli.data import catalog

    usual, *others = kinds_of(module)
    if source is None or not others:
        return usual
    if source in catalog.names():
        return next((k for k in others if k is catalog.describe(source).kind), usual)
    suffix = Path(source).suffix.lower()
    return next((k for k in others if suffix in getattr(k, "suffixes", ())), usual)


def restore(path: Path, file: Path | None, *, which: str = "best") -> Trained:
    """The model of the run at `path`, from its best checkpoint.

    file: the model's code where the run was trained with --model-file; the copy in the run is
    not run unless it is named. CheckpointError: it is no run, its checkpoint is damaged, or the
    model's code is not given.
    """
    from dlcli.data import kind as kinds
    from dlcli.models import catalog
    from dlcli.train import checkpoint
    from dlcli.train.run import RunDir

    run = RunDir.open(path)
    kept = run.load(which)
    info = kept.model_info
    if (own := info.get("file")) and file is None:
        raise CheckpointError(
            f"{path}: its model is code of its own, {own}",
            why="code is only run where you name it",
            hint=f"add --model-file {path / Path(own).name}",
        )
    if file is not None and not own:
        raise UsageError(f"{path}: --model-file does not apply: its model is '{info['name']}'")
    module = _module_of(path, info, file)
    kind = kinds.of(info.get("kind", "image"))
    shape, classes = tuple(info["input_shape"]), list(info["classes"])
    made = _config_of(path, module, info)
    model = module.build(made, shape, len(classes), seed=0)
    model.plan = catalog.plans(module)
    checkpoint.restore(model, kept)
    model.eval()
    encoder = kind.from_json(info["normalize"], shape)
    return Trained(run, model, encoder, kind, shape, classes, info)


def _module_of(path: Path, info: Mapping[str, Any], file: Path | None) -> Any:
    from dlcli.models import catalog

    if file is None and info["name"] not in catalog.names():
        raise CheckpointError(
            f"{path}: its model '{info['name']}' is not known here",
            hint="it may need a newer version of dlcli",
        )
    return model_module(info["name"], file)[1]


def _config_of(path: Path, module: Any, info: Mapping[str, Any]) -> Any:
    try:
        return config.model_config(module.Config, info["config"])
    except UsageError as error:
        why = "; ".join(error.lines())
        raise CheckpointError(
            f"{path}: the model's settings do not fit its code", why=why
        ) from error


def dataset(values: Mapping[str, Any], data_dir: Path | None, kind: Any) -> Any:
    """The dataset of a [data] table: its source, and options of its kind.

    kind: of the samples that a user's own file or folder holds.
    """
    from dlcli.data import catalog

    options = {key: value for key, value in values.items() if key != "source"}
    found = catalog.load(values["source"], data_dir=data_dir, kind=kind, **options)
    tell_left_out(found)
    return found


def tell_left_out(dataset: Any) -> None:
    """Warns of files that cannot be read and that it was asked to go on without."""
    if n := len(dataset.left_out):
        files = f"{n:,} file{'s' if n != 1 else ''} that cannot be read {'are' if n != 1 else 'is'}"
        output.warn(f"{dataset.name}: {files} left out, {dataset.left_out[0].path} first")


def data_of(run: Any) -> dict[str, Any]:
    """The [data] table of a run. CheckpointError: there is none, or it is not what it should be."""
    values = run.config().get("data", {})
    try:
        config.check_data(values)
        return {"source": values["source"], **values}
    except (KeyError, UsageError) as error:
        why = f"[data] of its config.toml: {error}"
        raise CheckpointError(f"{run.path}: its data are not known", why=why) from error


def is_place(source: Any) -> bool:
    """Whether a dataset's source is the path of a folder or file and no name."""
    from dlcli.data import catalog

    return isinstance(source, str) and source not in catalog.names()


def absolute(source: str) -> str:
    """A source as a run keeps it: a path is found from anywhere, a name stays."""
    return os.path.abspath(os.path.expanduser(source)) if is_place(source) else source


def dataset_of(run: Any, values: Mapping[str, Any], data_dir: Path | None, kind: Any) -> Any:
    """The dataset of a run's [data] table. DataError: its files have moved."""
    source = values["source"]
    if is_place(source) and not os.path.lexists(os.path.expanduser(source)):
        raise DataError(
            f"{run.path}: its data are not where they were",
            why=f"there is no {source}",
            hint="say where they are: --data PATH",
        )
    return dataset(values, data_dir, kind)


def dataset_for(trained: Trained, source: str | None, data_dir: Path | None) -> Any:
    """The dataset to evaluate on: the run's own, or `source` in the form that the model takes.

    DataError: its samples or its classes are not the model's.
    """
    from dlcli.data import catalog

    if source is None:
        found = dataset_of(trained.run, data_of(trained.run), data_dir, trained.kind)
    elif is_place(source) and hasattr(trained.kind, "another"):
        path = Path(os.path.expanduser(source))
        found = trained.kind.another(path, trained.encode, trained.classes)
    else:
        values: dict[str, Any] = {"source": source}
        kept, own = getattr(trained.kind, "kept", ()), data_of(trained.run)
        values |= {key: own[key] for key in kept if key in own}
        if source not in catalog.names():
            values |= trained.kind.like(trained.shape)
        found = dataset(values, data_dir, trained.kind)
    trained.kind.check(found, trained.shape)
    if list(found.classes) != trained.classes:
        raise DataError(
            f"{found.name}: its classes are not the model's",
            why=f"{_some(found.classes)} instead of {_some(trained.classes)}",
        )
    return found


def _some(classes: list[str]) -> str:
    return ", ".join(classes[:4]) + (f", … ({len(classes)})" if len(classes) > 4 else "")
