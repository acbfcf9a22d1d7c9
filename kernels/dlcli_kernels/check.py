"""Verifies a variant against its op's float64 reference (`check_grad.py` verifies the gradients).

Outputs, partial results and scratch are filled with NaN (integers with a sentinel) and guarded by
bands on both sides; inputs lie between bands of NaN and are hashed before and after; data are
random and never zeros; the worst element is reported. Each case is run
- in the op's own ranges (mostly one), in ranges of 3 rows, and on two threads that take turns at
  every line, with and without the outputs that only backward needs: ranges share nothing; and
  without Python in between, where it can be written down;
- with new values in the same arrays (as a replayed plan has them) that have ties and zeros, in the
  smallest ranges from the last to the first: nothing is kept from one call to the next, and no
  range writes into its neighbours;
- with NaN in every operand: what depends on it is NaN.
A kernel for a device runs on the whole range only, on the target in use: random values in every
order of threads that the target has.
Infinities are for an op's own cases: whether ∞ or ∞ - ∞ comes out may depend on the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from .check_compare import (
    Places,
    choose_places,
    compare,
    compare_nan,
    damages,
    expected,
    put,
    rms,
    specs_of,
)
from .check_data import (
    Failed,
    digest,
    dtype_of,
    make_inputs,
    make_ties,
    refill,
)
from .check_device import run_on_target
from .check_grad import call_references, decompose_error, gradient_error
from .check_run import can_be_written, run_guarded, run_written
from .launch import Launch
from .lockstep import lockstep
from .raw import target
from .registry import Variant
from .spec import Case, Op, Tol

__all__ = [
    "Failed",
    "Result",
    "call_references",
    "compare",
    "decompose_error",
    "gradient_error",
    "make_inputs",
    "run_guarded",
    "run_written",
    "verify",
]

MOST_RANGES = 64  # when a case is run in the smallest ranges


@dataclass(frozen=True)
class Result:
    """The outcome of one case.

    error: the worst |got - want| as a share of what the tolerance allows there (at most 1 passes).
    """

    op: str
    variant: str
    case: str
    precision: str
    ok: bool
    error: float = 0.0
    reason: str = ""

    def __str__(self) -> str:
        outcome = "ok" if self.ok else self.reason
        return f"{self.op}/{self.variant} [{self.case}] {self.precision}: {outcome}"


def _backwards(task: Callable[[int], None], count: int) -> None:
    """Runs the ranges from the last to the first: a write past the end spoils a finished range."""
    for i in reversed(range(count)):
        task(i)


def _kept(module: ModuleType | None) -> list[str]:
    """The arrays that a variant's module keeps, hashed: scratch of its own would be among them."""
    values = [] if module is None else list(vars(module).values())
    for value in list(values):
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list | tuple):
            values += value
    return [digest(a) for a in values if isinstance(a, np.ndarray)]


@dataclass(frozen=True)
class _Run:
    """One way to run a case: a phrase for the report, the function that runs it, its arguments."""

    how: str
    arguments: dict[str, Any]
    function: Callable[..., dict[str, np.ndarray]] = run_guarded


WHOLE = _Run("", {})
Runs = tuple[list[_Run], list[_Run], list[_Run]]


def _runs_on_target(op: Op) -> Runs:
    """The same for a device: whole, the random values in every order of threads that it has."""
    orders = target().orders
    ways = [_Run(f"threads {o}" if o else "", {"order": o}, run_on_target) for o in orders]
    less = [replace(w, arguments={**w.arguments, "optional": False}) for w in ways[-1:]]
    return ways + (less if op.optional else []), ways[:2][-1:], ways[:1]


