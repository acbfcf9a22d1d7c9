"""Finds models by file name: `cnn_small.py` is `cnn-small`. A new one needs no edits elsewhere.

Every other file of this folder is a model. What models share lies in `parts`. A model's module has

    DESCRIPTION, ADAPTS                         what it is, and how it follows the data's samples
    Config                                      its settings, a frozen dataclass with defaults
    build(config, shape, classes, *, seed)      the model, see `train.protocol.Model`
    KIND                                        of the samples that it takes, "image" if not said
    KINDS                                       instead, where it takes several, the usual one first
    recipe(config) -> dict                      how it is trained unless the user says otherwise
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import dlcli.models

from ..engine.tape import no_grad
from ..engine.tensor import Tensor, zeros
from ..errors import CheckpointError, UsageError, did_you_mean
from ..nn.module import Module, Parameter, observe


@dataclass(frozen=True)
class ModelInfo:
    """name; description in a line; config: the dataclass of its settings; notes: how it adapts to
    the data's samples.
    """

    name: str
    description: str
    config: type
    notes: str


@dataclass(frozen=True)
class Row:
    """One layer of a summary: its path, its kind, the shape of its output without the batch, its
    parameters.
    """

    name: str
    layer: str
    output: tuple[int, ...]
    parameters: int


@cache
def names() -> list[str]:
    """The models that there are."""
    found = (m.name for m in pkgutil.iter_modules(dlcli.models.__path__) if not m.ispkg)
    return sorted(n.replace("_", "-") for n in found if n != "catalog")


def load(name: str) -> ModuleType:
    """The module of model `name`, with `Config` and `build(config, shape, classes, *, seed)`.

    UsageError if there is none.
    """
    if name not in names():
        raise UsageError(f"unknown model {name!r}", hint=did_you_mean(name, names()))
    return importlib.import_module(f"dlcli.models.{name.replace('-', '_')}")


def load_file(path: Path) -> ModuleType:
    """The module of a model in a user's file, which is run as the code that it is.

    CheckpointError if it is not a model.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such model file")
    name = f"dlcli_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CheckpointError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise CheckpointError(f"{path}:{error.lineno}: {error.msg}") from error
    except (ImportError, NameError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path}:{_line(error, path)}: {type(error).__name__}: {error}"
        ) from error
    missing = [part for part in ("Config", "build") if not hasattr(module, part)]
    if missing:
        why = f"it has no {' and no '.join(missing)}"
        raise CheckpointError(
            f"{path}: not a model", why=why, hint="copy dlcli/models/cnn.py and change it"
        )
    return module


def _line(error: BaseException, path: Path) -> int:
    """The line of `path` in which the error was raised, the deepest one."""
    line, frame = 0, error.__traceback__
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def plans(module: ModuleType) -> bool:
    """Whether the steps of its models may be repeated by plans: of ours they may, and of a file
    that says PLAN = True.
    """
    return bool(getattr(module, "PLAN", module.__name__.startswith("dlcli.models.")))


def describe(name: str) -> ModelInfo:
    """What `models list` and `models show` say of a model."""
    module = load(name)
    return ModelInfo(name, module.DESCRIPTION, module.Config, module.ADAPTS)


def summary(model: Any, shape: tuple[int, ...]) -> list[Row]:
    """The layers of a model that was built for `shape`, found by running a blank sample through it:
    what its `blank` says, or an image (H, W, C) = shape.
    """
    paths = {id(module): path for path, module in model.modules()}
    rows: list[Row] = []

    def tell(module: Module, out: Tensor) -> None:
        own = sum(p.size for p in vars(module).values() if isinstance(p, Parameter))
        if id(module) in paths and (own or next(module.children(), None) is None):
            rows.append(Row(paths[id(module)], type(module).__name__, out.shape[1:], own))

    training = model.training
    try:
        with no_grad(), observe(tell):
            blank = model.blank(shape) if hasattr(model, "blank") else (zeros((1, *shape)),)
            model.eval()(*blank)
    finally:
        model.train(training)
    return rows
