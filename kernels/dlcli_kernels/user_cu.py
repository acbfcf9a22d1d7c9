"""A `.cu` file of the user's as a variant: its launch is described in a few lines of TOML.

The lines stand in the file of the same name that ends in `.toml`, or at the top of the `.cu` itself
in a comment that begins with `/*dlcli`:

    op = "matmul"
    kernel = "my_matmul"                    # extern "C" __global__ void my_matmul(…)
    grid = ["ceil_div(n, TILE)", "ceil_div(m, TILE)"]
    block = ["TILE", "TILE"]
    args = ["out", "a", "b", "bias", "m", "n", "k", "act"]
    supports = ["not ta", "not tb"]         # all of them, or the variant is not asked
    [sizes]
    m = "out.shape[0]"                      # in terms of operands, attributes and sizes above it
    [constants]
    TILE = 16                               # a #define

Further keys: `shared`, the bytes of dynamic shared memory; `precisions`, by default ["float32"];
`archs`; `cooperative`. Every value is an expression (`expression.py`) over the operands, the
attributes, the sizes, the constants and `dtype`. An argument that is an operand's name alone is
its address, null if it is absent; any other is a number, an activation that of `activation.cuh`.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from . import registry
from .check_data import dtype_of
from .elementwise.activations import NUMBERS
from .expression import Expression, ExpressionError, guess
from .raw import ARCHS, Kernel, Source
from .spec import Op, Spec
from .user_signature import output_names, parameters_of

DECLARED = ("tf32", "bfloat16")  # precisions that a variant is used in only if it says so
KEYS = {  # key -> whether it must be there, and what TOML it is
    "op": (True, str),
    "kernel": (True, str),
    "grid": (True, list),
    "block": (True, list),
    "args": (True, list),
    "supports": (False, list),
    "precisions": (False, list),
    "archs": (False, list),
    "shared": (False, int | str),
    "cooperative": (False, bool),
    "sizes": (False, dict),
    "constants": (False, dict),
}


class BadKernelFile(ValueError):
    """A kernel file that cannot be used: where and what, why, and what to do about it."""

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.why, self.hint = why, hint


class _Text:
    """The TOML with the file and the line that it stands at."""

    def __init__(self, path: Path) -> None:
        """The text beside the `.cu` file at `path`, or in it."""
        self.path, self.above = path.with_suffix(".toml"), 0
        if self.path.is_file():
            self.text = self.path.read_text(encoding="utf-8")
            return
        source = path.read_text(encoding="utf-8")
        block = re.match(r"\s*/\*dlcli(.*?)\*/", source, re.DOTALL)
        if block is None:
            raise BadKernelFile(
                f"{path.name} says nowhere how it is launched",
                why=f"there is no {self.path.name} beside it, and no /*dlcli … */ at its top",
                hint="`dlcli kernels new matmul example.cu` writes both files to start from",
            )
        self.path, self.text = path, block[1]
        self.above = source[: block.start(1)].count("\n")

    def wrong(self, key: str, what: str, *, why: str = "") -> NoReturn:
        """Raises BadKernelFile with the line of a key (`sizes.m`), if it stands on one."""
        table, _, name = key.rpartition(".")
        lines, inside = self.text.splitlines(), not table
        at = self.path.name
        for number, line in enumerate(lines, 1):
            if table and line.strip().startswith("["):
                inside = line.strip().startswith(f"[{table}]")
            if inside and re.match(rf"\s*{re.escape(name)}\s*=", line):
                at += f":{number + self.above}"
                break
        raise BadKernelFile(f"{at}: {key}: {what}", why=why)

    def parsed(self) -> dict[str, Any]:
        """The keys with their values; BadKernelFile for one that is unknown, missing or wrong."""
        try:
            found = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            said = re.match(r"(.*) \(at line (\d+), column \d+\)", str(error))
            line = f":{int(said[2]) + self.above}" if said else ""
            reason = said[1] if said else str(error)
            raise BadKernelFile(f"{self.path.name}{line}: {reason}") from error
        for key, value in found.items():
            if key not in KEYS:
                self.wrong(key, "there is no such key", why=guess(key, KEYS))
            if not isinstance(value, KEYS[key][1]) or (key != "cooperative" and value is True):
                self.wrong(key, f"{value!r} is not of the kind that it takes")
        for key, (needed, _) in KEYS.items():
            if needed and key not in found:
                raise BadKernelFile(f"{self.path.name}: the key '{key}' is missing")
        return found


class Launcher:
    """The kernel of a `.cu` file, launched as its TOML says: the op's function of the variant."""

    def __init__(self, path: Path) -> None:
        self.toml = _Text(path)
        keys = self.toml.parsed()
        if keys["op"] not in registry.ops():
            self.toml.wrong(
                "op", f"there is no op '{keys['op']}'", why=guess(keys["op"], registry.ops())
            )
        self.op = registry.op(keys["op"])
        archs = tuple(keys.get("archs", ARCHS))
        self.source = Source("", path.name, archs, folder=str(path.resolve().parent))
        self.precisions = tuple(keys.get("precisions", ("float32",)))
        for precision in self.precisions:
            if precision not in self.op.tolerance:
                self.toml.wrong(
                    "precisions",
                    f"there is no '{precision}'",
                    why=guess(precision, self.op.tolerance),
                )
        if "tf32" in self.precisions and len(self.precisions) > 1:
            self.toml.wrong("precisions", "a kernel that computes in tf32 has no other precision")
        self.defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(self.op.infer).parameters.items()
            if name in self.op.attrs and parameter.default is not parameter.empty
        }
        self.outputs = output_names(self.op)
        self.known = {*self.outputs, *self.op.inputs, *self.op.attrs, "dtype"}
        self.name, self.cooperative = keys["kernel"], bool(keys.get("cooperative"))
        self.constants = self._table(keys, "constants")
        self.sizes = self._table(keys, "sizes")
        self.grid, self.block = self._list(keys, "grid", 3), self._list(keys, "block", 3)
        self.conditions, self.args = self._list(keys, "supports"), self._list(keys, "args")
        self.shared = self._expression("shared", keys.get("shared", 0))
        self._check_arguments()
        self._kept: dict[Any, Callable[..., None]] = {}

    # --- reading ------------------------------------------------------------------------------

    def _expression(self, key: str, value: Any) -> Expression:
        if isinstance(value, bool) or not isinstance(value, int | str):
            self.toml.wrong(key, f"{value!r} is neither a whole number nor an expression")
        try:
            found = Expression(str(value))
            found.check(self.known)
        except ExpressionError as error:
            self.toml.wrong(key, str(error))
        return found

    def _list(self, keys: Mapping[str, Any], key: str, most: int = 1000) -> list[Expression]:
        values = keys.get(key, [])
        if key in ("grid", "block", "args") and not 1 <= len(values) <= most:
            self.toml.wrong(key, f"it has {len(values)} entries, it takes 1 to {most}")
        return [self._expression(key, value) for value in values]

    def _table(self, keys: Mapping[str, Any], table: str) -> dict[str, Expression]:
        found = {}
        for name, value in keys.get(table, {}).items():
            if name in self.known:
                self.toml.wrong(f"{table}.{name}", "the name is taken")
            if table == "constants" and not re.fullmatch(r"[A-Z][A-Z0-9_]+", name):
                # a #define replaces the word in headers too: T is the parameter of many a template
                self.toml.wrong(f"{table}.{name}", "a #define is of at least two capital letters")
            found[name] = self._expression(f"{table}.{name}", value)
            self.known.add(name)
        return found

    def _check_arguments(self) -> None:
        """BadKernelFile where the arguments are not those that the kernel in the file takes."""
        found = parameters_of(self.source.text())
        if self.name not in found:
            why = guess(self.name, found) if found else 'there is no extern "C" __global__ void'
            self.toml.wrong("kernel", f"{self.source.file} has no kernel '{self.name}'", why=why)
        parameters = found[self.name]
        if len(parameters) != len(self.args):
            what = f"{len(self.args)} arguments for a kernel with {len(parameters)} parameters"
            self.toml.wrong("args", what, why=f"it takes ({', '.join(parameters)})")
        operands = (*self.outputs, *self.op.inputs)
        for given, parameter in zip(self.args, parameters, strict=True):
            if (given.text.strip() in operands) != ("*" in parameter):
                kind = "an array" if "*" in parameter else "a number"
                self.toml.wrong("args", f"'{given.text}' stands for '{parameter}', {kind}")
        for name in self.outputs:
            texts = [given.text.strip() for given in self.args]
            if name not in texts and name not in self.op.optional:
                self.toml.wrong("args", f"the output '{name}' is not among them")

    # --- running ------------------------------------------------------------------------------

    def _names(self, outs: Sequence[Any], ins: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """What expressions are about, the sizes included; and the constants alone."""
        names = dict(zip(self.outputs, outs, strict=True)) | self.defaults | dict(attrs)
        names |= dict(zip(self.op.inputs, ins, strict=True))
        names["dtype"] = self.op.precision([s and Spec.of(s) for s in ins])
        constants: dict[str, Any] = {}
        for table, kept in ((self.constants, constants), (self.sizes, {})):
            for name, expression in table.items():
                names[name] = kept[name] = expression.value(names)
        return names, constants

    def supports(self, op_name: str, *ins: Spec | None, **attrs: Any) -> bool:
        """Whether the precision is one of `precisions`, and every condition holds."""
        if self.op.precision(ins) not in (dtype_of(p).name for p in self.precisions):
            return False
        outs = self.op.outputs(ins, {**self.defaults, **attrs}).values()
        names, _ = self._names([*outs], ins, attrs)
        return all(condition.value(names) for condition in self.conditions)

    def __call__(self, *arrays: Any, **attrs: Any) -> None:
        """Launches on the op's operands, outputs first."""
        specs = tuple(a if a is None else Spec.of(a) for a in arrays)
        key = (specs, tuple(attrs.items()))
        if key not in self._kept:
            self._kept[key] = self._prepare(specs, attrs)
        self._kept[key](arrays)

    def _prepare(self, specs: Sequence[Spec | None], attrs: Mapping[str, Any]) -> Any:
        """What is done for operands of these shapes, everything but the addresses worked out."""
        count = len(self.outputs)
        names, constants = self._names(specs[:count], specs[count:], attrs)
        kernel: Kernel = self.source.kernel(self.name, **constants)
        grid = tuple(int(extent.value(names)) for extent in self.grid)
        block = tuple(int(extent.value(names)) for extent in self.block)
        shared = int(self.shared.value(names))
        place = {name: i for i, name in enumerate((*self.outputs, *self.op.inputs))}
        plan = [
            (place[e.text.strip()], None)
            if e.text.strip() in place
            else (None, self._number(e, names))
            for e in self.args
        ]

        def launch(arrays: Sequence[Any]) -> None:
            given = [number if i is None else arrays[i] for i, number in plan]
            kernel(grid, block, *given, shared=shared, cooperative=self.cooperative)

        return launch

    def _number(self, expression: Expression, names: Mapping[str, Any]) -> Any:
        value = expression.value(names)
        if value is None or isinstance(value, str):  # an activation, as activation.cuh numbers it
            value = NUMBERS.get(value, value)
        if isinstance(value, bool | np.bool_):
            return int(value)
        if not isinstance(value, int | float | np.number):
            self.toml.wrong("args", f"'{expression.text}' is {value!r}, no number")
        return value


def load(path: Path) -> tuple[Op, ModuleType]:
    """The op and the variant's module of a `.cu` file; BadKernelFile if it cannot be used."""
    launcher = Launcher(path)
    module = ModuleType(f"dlcli_user_{path.stem}", f"The kernel in {path.name}.")
    members = {
        "__file__": str(path),
        launcher.op.name: launcher,
        "supports": launcher.supports,
        "SOURCE": launcher.source,
        "ARCHS": launcher.source.archs,
        "TOML": launcher.toml.path,
    }
    if launcher.precisions[0] in DECLARED:
        members["PRECISION"] = launcher.precisions[0]
    vars(module).update(members)
    return launcher.op, module
