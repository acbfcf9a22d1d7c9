"""Runs a kernel for a device between guard bands, on the target in use: emulator, simulator or GPU.

Operands are copied to the target with their bands, and everything is copied back and looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .check_compare import specs_of
from .check_data import BAND, Failed, Guarded, bands_intact, digest
from .launch import Launch
from .raw import LaunchError, Target, target
from .registry import Variant
from .spec import Op, Spec


class OnTarget:
    """An array on the target between its bands; `back` copies both to the host again."""

    def __init__(self, on: Target, guarded: Guarded) -> None:
        self.on, self.host = on, guarded
        self.whole = on.put(guarded.raw)
        shape, size = guarded.array.shape, guarded.array.size
        self.array: Any = self.whole[BAND : BAND + size].reshape(shape)

    def back(self, name: str) -> np.ndarray:
        """The array as it is now. Failed if a band was written to."""
        self.host.raw[...] = self.on.get(self.whole)
        if not bands_intact(self.host.array):
            raise Failed(f"{name}: written outside the array")
        return self.host.array


def run_on_target(
    op: Op,
    variant: Variant,
    ins: Sequence[np.ndarray | None],
    attrs: dict[str, Any],
    *,
    optional: bool = True,
    order: str = "",
) -> dict[str, np.ndarray]:
    """Runs a variant once on the whole range: its outputs and the inout operands, by name.

    order: of the threads, where the target has several. Raises Failed on a write where it may not
    write, and on whatever the target found wrong.
    """
    on = target()
    launch = Launch(op, variant, specs_of(ins), attrs, optional=optional)
    given: dict[str, OnTarget] = {}
    for name, values in zip(op.inputs, ins, strict=True):
        if values is not None:
            given[name] = OnTarget(on, _guarded(values))
    before = {name: digest(a.host.array) for name, a in given.items() if name not in op.inout}
    outs = [
        None if spec is None else OnTarget(on, Guarded(spec.shape, spec.dtype))
        for spec in launch.outputs
    ]
    scratch: list[OnTarget] = []

    def empty(spec: Spec) -> Any:
        scratch.append(OnTarget(on, Guarded(spec.shape, spec.dtype)))
        return scratch[-1].array

    arrays = [given[name].array if name in given else None for name in op.inputs]
    try:
        with on.ordered(order):
            launch.run_whole([o and o.array for o in outs], arrays, empty)
    except LaunchError as error:
        raise Failed(str(error)) from error
    for array in scratch:
        array.back("scratch")
    found = {n: o.back(n) for n, o in zip(launch.names, outs, strict=True) if o is not None}
    for name, array in given.items():
        after = array.back(name)
        if name in op.inout:
            found[name] = after
        elif digest(after) != before[name]:
            raise Failed(f"{name}: an input was modified")
    return found


def _guarded(values: np.ndarray) -> Guarded:
    made = Guarded(values.shape, values.dtype)
    made.array[...] = values
    return made
