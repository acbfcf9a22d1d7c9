"""Verifies a variant against its op's float64 reference, and the gradients of an op against directional differences of its reference.

Outputs are filled with NaN (integers with a sentinel) and guarded by bands on both sides, inputs lie between bands of NaN and are hashed
before and after, data are random and never zeros, NaN and infinity must stand where the reference has them, and the worst element is
reported. A call is made whole and in ranges of a few rows, so that the op's `cut` and `partial` are verified too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from .launch import Launch
from .registry import Variant, op as find_op
from .spec import Arg, Case, Op, Spec, Tol, as_tuple

BAND = 64  # guard elements on each side
SENTINEL = 0x5A  # every byte of an integer guard


@dataclass(frozen=True)
class Result:
    """The outcome of one case. `error` is the worst |got - want| over what the tolerance allows there: it passes at or below 1."""

    op: str
    variant: str
    case: str
    precision: str
    ok: bool
    error: float = 0.0
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.op}/{self.variant} [{self.case}] {self.precision}: {'ok' if self.ok else self.reason}"


class Failed(AssertionError):
    """Why a case failed."""


def _is_float(dtype: np.dtype) -> bool:
    return np.issubdtype(dtype, np.floating)


def _guard_value(dtype: np.dtype) -> Any:
    return (
        np.nan if _is_float(dtype) else np.frombuffer(bytes([SENTINEL]) * dtype.itemsize, dtype)[0]
    )


class Guarded:
    """An array between two bands that nothing may write to, and that poison whoever reads them."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        size = Spec(shape, dtype).size
        self.raw = np.full(size + 2 * BAND, _guard_value(dtype), dtype)
        self.array = self.raw[BAND : BAND + size].reshape(shape)
        self.bands = self._bytes()

    def _bytes(self) -> bytes:
        return self.raw[:BAND].tobytes() + self.raw[self.raw.size - BAND :].tobytes()

    def intact(self) -> bool:
        return self._bytes() == self.bands


def make_input(arg: Arg, rng: np.random.Generator, precision: np.dtype) -> np.ndarray:
    """The operand that `arg` describes, in its memory layout, between guard bands where it is contiguous."""
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


def place(values: np.ndarray, layout: str = "C") -> np.ndarray:
    """A copy of `values` in a memory layout: C (between guard bands), F, strided (every other element) or reversed."""
    if layout == "F":
        return np.asfortranarray(values)
    if layout == "strided":
        wide = np.full(
            (*values.shape[:-1], values.shape[-1] * 2), _guard_value(values.dtype), values.dtype
        )
        wide[..., ::2] = values
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(values[::-1, ..., ::-1])[::-1, ..., ::-1]
    guarded = Guarded(values.shape, values.dtype)
    guarded.array[...] = values
    return guarded.array


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
        raise ValueError(
            f"{op.name}: case [{case.label()}] names operands that the op has not: {sorted(unknown)}"
        )
    return [made.get(name) for name in op.inputs]


def widen(array: np.ndarray | None) -> np.ndarray | None:
    """A float64 copy of a floating array, a copy of any other."""
    if array is None:
        return None
    return np.array(array, dtype=np.float64 if _is_float(array.dtype) else array.dtype)


