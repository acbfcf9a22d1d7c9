"""The operands of a verification: random arrays in every memory layout, between guard bands.

The bands hold NaN (a sentinel for integers): they poison whoever reads them, and show who writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .spec import Arg, Case, Op, Spec

BAND = 64  # guard elements on each side
SENTINEL = 0x5A  # every byte of an integer guard


class Failed(AssertionError):
    """Why a case failed."""


def dtype_of(precision: str) -> np.dtype:
    """The dtype of operands in a precision: float32 for "tf32", in which it is only computed.

    "bfloat16" needs ml_dtypes (ImportError); TypeError for a name that is no precision.
    """
    if precision == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype("float32" if precision == "tf32" else precision)


def is_float(dtype: np.dtype) -> bool:
    """Whether values of this dtype can be NaN."""
    return np.issubdtype(dtype, np.floating) or dtype.name == "bfloat16"


def smallest(dtype: np.dtype) -> float:
    """The smallest normal number of a floating dtype; bfloat16 has the exponents of float32."""
    return float(np.finfo(np.float32 if dtype.name == "bfloat16" else dtype).tiny)


def guard_value(dtype: np.dtype) -> Any:
    """What guard bands and unwritten memory hold: NaN, or a sentinel where there is none."""
    if is_float(dtype):
        return np.nan
    return np.frombuffer(bytes([SENTINEL]) * dtype.itemsize, dtype)[0]


class Guarded:
    """A poisoned array between two bands that nothing may write to."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        size = Spec(shape, dtype).size
        self.raw = np.full(size + 2 * BAND, guard_value(dtype), dtype)
        self.array = self.raw[BAND : BAND + size].reshape(shape)

    def intact(self) -> bool:
        """Whether both bands are as they were made."""
        return bands_intact(self.array)


def bands_intact(array: np.ndarray) -> bool:
    """Whether a `Guarded` array's bands are as they were made; True for an array without bands."""
    base = array.base
    if base is None or base.ndim != 1 or base.size != array.size + 2 * BAND:
        return True
    band = np.full(BAND, guard_value(base.dtype), base.dtype).tobytes()
    return base[:BAND].tobytes() == band and base[base.size - BAND :].tobytes() == band


def digest(array: np.ndarray) -> str:
    """SHA-256 of the elements in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def place(values: np.ndarray, layout: str = "C") -> np.ndarray:
    """A copy of `values`, laid out as C (between guard bands), F, strided or reversed.

    strided: every other element of a longer last axis. reversed: every stride is negative.
    """
    if layout == "F":
        return np.array(values, order="F")
    if layout == "strided":
        shape = (*values.shape[:-1], values.shape[-1] * 2)
        wide = np.full(shape, guard_value(values.dtype), values.dtype)
        wide[..., ::2] = values
        return wide[..., ::2]
    if layout == "reversed":
        back = (slice(None, None, -1),) * values.ndim
        return np.ascontiguousarray(values[back])[back]
    guarded = Guarded(values.shape, values.dtype)
    guarded.array[...] = values
    return guarded.array


def make_input(arg: Arg, rng: np.random.Generator, precision: np.dtype) -> np.ndarray:
    """The operand that `arg` describes, in its memory layout."""
    dtype = np.dtype(arg.dtype) if arg.dtype is not None else precision
    values: Any
    if arg.kind == "normal":
        values = rng.standard_normal(arg.shape)
    elif arg.kind == "uniform":
        values = rng.uniform(arg.low, arg.high, arg.shape)
    elif arg.kind == "integers":
        values = rng.integers(int(arg.low), int(arg.high), arg.shape)
    else:
        values = np.zeros(arg.shape)
    return place(np.asarray(values).astype(dtype), arg.layout)


def make_inputs(
    op: Op, case: Case, rng: np.random.Generator, precision: np.dtype
) -> list[np.ndarray | None]:
    """Fresh operands in the op's order; absent ones are None."""
    made = {
        name: make_input(arg, rng, precision) for name, arg in case.args.items() if arg is not None
    }
    if case.make is not None:
        made.update({name: place(value) for name, value in case.make(rng, precision).items()})
    unknown = set(made) - set(op.inputs)
    if unknown:
        where = f"{op.name} [{case.label()}]"
        raise ValueError(f"{where} names operands that the op has not: {sorted(unknown)}")
    return [made.get(name) for name in op.inputs]


def refill(ins: Sequence[np.ndarray | None], values: Sequence[np.ndarray | None]) -> None:
    """New values in the same arrays: what a kernel sees when a plan is replayed."""
    for array, value in zip(ins, values, strict=True):
        if array is not None:
            array[...] = value


def make_ties(op: Op, case: Case, ins: Sequence[np.ndarray | None]) -> None:
    """Rounds the operands that the case draws from N(0, 1), in place: ties and exact zeros."""
    for name, array in zip(op.inputs, ins, strict=True):
        arg = case.args.get(name)
        if array is not None and arg is not None and arg.kind == "normal":
            array[...] = np.round(array)
