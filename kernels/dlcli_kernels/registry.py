"""Finds ops and variants by file name, and chooses the variant that runs. NumPy only: a variant's
file is imported when it is asked for.

A family is a folder with an `op.py`; a variant is a file `<device>_<how>.py` beside it. Adding the
file is all the registration there is.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import ModuleType
from typing import Any

import numpy as np

import dlcli_kernels

from .raw import unfit
from .spec import Op, Spec, as_tuple

LIBRARIES = {
    "numba",
    "cupy",
    "cuda",
    "numba_cuda",
    "ml_dtypes",
}  # a variant may lack one of these


class NoVariant(LookupError):
    """No variant of an op can run on the device."""


@dataclass(frozen=True)
class Variant:
    """One implementation of an op. `module` is None where a library is missing; `missing` then
    says which.
    """

    op: Op
    name: str  # cpu_blas
    module: ModuleType | None
    missing: str = ""

    @property
    def device(self) -> str:
        return self.name.split("_", 1)[0]

    @property
    def precision(self) -> str:
        """In what it computes, where that is not its operands' dtype or the only one it takes:
        "tf32", "bfloat16". Empty otherwise.
        """
        return getattr(self.module, "PRECISION", "")

    @property
    def whole(self) -> bool:
        """Whether a call is the whole work: a device shares it out, the CPU's executor cuts it."""
        return self.device != "cpu"

    @property
    def run(self) -> Any:
        return getattr(self.module, self.op.name)

    def supports(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> bool:
        """Whether it takes these operands, on the target in use where it is a CUDA C++ one.

        A variant without `supports` takes all.
        """
        if self.module is None or unfit(self.module):
            return False
        test = getattr(self.module, "supports", None)
        return True if test is None else bool(test(self.op.name, *ins, **attrs))

    def workspace(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> Spec | None:
        """The scratch array that one call wants, passed as `scratch=`; None: no scratch."""
        wants = getattr(self.module, "workspace", None)
        return None if wants is None else wants(self.op.name, *ins, **attrs)


class Reference(Variant):
    """The op's own reference as the variant of last resort on the CPU: NumPy, slow, right."""

    @property
    def run(self) -> Any:
        op = self.op

        def call(*arrays: Any, **attrs: Any) -> None:
            outs, ins = (
                arrays[: len(arrays) - len(op.inputs)],
                arrays[len(arrays) - len(op.inputs) :],
            )
            for out, value in zip(outs, as_tuple(op.reference(*ins, **attrs)), strict=True):
                if out is not None:
                    out[...] = value

        return call

    def supports(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> bool:
        return True

    def workspace(self, ins: Sequence[Spec | None], attrs: Mapping[str, Any]) -> Spec | None:
        return None


@cache
def ops() -> dict[str, Op]:
    """Every op by name, read from the families' `op.py`."""
    found: dict[str, Op] = {}
    for module in pkgutil.iter_modules(dlcli_kernels.__path__):
        folder = resources.files(dlcli_kernels) / module.name
        if not module.ispkg or not (folder / "op.py").is_file():
            continue
        contract = importlib.import_module(f"dlcli_kernels.{module.name}.op")
        for op in vars(contract).values():
            if isinstance(op, Op):
                op.family = module.name
                found[op.name] = op
    return found


def op(name: str) -> Op:
    """The op of that name; KeyError if there is none."""
    return ops()[name]


@cache
def variant_files(family: str) -> tuple[str, ...]:
    """The names of the family's variant files, e.g. ("cpu_blas", "cuda_raw_naive")."""
    package = importlib.import_module(f"dlcli_kernels.{family}")
    names = (m.name for m in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(n for n in names if n.split("_")[0] in ("cpu", "cuda") and "_" in n))


@cache
def load(family: str, name: str) -> tuple[ModuleType | None, str]:
    """A variant's module, or None and which library it lacks.

    An ImportError inside our own files propagates.
    """
    try:
        return importlib.import_module(f"dlcli_kernels.{family}.{name}"), ""
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library not in LIBRARIES:
            raise
        return None, f"{library} is not installed"


_added: list[Variant] = []  # variants that are no files of a family: a user's own


def add(variant: Variant) -> None:
    """Makes a variant of a file of the user's known in this process, after those of the family."""
    _added.append(variant)


def forget(variant: Variant) -> None:
    """Takes back what `add` did."""
    _added.remove(variant)


def variant(op: Op, name: str) -> Variant:
    """One variant by name (`reference` is one); KeyError if its file does not implement the op."""
    if name == "reference":
        return Reference(op, "cpu_reference", None)
    for own in _added:
        if (own.op, own.name) == (op, name):
            return own
    module, missing = load(op.family, name)
    if module is not None and not hasattr(module, op.name):
        raise KeyError(f"{op.family}/{name} does not implement {op.name}")
    return Variant(op, name, module, missing)


def variants(op: Op, device: str | None = None) -> list[Variant]:
    """All variants that implement the op (those whose library is missing included), the reference
    apart.
    """
    found = []
    for name in variant_files(op.family):
        if device is None or name.startswith(f"{device}_"):
            module, missing = load(op.family, name)
            if module is None or hasattr(module, op.name):
                found.append(Variant(op, name, module, missing))
    return found + [own for own in _added if own.op is op and device in (None, own.device)]


def resolve(
    op: Op,
    device: str,
    ins: Sequence[Spec | None],
    attrs: Mapping[str, Any],
    precision: str = "",
) -> Variant:
    """The first variant in the op's `prefer` list that supports these operands.

    precision: in what float32 operands may be computed, such as "tf32": variants of that list come
    first, then those of the operands' own dtype. On the CPU the reference is the last resort.
    ValueError if the operands do not fit the op: no variant is asked about them then. NoVariant
    where a device has none.
    """
    op.outputs(ins, attrs)
    dtype = op.precision(ins)
    names: tuple[str, ...] = tuple(op.prefer.get((device, dtype), ()))
    if dtype == "float32" and precision not in ("", dtype):
        names = (*op.prefer.get((device, precision), ()), *names)
    for name in names:
        candidate = variant(op, name)
        if candidate.supports(ins, attrs):
            return candidate
    if device == "cpu":
        return variant(op, "reference")
    shapes = ", ".join(
        f"{n}: {s.shape} {np.dtype(s.dtype)}" for n, s in zip(op.inputs, ins, strict=True) if s
    )
    raise NoVariant(f"no {device} kernel for {op.name} ({shapes})")
