"""A kernel file of the user's own: its variants, known to the registry of this process.

A `.py` file is written as a variant file of ours is: functions named after ops, which write into
their first arguments, an optional `supports` and `workspace`. It runs where `DEVICE = "cpu"` or
`"cuda"` says, or the first word of its name, as in `cuda_mine.py`. A `.cu` file is described in
`user_cu.py`. Both are code, and run with the rights of who names them.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from . import registry, user_cu
from .expression import guess
from .registry import LIBRARIES, Variant
from .spec import Op
from .user_cu import BadKernelFile
from .user_signature import output_names

__all__ = ["BadKernelFile", "UserVariant", "kernel_errors", "load", "where_raised"]

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class UserVariant(Variant):
    """A variant of a file of the user's: its name is the file's, without the ending."""

    file: Path = Path()
    runs_on: str = "cpu"

    @property
    def device(self) -> str:
        return self.runs_on


def kernel_errors() -> tuple[type[Exception], ...]:
    """What code of a kernel that is wrong may raise, the compiler's complaints included."""
    found = [
        ArithmeticError,
        AssertionError,
        AttributeError,
        ImportError,
        LookupError,
        NameError,
        OSError,
        RuntimeError,
        SyntaxError,
        TypeError,
        ValueError,
    ]
    numba = sys.modules.get("numba.core.errors")
    return (*found, numba.NumbaError) if numba is not None else tuple(found)


def where_raised(error: BaseException, file: Path) -> str:
    """`my_conv.py:12`, the last line of a file that an exception came through; "" if through
    none.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).resolve() == file.resolve():
            return f"{file.name}:{frame.lineno}"
    return ""


def load(path: Path) -> list[UserVariant]:
    """The variants of a `.py` or `.cu` file, added to the registry.

    BadKernelFile, with the file and the line where there is one, if it cannot be used.
    """
    if path.suffix not in (".py", ".cu"):
        raise BadKernelFile(f"{path}: a kernel file ends in .py or .cu")
    if not path.is_file():
        raise BadKernelFile(f"{path}: there is no such file")
    try:
        if path.suffix == ".cu":
            op, module = user_cu.load(path)
            found = [UserVariant(op, path.stem, module, file=path, runs_on="cuda")]
        else:
            found = _load_python(path)
    except UnicodeDecodeError as error:
        raise BadKernelFile(f"{path}: this is no text in UTF-8") from error
    for variant in found:
        if variant.name in registry.variant_files(variant.op.family):
            raise BadKernelFile(
                f"{path}: {variant.op.name} has a variant '{variant.name}' already",
                hint="give the file another name",
            )
        if any(own.name == variant.name for own in registry.variants(variant.op)):
            raise BadKernelFile(f"{path}: another kernel file of this name is loaded")
    for variant in found:
        registry.add(variant)
    return found


def _load_python(path: Path) -> list[UserVariant]:
    module = _run(path)
    device = getattr(module, "DEVICE", path.stem.split("_", 1)[0])
    if device not in DEVICES:
        raise BadKernelFile(
            f"{path.name}: it does not say where it runs",
            why=f"DEVICE is {device!r}" if hasattr(module, "DEVICE") else "",
            hint='write DEVICE = "cpu" or DEVICE = "cuda" into it',
        )
    functions = {
        name: value
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    }
    ops = [registry.op(name) for name in functions if name in registry.ops()]
    if not ops:
        names = [name for name in functions if name not in ("supports", "workspace")]
        raise BadKernelFile(
            f"{path.name}: none of its functions is named after an op",
            why=f"'{names[0]}': {guess(names[0], registry.ops())}" if names else "it has none",
            hint="`dlcli kernels list` lists the ops",
        )
    for op in ops:
        _check_signature(path, op, functions[op.name])
    return [UserVariant(op, path.stem, module, file=path, runs_on=device) for op in ops]


def _run(path: Path) -> ModuleType:
    """The file as a module, run once; BadKernelFile with the line where that fails."""
    spec = importlib.util.spec_from_file_location(f"dlcli_user_{path.stem}", path.resolve())
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and Numba look a function's module up there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise BadKernelFile(f"{path.name}:{error.lineno}: {error.msg}") from error
    except kernel_errors() as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else ""
        library = (missing or "").split(".")[0]
        raise BadKernelFile(
            f"{where_raised(error, path) or path.name}: {type(error).__name__}: {error}",
            hint=f"install {library}" if library in LIBRARIES else "",
        ) from error
    return module


def _check_signature(path: Path, op: Op, function: Any) -> None:
    """BadKernelFile unless the function can be called as a variant of the op is."""
    plain = getattr(function, "py_func", function)
    outputs = output_names(op)
    keywords = [*op.attrs, *(["start"] if op.offset else [])]
    try:
        inspect.signature(plain).bind(*outputs, *op.inputs, **dict.fromkeys(keywords))
    except TypeError as error:
        code: CodeType | None = getattr(plain, "__code__", None)
        line = f":{code.co_firstlineno}" if code is not None else ""
        words = [*outputs, *op.inputs, *(["*"] if keywords else []), *keywords]
        raise BadKernelFile(
            f"{path.name}{line}: {op.name}: {error}",
            why=f"it is called as {op.name}({', '.join(words)})",
        ) from error
