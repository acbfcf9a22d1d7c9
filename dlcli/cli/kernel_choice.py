"""Which kernels a command is about, and where each of them can run here.

for variant in chosen(("matmul",), ("cpu_blas",), device=None, own=[]): ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from dlcli.errors import UsageError, did_you_mean

DECLARED = ("tf32", "bfloat16")  # a variant runs in one of these only where it says so itself


def chosen(
    ops: Sequence[str], names: Sequence[str], device: str | None, own: Sequence[Any]
) -> list[Any]:
    """The variants of the ops (all of them, with none), those with the names, on the device.

    ops: "matmul" or "matmul/cpu_blas". own: the variants of kernel files; with them and neither ops
    nor names, nothing else is chosen. UsageError for a name that there is not.
    """
    from dlcli_kernels import registry

    if own and not ops and not names:
        return [variant for variant in own if device in (None, variant.device)]
    known, found = registry.ops(), []
    for asked in ops or known:
        op_name, slash, variant_name = asked.partition("/")
        if op_name not in known:
            raise UsageError(f"there is no op '{op_name}'", why=did_you_mean(op_name, known))
        op = known[op_name]
        wanted = (variant_name,) if slash else names
        there = [*registry.variants(op), *_reference(op, wanted)]
        if slash and variant_name not in [v.name for v in there]:
            why = did_you_mean(variant_name, [v.name for v in there])
            raise UsageError(f"{op_name} has no variant '{variant_name}'", why=why)
        found += [v for v in there if not wanted or v.name in wanted]
    _check_names(names, ops, found)
    return [variant for variant in found if device in (None, variant.device)]


def _reference(op: Any, wanted: Sequence[str]) -> list[Any]:
    """The reference is a variant only where it is asked for by name."""
    from dlcli_kernels import registry

    return [registry.variant(op, "reference")] if "cpu_reference" in wanted else []


def _check_names(names: Sequence[str], ops: Sequence[str], found: Sequence[Any]) -> None:
    from dlcli_kernels import registry

    for name in names:
        if name not in {variant.name for variant in found}:
            about = [op.partition("/")[0] for op in ops] or list(registry.ops())
            there = {v.name for op in about for v in registry.variants(registry.op(op))}
            why = did_you_mean(name, {*there, "cpu_reference"})
            raise UsageError(f"--variant: there is no '{name}'", why=why)


def precisions_of(variant: Any) -> list[str]:
    """The precisions of the op that a variant may be verified in: the one that it says, or those
    that are the operands' own dtype.
    """
    if variant.precision:
        return [variant.precision]
    return [p for p in variant.op.tolerance if p not in DECLARED]


@dataclass(frozen=True)
class Place:
    """Where a variant runs: cpu, cuda, emulator or simulator; nowhere, and then why not."""

    name: str
    why: str = ""

    def __bool__(self) -> bool:
        return bool(self.name)


def place(variant: Any, *, emulate: bool = False) -> Place:
    """Where a variant can run here. emulate: a CUDA variant on the CPU, although it is slow."""
    if variant.missing:
        return Place("", variant.missing)
    if variant.precision == "bfloat16" and find_spec("ml_dtypes") is None:
        return Place("", "ml_dtypes is not installed")
    if variant.device == "cpu":
        return Place("cpu")
    if not emulate:
        from dlcli_kernels import raw

        why = _no_cuda() or raw.unfit(variant.module)
        return Place("", why) if why else Place("cuda")
    if is_numba(variant):
        return Place("simulator")
    from dlcli_kernels import emulate as emulator

    why = emulator.problem()
    return Place("", why) if why else Place("emulator")


@cache
def _no_cuda() -> str:
    from dlcli.engine import device

    cuda = device.facts()["cuda"]
    return "" if cuda["available"] else cuda["why"]


def is_numba(variant: Any) -> bool:
    """Whether a CUDA variant is one of numba-cuda, and not of CUDA C++."""
    return variant.device == "cuda" and not sources(variant.module)


def sources(module: ModuleType | None) -> list[Any]:
    """The CUDA C++ sources that a variant's module names."""
    from dlcli_kernels.raw import Source

    values = list(vars(module).values()) if module is not None else []
    for value in list(values):
        values += value.values() if isinstance(value, dict) else ()
        values += value if isinstance(value, list | tuple) else ()
    return [value for value in values if isinstance(value, Source)]
