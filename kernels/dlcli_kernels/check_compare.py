"""What the reference expects of an output, and whether an output meets it.

Finite values are compared within the op's tolerance, NaN and infinities must stand where the
reference has them. Where NaN is put into the operands of a case, what depends on it must be NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .check_data import Failed, is_float, smallest
from .spec import Case, Op, Spec, Tol, as_tuple

Places = Mapping[str, tuple[np.ndarray, ...]]  # operand -> indices of some of its elements


def specs_of(arrays: Sequence[np.ndarray | None]) -> list[Spec | None]:
    """The specs of operands; None for an absent one."""
    return [None if a is None else Spec.of(a) for a in arrays]


def widen(array: np.ndarray | None) -> np.ndarray | None:
    """A float64 copy of a floating array, a copy of any other."""
    if array is None:
        return None
    return np.array(array, dtype=np.float64 if is_float(array.dtype) else array.dtype)


def expected(
    op: Op, ins: Sequence[np.ndarray | None], attrs: dict[str, Any]
) -> dict[str, np.ndarray]:
    """What the reference says in float64: outputs, and inout operands after the call, by name."""
    names = op.infer(*specs_of(ins), **attrs)
    wide = [widen(a) for a in ins]
    with np.errstate(all="ignore"):
        outs = as_tuple(op.reference(*wide, **attrs))
    want = {name: np.asarray(out) for name, out in zip(names, outs, strict=True)}
    for name in op.inout:
        updated = wide[op.inputs.index(name)]
        if updated is not None:
            want[name] = updated
    return want


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(wrong)[0])


def rms(array: np.ndarray) -> float:
    """The root mean square of the finite elements, 0 of none."""
    size = np.abs(array[np.isfinite(array)])
    largest = float(size.max(initial=0.0))  # taken out of the squares, which would overflow
    return largest * float(np.sqrt(np.mean((size / largest) ** 2))) if largest else 0.0


def compare(
    name: str, got: np.ndarray, want: np.ndarray, tol: Tol, scale: float | None = None
) -> float:
    """The worst error as a share of what is allowed; over 1 it raises Failed with the element.

    NaN and infinity must stand where `want` has them, integers be equal. scale: what `tol.atol` is
    relative to, the root mean square of `want` by default.
    """
    if got.shape != want.shape:
        raise Failed(f"{name}: shape {got.shape}, expected {want.shape}")
    if not got.size:
        return 0.0
    if not is_float(got.dtype):
        wrong = got != want
        if wrong.any():
            at, share = _first(wrong), f"{int(wrong.sum())} of {got.size} differ"
            raise Failed(f"{name}[{at}] = {got[at]}, expected {want[at]} ({share})")
        return 0.0
    got64 = got.astype(np.float64)
    special = ~np.isfinite(want)
    same = (got64 == want) | (np.isnan(got64) & np.isnan(want))
    wrong = (special | ~np.isfinite(got64)) & ~same
    if wrong.any():
        at, share = _first(wrong), f"{int(wrong.sum())} non-finite of {got.size} differ"
        raise Failed(f"{name}[{at}] = {float(got64[at])}, expected {float(want[at])} ({share})")
    scale = rms(want) if scale is None else scale
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(special, 0.0, np.abs(got64 - want))
        slack = tol.rtol * np.abs(want) + tol.atol * scale + smallest(got.dtype)
        shares = error / np.where(special, 1.0, slack)
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(shares)), shares.shape))
    worst = float(shares[at])
    if worst > 1.0:
        raise Failed(
            f"{name}[{at}] = {float(got64[at])!r}, expected {float(want[at])!r}: "
            f"{worst:.3g} times the tolerance ({tol.rtol:g}, {tol.atol:g})"
        )
    return worst


# --- NaN in the operands --------------------------------------------------------------------------


def choose_places(
    op: Op, case: Case, rng: np.random.Generator, ins: Sequence[np.ndarray | None]
) -> Places:
    """Two elements of every floating operand.

    None of operands with one element (a rate, a step count) or that the case makes as zeros
    (accumulators).
    """
    found = {}
    for name, array in zip(op.inputs, ins, strict=True):
        arg = case.args.get(name)
        if array is None or array.size < 2 or not is_float(array.dtype):
            continue
        if arg is None or arg.kind != "zeros":
            flat = rng.choice(array.size, size=2, replace=False)
            found[name] = np.unravel_index(flat, array.shape)
    return found


def put(
    op: Op, ins: Sequence[np.ndarray | None], places: Places, values: tuple[float, float]
) -> None:
    """Writes two values into the places of every operand."""
    for name, at in places.items():
        array = ins[op.inputs.index(name)]
        assert array is not None
        array[at] = values


@dataclass(frozen=True)
class Damage:
    """What NaN at some places may do to an output, element by element."""

    expected: np.ndarray  # bool: it depends on the places, and the reference has NaN
    values: np.ndarray  # what stands elsewhere, unless NaN does


def damages(
    op: Op, ins: Sequence[np.ndarray | None], attrs: dict[str, Any], places: Places
) -> dict[str, Damage]:
    """For every floating output what NaN at the places does to it.

    An element depends on the places if it changes when high values there give way to low ones,
    which also changes the winner of a maximum. `ins` are left with the low ones.
    """
    put(op, ins, places, (np.nan, np.nan))
    nan = expected(op, ins, attrs)
    put(op, ins, places, (163.1, 97.7))
    high = expected(op, ins, attrs)
    put(op, ins, places, (-71.3, -55.9))
    low = expected(op, ins, attrs)
    found = {}
    for name, values in low.items():
        if is_float(values.dtype):
            depends = (high[name] != values) & ~np.isnan(high[name])
            lost = depends & np.isnan(nan[name])
            found[name] = Damage(lost, np.where(depends, nan[name], values))
    return found


def compare_nan(name: str, got: np.ndarray, damage: Damage, tol: Tol, scale: float) -> None:
    """Raises Failed unless an output computed with NaN at the places shows what depends on them.

    Elsewhere it may be NaN too (0 · NaN), or what it is without them (0 · NaN skipped). scale: the
    root mean square that the tolerance is of.
    """
    is_nan = np.isnan(got)
    hidden = damage.expected & ~is_nan
    if hidden.any():
        at = _first(hidden)
        raise Failed(f"{name}[{at}] = {got[at]}, expected nan ({int(hidden.sum())} NaN lost)")
    free = is_nan | np.isnan(damage.values)
    kept = np.where(free, 0, got).astype(got.dtype)
    compare(name, kept, np.where(free, 0, damage.values), tol, scale)
