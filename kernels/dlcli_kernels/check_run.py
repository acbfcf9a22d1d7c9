"""One run of a variant on the CPU, watched: into guarded, NaN-filled outputs, on inputs that are
hashed before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from .check_compare import specs_of
from .check_data import Failed, Guarded, bands_intact, digest, guard_value, place
from .launch import Launch, Runner, serial
from .registry import Variant
from .spec import Op

CarryOut = Callable[[Sequence[Any], Sequence[Any]], None]


def _poisoned(launch: Launch) -> Callable[..., None]:
    """The launch's kernel, its partial results and scratch filled with NaN, its scratch guarded."""
    kernel = launch.kernel

    def call(*arrays: Any, **named: Any) -> None:
        for array, is_sum in zip(arrays, launch.partial, strict=False):  # outputs stand first
            if is_sum and array is not None:
                array.fill(guard_value(array.dtype))
        if launch.scratch is not None:
            guarded = Guarded(launch.scratch.shape, launch.scratch.dtype)
            named["scratch"] = guarded.array
        kernel(*arrays, **named)
        if launch.scratch is not None and not guarded.intact():
            raise Failed("scratch: written outside the array")

    return call


def run_guarded(
    op: Op,
    variant: Variant,
    ins: Sequence[np.ndarray | None],
    attrs: dict[str, Any],
    *,
    rows: int | None = None,
    optional: bool = True,
    runner: Runner = serial,
) -> dict[str, np.ndarray]:
    """Runs a variant: its outputs and the inout operands, by name.

    rows: rows per range (None: the op's own). optional: whether the outputs that only backward
    needs are made. runner: who runs the ranges. Raises Failed on a write where it may not write.
    """
    launch = Launch(op, variant, specs_of(ins), attrs, rows=rows, optional=optional)
    launch.kernel = _poisoned(launch)

    def carry_out(outs: Sequence[Any], ins: Sequence[Any]) -> None:
        with np.errstate(all="ignore"):
            launch.run(outs, ins, runner)

    return _watch(op, launch, ins, carry_out)


def run_written(
    op: Op,
    variant: Variant,
    ins: Sequence[np.ndarray | None],
    attrs: dict[str, Any],
    *,
    rows: int | None = None,
    optional: bool = True,
) -> dict[str, np.ndarray]:
    """The same of a variant that is written down first, and then run without Python.

    NotNative where it cannot be.
    """
    from .cpu_program import Program

    launch = Launch(op, variant, specs_of(ins), attrs, rows=rows, optional=optional)
    program = Program(launch)

    def carry_out(outs: Sequence[Any], ins: Sequence[Any]) -> None:
        _pool().perform(program, program.operands(outs, launch.plain(ins)))

    return _watch(op, launch, ins, carry_out)


def can_be_written(
    op: Op, variant: Variant, ins: Sequence[np.ndarray | None], attrs: dict[str, Any]
) -> bool:
    """Whether all that the variant does with these operands is to call kernels."""
    from .cpu_program import Program
    from .cpu_trampoline import NotNative

    try:
        Program(Launch(op, variant, specs_of(ins), attrs))
    except NotNative:
        return False
    return True


@cache
def _pool() -> Any:
    from .cpu_pool import Pool

    return Pool(1)


def _watch(
    op: Op, launch: Launch, ins: Sequence[np.ndarray | None], carry_out: CarryOut
) -> dict[str, np.ndarray]:
    given = {
        name: place(a) if name in op.inout else a
        for name, a in zip(op.inputs, ins, strict=True)
        if a is not None
    }
    before = {name: digest(a) for name, a in given.items() if name not in op.inout}
    guards = [None if s is None else Guarded(s.shape, s.dtype) for s in launch.outputs]
    outs = [None if g is None else g.array for g in guards]
    carry_out(outs, [given.get(name) for name in op.inputs])
    found = {n: g.array for n, g in zip(launch.names, guards, strict=True) if g is not None}
    for name, array in (*found.items(), *given.items()):
        if not bands_intact(array):
            raise Failed(f"{name}: written outside the array")
    for name, hashed in before.items():
        if digest(given[name]) != hashed:
            raise Failed(f"{name}: an input was modified")
    return {**found, **{name: given[name] for name in op.inout if name in given}}
