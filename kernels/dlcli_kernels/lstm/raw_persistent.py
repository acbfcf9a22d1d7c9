"""What the host does for recurrent_persistent.cuh, whatever the cell: how many sequences a block
takes, and how many of its weights lie in registers.

Up to as many sequences as blocks run at once each have a block of their own, with more a block
takes two or four.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..raw import Source, target
from .raw_limits import countable, most_shared

MOST_UNITS = 128


class Plan(NamedTuple):
    """Units that a block is made for, sequences of it, groups of weights in registers; and the
    bytes of shared memory for the rest and the inputs.
    """

    units: int
    rows: int
    kept: int
    shared: int


@dataclass(frozen=True)
class Persistent:
    """The kernels `run` and `grad` of a source.

    gates: products of a unit. kept: groups of weights in registers by sequences of a block, as many
    as compile without spills. at_once: blocks of a multiprocessor, which its registers limit, by
    the units that they are made for.
    """

    source: Source
    run: str
    grad: str
    gates: int
    kept: Mapping[int, int]
    at_once: Mapping[int, int]

    def plan(self, kernel: str, n: int, h: int) -> Plan:
        """For n sequences of h units, at most MOST_UNITS."""
        units = next(u for u in self.at_once if h <= u)
        at_once = self.at_once[units] * target().multiprocessors
        rows = 1 if n <= at_once else 2 if n <= 2 * at_once else 4
        outputs, slices, inputs = 4, 8, units  # of a thread, as the header lays them out
        if kernel == self.grad:
            inputs *= self.gates
        elif self.gates > 1:
            outputs, slices = self.gates, 2
        kept = self.kept[rows]
        weights = max(inputs // (4 * slices) - kept, 0) * 4 * outputs * 2 * units
        return Plan(units, rows, kept, 4 * (weights + 2 * rows * inputs))

    def supports(self, kernel: str, n: int, h: int, *operands: Any) -> bool:
        """Whether the kernel takes n sequences of h units and these operands."""
        if h > MOST_UNITS or not countable(*operands):
            return False
        return self.plan(kernel, n, h).shared <= most_shared()

    def launch(
        self, kernel: str, shape: tuple[int, int, int], reverse: bool, *operands: Any
    ) -> None:
        """Runs over all sequences. shape: N, T, H. operands: those of the kernel up to lengths."""
        n, t, h = shape
        plan = self.plan(kernel, n, h)
        run = self.source.kernel(kernel, UNITS=plan.units, ROWS=plan.rows, KEPT_GROUPS=plan.kept)
        blocks = -(-n // plan.rows) if h else 0
        run(blocks, 2 * plan.units, *operands, n, t, h, int(reverse), shared=plan.shared)
