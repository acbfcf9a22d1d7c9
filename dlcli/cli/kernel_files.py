"""The files that a kernel consists of, to be shown and to be hashed."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from dlcli.cli.kernel_choice import sources

CHECKER = "check.py"


def files_of(variant: Any) -> dict[str, str]:
    """{name: text} of the variant's own files, its CUDA C++ included; the reference's is op.py."""
    own = getattr(variant, "file", None)
    if own is not None:
        description = getattr(variant.module, "TOML", own)
        paths = dict.fromkeys((own, description))  # one, where the .cu describes itself
        found = {path.name: path.read_text(encoding="utf-8") for path in paths}
    else:
        name = variant.name if variant.name != "cpu_reference" else _contract(variant.op).stem
        path = _package() / variant.op.family / f"{name}.py"
        found = {f"{variant.op.family}/{path.name}": path.read_text(encoding="utf-8")}
    return found | {source.name: source.text() for source in sources(variant.module)}


def digest(variant: Any) -> str:
    """SHA-256 of all that decides a verification's outcome: the variant's files, the op's contract,
    the checker, and whatever of the project they import or include, directly or not.
    """
    from dlcli_kernels import raw

    files = dict(files_of(variant))
    parts = [_contract(variant.op), _package() / CHECKER]
    own = getattr(variant, "file", None)
    if own is None and variant.name != "cpu_reference":
        parts.append(_package() / variant.op.family / f"{variant.name}.py")
    elif own is not None and own.suffix == ".py":
        parts.append(own.resolve())
    for path in _closure(tuple(parts)):
        files[str(path)] = path.read_text(encoding="utf-8")
    if sources(variant.module):
        files |= raw.headers()
    found = hashlib.sha256()
    for name in sorted(files, key=lambda name: (Path(name).name, files[name])):
        found.update(f"{Path(name).name}\0{files[name]}\0".encode())
    return found.hexdigest()


@cache
def _package() -> Path:
    return Path(str(resources.files("dlcli_kernels")))


def _contract(op: Any) -> Path:
    """The file that an op is written in: its family's op.py, or a file that that one gathers."""
    return Path(op.infer.__code__.co_filename)


@cache
def _closure(files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files, and those of the kernel library that they import, directly or not."""
    found, todo = set(), list(files)
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imported(path)
    return tuple(sorted(found))


@cache
def _imported(file: Path) -> tuple[Path, ...]:
    """The files of the kernel library that a file's import statements name."""
    inside = file.is_relative_to(_package())
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = file.parents[node.level - 1]
            elif (node.module or "").split(".")[0] == "dlcli_kernels":
                base = _package().parent
            else:
                continue
            if not inside and node.level:
                continue
            module = base.joinpath(*(node.module or "").split(".")) if node.module else base
            found += [module.with_suffix(".py"), *(module / f"{a.name}.py" for a in node.names)]
    return tuple(path for path in found if path.is_file())