def expected(
    op: Op, ins: Sequence[np.ndarray | None], attrs: dict[str, Any]
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """What the reference says in float64: the outputs, and the inout operands after the call."""
    wide = [widen(a) for a in ins]
    with np.errstate(all="ignore"):
        outs = [np.asarray(o) for o in as_tuple(op.reference(*wide, **attrs))]
    return outs, {
        n: wide[op.inputs.index(n)] for n in op.inout if wide[op.inputs.index(n)] is not None
    }  # type: ignore[misc]


def compare(name: str, got: np.ndarray, want: np.ndarray, tol: Tol) -> float:
    """The worst error as a share of what is allowed; raises Failed with the element if it is over 1."""
    if got.shape != want.shape:
        raise Failed(f"{name}: shape {got.shape}, expected {want.shape}")
    if not got.size:
        return 0.0
    if not _is_float(got.dtype):
        wrong = got != want
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise Failed(
                f"{name}[{at}] = {got[at]}, expected {want[at]} ({int(wrong.sum())} of {got.size} differ)"
            )
        return 0.0
    got64 = got.astype(np.float64)
    special = ~np.isfinite(want)
    mismatch = (special | ~np.isfinite(got64)) & ~(
        (got64 == want) | (np.isnan(got64) & np.isnan(want))
    )
    if mismatch.any():
        at = tuple(int(i) for i in np.argwhere(mismatch)[0])
        raise Failed(
            f"{name}[{at}] = {got64[at]}, expected {want[at]} ({int(mismatch.sum())} non-finite of {got.size} differ)"
        )
    finite = want[~special]
    rms = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        error = np.where(special, 0.0, np.abs(got64 - want))
        allowed = np.where(
            special, 1.0, tol.rtol * np.abs(want) + tol.atol * rms + np.finfo(got.dtype).tiny
        )
    share = error / allowed
    at = tuple(int(i) for i in np.unravel_index(int(np.argmax(share)), share.shape))
    worst = float(share[at])
    if worst > 1.0:
        raise Failed(
            f"{name}[{at}] = {got64[at]!r}, expected {want[at]!r}: {worst:.3g} times the tolerance ({tol.rtol:g}, {tol.atol:g})"
        )
    return worst


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def run_guarded(
    op: Op,
    variant: Variant,
    ins: Sequence[np.ndarray | None],
    attrs: dict[str, Any],
    *,
    rows: int | None = None,
    optional: bool = True,
) -> dict[str, np.ndarray]:
    """Runs a variant into guarded, NaN-filled outputs; the outputs and inout operands by name. Raises Failed on what it may not touch.

    rows: rows per range (None: the op's own). optional: whether the outputs that only backward needs are made.
    """
    specs = [None if a is None else Spec.of(a) for a in ins]
    launch = Launch(op, variant, specs, attrs, rows=rows, optional=optional)
    given = [
        place(a) if a is not None and n in op.inout else a
        for n, a in zip(op.inputs, ins, strict=True)
    ]
    before = {
        n: _hash(a)
        for n, a in zip(op.inputs, given, strict=True)
        if a is not None and n not in op.inout
    }
    guards = [None if s is None else Guarded(s.shape, s.dtype) for s in launch.outputs]
    outs = [None if g is None else g.array for g in guards]
    with np.errstate(all="ignore"):
        launch.run(outs, given)
    for name, guard in zip(launch.names, guards, strict=True):
        if guard is not None and not guard.intact():
            raise Failed(f"{name}: written outside the array")
    for name, array in zip(op.inputs, given, strict=True):
        if array is None:
            continue
        if name in before and before[name] != _hash(array):
            raise Failed(f"{name}: an input was modified")
        base = array.base
        if base is not None and base.ndim == 1 and base.size == array.size + 2 * BAND:
            guard_bytes = Guarded((array.size,), array.dtype).bands
            if base[:BAND].tobytes() + base[base.size - BAND :].tobytes() != guard_bytes:
                raise Failed(f"{name}: written outside the array")
    found = {n: o for n, o in zip(launch.names, outs, strict=True) if o is not None}
    found.update(
        {n: a for n, a in zip(op.inputs, given, strict=True) if n in op.inout and a is not None}
    )
    return found


def verify(
    op: Op,
    variant: Variant,
    case: Case,
    precision: str = "float32",
    *,
    seed: int | None = None,
    rows: int | None = None,
) -> Result:
    """One case of one variant, with fresh random operands (`seed` to repeat them): whole, then in ranges of 3 rows (or `rows`)."""
    attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
    rng = np.random.default_rng(seed)
    ins = make_inputs(op, case, rng, np.dtype(precision))
    tol = op.tolerance[precision]
    specs = [None if a is None else Spec.of(a) for a in ins]

    def result(ok: bool, error: float = 0.0, reason: str = "") -> Result:
        return Result(op.name, variant.name, case.label(), precision, ok, error, reason)

    if not variant.supports(specs, attrs):
        return result(True, reason="not supported")
    outs, after = expected(op, ins, attrs)
    names = tuple(op.infer(*specs, **attrs))
    want = {**dict(zip(names, outs, strict=True)), **after}
    worst = 0.0
    try:
        for pieces in (None, rows or 3) if op.cut is not None else (None,):
            for optional in (True, False) if op.optional else (True,):
                found = run_guarded(op, variant, ins, attrs, rows=pieces, optional=optional)
                for name, got in found.items():
                    worst = max(worst, compare(name, got, want[name], tol))
    except Failed as failure:
        return result(False, reason=str(failure))
    return result(True, worst)


def call_references(name: str, *ins: Any, **attrs: Any) -> Any:
    """The `call` of `grad` and `decompose` for plain arrays: runs the reference of the op, every output made; one output or a tuple of the required ones."""
    op = find_op(name)
    padded = (*ins, *(None,) * (len(op.inputs) - len(ins)))
    outs = as_tuple(op.reference(*padded, **attrs))
    names = tuple(
        op.infer(*[None if a is None else Spec.of(np.asarray(a)) for a in padded], **attrs)
    )
    required = [np.asarray(o) for n, o in zip(names, outs, strict=True) if n not in op.optional]
    return required[0] if len(required) == 1 else tuple(required)


def gradient_error(op: Op, case: Case, *, seed: int = 0, step: float = 1e-6) -> float:
    """The worst relative difference, over the differentiable inputs, between `grad` and central differences of the reference, in float64.

    Each input is moved along a random direction d; d · grad must be the change of Σ out · cotangent. A bare minimum of 1 is added to the
    scale, so that a gradient of zero is compared absolutely.
    """
    if op.grad is None:
        raise ValueError(f"{op.name} has no gradient")
    attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
    rng = np.random.default_rng(seed)
    ins = make_inputs(op, case, rng, np.dtype(np.float64))
    specs = [None if a is None else Spec.of(a) for a in ins]
    names = tuple(op.infer(*specs, **attrs))

    def outputs(values: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        copies = [None if v is None else v.copy() for v in values]
        return dict(
            zip(
                names,
                (np.asarray(o) for o in as_tuple(op.reference(*copies, **attrs))),
                strict=True,
            )
        )

    outs = outputs(ins)
    cotangents = {
        n: rng.standard_normal(o.shape)
        for n, o in outs.items()
        if n not in op.optional and _is_float(o.dtype)
    }
    douts = SimpleNamespace(**{n: cotangents.get(n) for n in names})
    float_inputs = [
        n
        for n, a in zip(op.inputs, ins, strict=True)
        if a is not None and _is_float(a.dtype) and n not in op.inout
    ]
    grads = op.grad(
        call_references,
        op.namespace(ins),
        op.namespace(list(outs.values()), names),
        douts,
        set(float_inputs),
        **attrs,
    )

    def objective(values: Sequence[np.ndarray | None]) -> float:
        found = outputs(values)
        return float(sum(np.sum(found[n] * c) for n, c in cotangents.items()))

    worst = 0.0
    for name in float_inputs:
        if grads.get(name) is None:
            continue
        at = op.inputs.index(name)
        if grads[name].shape != ins[at].shape:  # type: ignore[union-attr]
            raise Failed(
                f"{op.name}: the gradient of {name} has shape {grads[name].shape}, not {ins[at].shape}"
            )  # type: ignore[union-attr]
        direction = rng.standard_normal(ins[at].shape)  # type: ignore[union-attr]
        sides = [
            objective([a + sign * step * direction if i == at else a for i, a in enumerate(ins)])
            for sign in (1, -1)
        ]  # type: ignore[operator]
        numeric, analytic = (
            (sides[0] - sides[1]) / (2 * step),
            float(np.sum(grads[name] * direction)),
        )
        worst = max(worst, abs(numeric - analytic) / (1.0 + abs(numeric)))
    return worst
