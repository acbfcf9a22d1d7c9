"""Cases beyond those that an op lists: one of its own with other extents, or with other values.

Extents that are equal in a case are taken to be the same size of the op and changed together;
`infer` says which of the changes fit. What a case's integers may index, and flags of one element,
stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .check_compare import specs_of
from .check_data import make_inputs
from .spec import Arg, Case, Op

ATTEMPTS = 20  # to find extents that fit each other
MOST_EXTENT = 70  # beyond the tiles of most kernels, and not a multiple of them
MOST_ELEMENTS = 30_000  # of one operand: a case stays a matter of milliseconds


def random_case(op: Op, rng: np.random.Generator) -> Case:
    """A case of the op's own with some extents changed; with the same ones where none fit."""
    case = op.cases[int(rng.integers(len(op.cases)))]
    if case.make is not None:  # it makes operands of the extents that it was written with
        return case
    for _ in range(ATTEMPTS):
        changed = _changed(case, rng)
        if changed is not None and _fits(op, changed):
            return changed
    return case


def _changed(case: Case, rng: np.random.Generator) -> Case | None:
    """The case with about two thirds of its sizes drawn anew; None if an operand gets too large."""
    args = {name: arg for name, arg in case.args.items() if arg is not None}
    fixed = {0, 1} | {int(arg.high) for arg in args.values() if arg.kind == "integers"}
    sizes = {extent for arg in args.values() for extent in arg.shape} - fixed
    drawn = {
        size: int(MOST_EXTENT ** rng.uniform()) for size in sorted(sizes) if rng.random() < 0.7
    }

    def resized(arg: Arg) -> Arg:
        return replace(arg, shape=tuple(drawn.get(extent, extent) for extent in arg.shape))

    made = {name: resized(arg) for name, arg in args.items()}
    if any(np.prod(arg.shape, dtype=np.int64) > MOST_ELEMENTS for arg in made.values()):
        return None
    return replace(case, args=made, name=" ".join(filter(None, (case.name, "resized"))))


def _fits(op: Op, case: Case) -> bool:
    ins = make_inputs(op, case, np.random.default_rng(0), np.dtype(np.float32))
    attrs = {name: value for name, value in case.attrs.items() if name in op.attrs}
    try:
        outputs = op.outputs(specs_of(ins), attrs)
    except (ValueError, ArithmeticError, LookupError):  # the extents do not fit each other
        return False
    return all(
        min(spec.shape, default=1) > 0 and spec.size <= MOST_ELEMENTS for spec in outputs.values()
    )
