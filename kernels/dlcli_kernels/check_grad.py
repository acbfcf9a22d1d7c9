"""Verifies gradients by differences of the reference, and a fused op by its parts, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .check_data import Failed, is_float, make_inputs
from .registry import op as find_op
from .spec import Case, Op, SparseGradient, Spec, as_tuple


def call_references(name: str, *ins: Any, **attrs: Any) -> Any:
    """The `call` of `grad` and `decompose` for plain arrays: runs the op's reference.

    Returns the required outputs, one array or a tuple.
    """
    op = find_op(name)
    padded = (*ins, *(None,) * (len(op.inputs) - len(ins)))
    outs = as_tuple(op.reference(*padded, **attrs))
    names = op.infer(*[None if a is None else Spec.of(np.asarray(a)) for a in padded], **attrs)
    required = [np.asarray(o) for n, o in zip(names, outs, strict=True) if n not in op.optional]
    return required[0] if len(required) == 1 else tuple(required)


class Point:
    """One case in float64: its operands, and the reference's outputs as a function of them."""

    def __init__(self, op: Op, case: Case, seed: int) -> None:
        self.op = op
        self.attrs = {k: v for k, v in case.attrs.items() if k in op.attrs}
        self.rng = np.random.default_rng(seed)
        self.ins = make_inputs(op, case, self.rng, np.dtype(np.float64))
        specs = [None if a is None else Spec.of(a) for a in self.ins]
        self.names = tuple(op.infer(*specs, **self.attrs))

    def outputs(self, ins: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """All outputs by name; `ins` stay untouched, inout ones too."""
        copies = [None if a is None else a.copy() for a in ins]
        outs = as_tuple(self.op.reference(*copies, **self.attrs))
        return {name: np.asarray(out) for name, out in zip(self.names, outs, strict=True)}


def gradient_error(op: Op, case: Case, *, seed: int = 0, step: float = 1e-6) -> float:
    """The worst relative difference between `grad` and central differences of the reference.

    Each floating input is moved along a random direction d; d · grad must be the change of
    Σ out · cotangent. 1 is added to the scale, so that a gradient of zero is compared absolutely.
    `grad` must have an entry for every floating input: None says that it has no gradient, and an
    absent one is a gradient forgotten (Failed).
    """
    if op.grad is None:
        raise ValueError(f"{op.name} has no gradient")
    at = Point(op, case, seed)
    outs = at.outputs(at.ins)
    cotangents = {
        name: at.rng.standard_normal(out.shape)
        for name, out in outs.items()
        if name not in op.optional and is_float(out.dtype)
    }
    douts = SimpleNamespace(**{name: cotangents.get(name) for name in at.names})
    moved = {
        name: (i, a)
        for i, (name, a) in enumerate(zip(op.inputs, at.ins, strict=True))
        if a is not None and is_float(a.dtype) and name not in op.inout
    }
    saved = op.namespace(list(outs.values()), at.names)
    grads = op.grad(call_references, op.namespace(at.ins), saved, douts, set(moved), **at.attrs)

    def objective(ins: Sequence[np.ndarray | None]) -> float:
        found = at.outputs(ins)
        return float(sum(np.sum(found[name] * c) for name, c in cotangents.items()))

    worst = 0.0
    for name, (i, value) in moved.items():
        if name not in grads:
            raise Failed(f"{op.name}: `grad` says nothing about {name}, not even None")
        if isinstance(grads[name], SparseGradient):
            grads[name] = grads[name].dense(call_references)
        if grads[name] is None:
            continue
        if grads[name].shape != value.shape:
            shapes = f"{grads[name].shape}, not {value.shape}"
            raise Failed(f"{op.name}: the gradient of {name} has shape {shapes}")
        direction = at.rng.standard_normal(value.shape)
        beside = [
            objective([*at.ins[:i], value + h * direction, *at.ins[i + 1 :]]) for h in (step, -step)
        ]
        numeric = (beside[0] - beside[1]) / (2 * step)
        analytic = float(np.sum(grads[name] * direction))
        worst = max(worst, abs(numeric - analytic) / (1.0 + abs(numeric)))
    return worst


def decompose_error(op: Op, case: Case, *, seed: int = 0) -> float:
    """The worst difference between a fused op's reference and its `decompose`.

    Relative to the output's largest element, or to 1 where that is smaller.
    """
    if op.decompose is None:
        raise ValueError(f"{op.name} has no decomposition")
    at = Point(op, case, seed)
    want = {n: o for n, o in at.outputs(at.ins).items() if n not in op.optional}
    got = as_tuple(op.decompose(call_references, *at.ins, **at.attrs))
    worst = 0.0
    for (name, wanted), found in zip(want.items(), got, strict=True):
        if found.shape != wanted.shape:
            raise Failed(f"{op.name}: {name} decomposes to {found.shape}, not {wanted.shape}")
        scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
        worst = max(worst, float(np.abs(found - wanted).max(initial=0.0)) / scale)
    return worst