def _runs(
    op: Op, variant: Variant, ins: Sequence[np.ndarray | None], attrs: dict[str, Any], rows: int
) -> Runs:
    """The ways to run a case on random values, on ties and zeros, and on NaN."""
    if variant.whole:
        return _runs_on_target(op)
    n = Launch(op, variant, specs_of(ins), attrs).ranges[-1][1]
    random, ties, nan = [WHOLE], [WHOLE], [WHOLE]
    if n >= 0:  # not one piece of work
        few, quarter = max(1, -(-n // MOST_RANGES)), max(1, -(-n // 4))
        turns = lockstep(str(getattr(variant.module, "__file__", "")))
        random += [_Run(f"in ranges of {rows}", {"rows": rows})]
        random += [_Run(f"in ranges of {quarter} by turns", {"rows": quarter, "runner": turns})]
        if can_be_written(op, variant, ins, attrs):
            random += [_Run(f"written down in ranges of {rows}", {"rows": rows}, run_written)]
        ties += [_Run(f"in ranges of {few}, last first", {"rows": few, "runner": _backwards})]
        nan += [_Run(f"in ranges of {rows}", {"rows": rows})]
    if op.optional:
        less = {"optional": False}
        random += [_Run(f"required outputs {r.how}", {**r.arguments, **less}) for r in random]
    return random, ties, nan


@contextmanager
def _reported(*circumstances: str) -> Iterator[None]:
    """Adds the circumstances to a Failed raised inside."""
    try:
        yield
    except Failed as failure:
        phrases = ", ".join(filter(None, circumstances))
        raise Failed(f"{failure} ({phrases})" if phrases else str(failure)) from None


class _Verification:
    """One case of one variant on operands `ins`, whose values change from one set to the next."""

    def __init__(
        self,
        op: Op,
        variant: Variant,
        ins: list[np.ndarray | None],
        attrs: dict[str, Any],
        tol: Tol,
    ) -> None:
        self.op, self.variant, self.ins, self.attrs, self.tol = op, variant, ins, attrs, tol
        self.worst, self.scale = 0.0, dict[str, float]()

    def outputs(self, runs: Sequence[_Run], values: str) -> list[dict[str, np.ndarray]]:
        """What the variant makes of the values, run in every way."""
        results = []
        for run in runs:
            with _reported(run.how, values):
                found = run.function(self.op, self.variant, self.ins, self.attrs, **run.arguments)
                results.append(found)
        return results

    def plain(self, runs: Sequence[_Run], values: str) -> None:
        """Runs and compares. The reference comes last, so that nothing is there to be copied."""
        results = self.outputs(runs, values)
        want = expected(self.op, self.ins, self.attrs)
        for name, array in want.items():  # of values that may all be padding: the larger one
            self.scale[name] = max(self.scale.get(name, 0.0), rms(array))
        for run, found in zip(runs, results, strict=True):
            with _reported(run.how, values):
                for name, got in found.items():
                    self.worst = max(self.worst, compare(name, got, want[name], self.tol))

    def with_nan(self, runs: Sequence[_Run], places: Places) -> None:
        """Runs with NaN in every operand and compares the floating outputs."""
        put(self.op, self.ins, places, (np.nan, np.nan))
        results = self.outputs(runs, "NaN")
        damage = damages(self.op, self.ins, self.attrs, places)
        for run, found in zip(runs, results, strict=True):
            with _reported(run.how, "NaN"):
                for name in damage.keys() & found.keys():
                    compare_nan(name, found[name], damage[name], self.tol, self.scale[name])


def verify(
    op: Op,
    variant: Variant,
    case: Case,
    precision: str = "float32",
    *,
    seed: int | None = None,
    rows: int = 3,
) -> Result:
    """One case of one variant, in all the ways that the first lines of this file list.

    The operands are drawn anew for each call; `seed` repeats them. rows: rows per range where a
    run is cut into short ranges. An exception that the variant raises is not caught.
    """
    attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
    rng, dtype = np.random.default_rng(seed), dtype_of(precision)
    ins = make_inputs(op, case, rng, dtype)
    result = partial(Result, op.name, variant.name, case.label(), precision)
    if not variant.supports(specs_of(ins), attrs):
        return result(True, reason="not supported")
    random, ties, nan = _runs(op, variant, ins, attrs, rows)
    it = _Verification(op, variant, ins, attrs, op.tolerance[precision])
    kept = _kept(variant.module)
    try:
        it.plain(random, "")
        refill(ins, make_inputs(op, case, rng, dtype))
        make_ties(op, case, ins)
        it.plain(ties, "new values with ties and zeros in the same arrays")
        refill(ins, make_inputs(op, case, rng, dtype))
        it.with_nan(nan, choose_places(op, case, rng, ins))
        if _kept(variant.module) != kept:
            raise Failed("an array of the variant's module was modified: threads share it")
    except Failed as failure:
        return result(False, reason=str(failure))
    return result(True, it.worst)
