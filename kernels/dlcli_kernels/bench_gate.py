"""What stands between a kernel and its time: its very outputs, compared with the reference.

A reference in float64 is slow, and a benchmark's shapes are large. Where the whole would take too
long, a seeded sample of rows along an axis of independent work is computed instead, the first and
the last row always among them; outside of it, what was not written shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .check_compare import compare, widen
from .check_data import Failed, guard_value, is_float
from .spec import Op, Spec, Tol, as_tuple

AFFORDABLE = 3e8  # operations of a reference: some tenths of a second
MOST_ROWS = 1 << 17  # of a sample
EDGE = 512  # rows at either end that are always in it, where it has so many
PER_ELEMENT = 30  # operations that an element of a memory-bound reference is worth

__all__ = ["Failed", "Gate", "poison"]


def poison(spec: Spec) -> np.ndarray:
    """An array of NaN, or of a sentinel for integers: what is not written shows."""
    return np.full(spec.shape, guard_value(spec.dtype), spec.dtype)


class Gate:
    """Compares the outputs of one call with the reference, whole or in a sample.

    operands: specs of the inputs; names: the outputs, in order. The sample is the same for every
    variant, so that the reference runs once for each set of inputs.
    """

    def __init__(
        self,
        op: Op,
        operands: Sequence[Spec | None],
        attrs: Mapping[str, Any],
        tol: Tol,
        *,
        seed: int,
        affordable: float = AFFORDABLE,
    ) -> None:
        self.op, self.attrs, self.tol = op, dict(attrs), tol
        outputs = op.outputs(operands, attrs)
        self.names = tuple(outputs)
        self.axes = dict(op.sample_axes(operands, attrs) or {})
        self.total = self._extent(operands)
        elements = sum(s.size for s in (*operands, *outputs.values()) if s is not None)
        cost = max(op.work(operands, attrs)[0], PER_ELEMENT * elements)
        self.rows: np.ndarray | None = None  # all of it
        if self.total and cost > affordable:
            count = max(2, int(self.total * affordable / cost))
            if count < self.total:
                self.rows = self._choose(count, seed)

    def _extent(self, operands: Sequence[Spec | None]) -> int:
        for name, spec in zip(self.op.inputs, operands, strict=True):
            if spec is not None and name in self.axes:
                return spec.shape[self.axes[name]]
        return 0

    def _choose(self, count: int, seed: int) -> np.ndarray:
        if self.op.offset:  # what an element becomes depends on its place: a sample begins at 0
            return np.arange(count)
        count = min(count, MOST_ROWS)
        drawn = np.random.default_rng(seed).integers(
            0, self.total, max(count - 2 * EDGE, count // 2)
        )
        edge = np.arange(min(EDGE, max(count // 4, 1)))
        return np.unique(np.concatenate([drawn, edge, self.total - 1 - edge]))

    def coverage(self) -> str:
        """What is compared, in words."""
        return "all" if self.rows is None else f"{self.rows.size} of {self.total} rows"

    def expected(self, ins: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """What the reference says in float64: outputs and updated operands by name."""
        wide = [widen(self._part(name, a)) for name, a in zip(self.op.inputs, ins, strict=True)]
        with np.errstate(all="ignore"):
            outs = as_tuple(self.op.reference(*wide, **self.attrs))
        want = {name: np.asarray(out) for name, out in zip(self.names, outs, strict=True)}
        updated = zip(self.op.inputs, wide, strict=True)
        return {**want, **{n: a for n, a in updated if n in self.op.inout and a is not None}}

    def compare(
        self,
        found: Mapping[str, np.ndarray],
        want: Mapping[str, np.ndarray],
        tol: Tol | None = None,
    ) -> float:
        """The worst error as a share of the tolerance; Failed with the element if it is over 1.

        Its index is that within the sample. `found` may lack outputs that only backward needs.
        """
        worst = 0.0
        for name, expected in want.items():
            got = found.get(name)
            if got is None:
                continue
            worst = max(worst, compare(name, self._part(name, got), expected, tol or self.tol))
            if self.rows is not None and is_float(got.dtype) and np.isfinite(expected).all():
                self._all_finite(name, got)
        return worst

    def _all_finite(self, name: str, got: np.ndarray) -> None:
        """Outside of the sample too: what was not written is NaN."""
        wrong = ~np.isfinite(got)
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise Failed(f"{name}[{at}] = {got[at]}, {int(wrong.sum())} of {got.size} like it")

    def _part(self, name: str, array: Any) -> Any:
        """The sample of an operand; None for an absent one."""
        if array is None or self.rows is None or name not in self.axes:
            return array
        return np.take(array, self.rows, axis=self.axes[name])
