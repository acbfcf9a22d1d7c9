"""Optimisers: a table of rules over flat parameter buffers, clipping, a flag that halts at a NaN.

An optimiser lays its parameters out in one flat buffer (`engine.flat`); a step is then one kernel
over one array. What changes from step to step (lr, the step's number, the flag) lies in buffers,
and a step is always the same list of ops, so that it can be recorded and replayed.

Of a table of which a step reads few rows, as word vectors, a lazy step moves the rows that were
read, by the optimiser's formula with its bias corrected by the number of the step; all others keep
their parameters and moments. `lazy-adam` is PyTorch's SparseAdam, but for where ε is added: here as
in Adam. It costs nothing for rows that were not read, and learns rare ones more slowly: in Adam a
row goes on moving, by its momentum, after it was read. Plain SGD moves no other row anyhow. A table
that something else than lookups uses takes the dense step: all of its rows have a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dlcli_kernels.registry import op as find_op

from .engine import executor
from .engine.flat import FlatParameters
from .engine.tape import apply, no_grad
from .engine.tensor import Tensor, zeros
from .errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Rule:
    """An optimiser by name.

    op: its kernel. fixed: attributes of it that make this optimiser. settings: those that a user
    may change, with their defaults. states: the buffers that it carries under these settings.
    rows: its kernel for the rows of a table, "" if it has none. lazy: whether it goes by it.
    """

    op: str
    fixed: Mapping[str, Any]
    settings: Mapping[str, Any]
    states: Callable[[Mapping[str, Any]], tuple[str, ...]]
    rows: str = ""
    lazy: bool = False


def _rmsprop_states(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        "v",
        *(("m",) if settings["momentum"] else ()),
        *(("avg",) if settings["centered"] else ()),
    )


ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
RULES: dict[str, Rule] = {
    "sgd": Rule("sgd_step", {}, {}, lambda s: (), "sgd_rows_step"),
    "momentum": Rule(
        "momentum_step",
        {"nesterov": False},
        {"momentum": 0.9, "dampening": 0.0},
        lambda s: ("m",),
        "momentum_rows_step",
    ),
    "nesterov": Rule(
        "momentum_step",
        {"nesterov": True, "dampening": 0.0},
        {"momentum": 0.9},
        lambda s: ("m",),
        "momentum_rows_step",
    ),
    "rmsprop": Rule(
        "rmsprop_step",
        {},
        {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False},
        _rmsprop_states,
    ),
    "adam": Rule("adam_step", {"decoupled": False}, ADAM, lambda s: ("m", "v"), "adam_rows_step"),
    "lazy-adam": Rule(
        "adam_step", {"decoupled": False}, ADAM, lambda s: ("m", "v"), "adam_rows_step", lazy=True
    ),
    "adamw": Rule("adam_step", {"decoupled": True}, ADAM, lambda s: ("m", "v"), "adam_rows_step"),
}


def names() -> list[str]:
    """The optimisers that there are."""
    return list(RULES)


def make(
    name: str,
    parameters: Mapping[str, Tensor],
    *,
    weight_decay: float = 0.0,
    l1: float = 0.0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    lazy: bool | None = None,
    **settings: Any,
) -> Optimizer:
    """The optimiser `name` over `parameters`, which it moves into one flat buffer.

    weight_decay: L2 (adamw: decoupled). clip_norm: the most that the 2-norm of the whole gradient
    may be; clip_value: of one element. lazy: whether a step leaves alone the rows of tables that
    were not read; None: as the name says. UsageError for an unknown name or setting, for a limit
    that is not positive, and for a lazy step of what has none.
    """
    if name not in RULES:
        raise UsageError(f"unknown optimizer {name!r}", hint=did_you_mean(name, RULES))
    rule = RULES[name]
    for key in settings:
        if key not in rule.settings:
            there = ", ".join(rule.settings) or "none"
            raise UsageError(f"{name} has no setting {key!r}", hint=f"its settings: {there}")
    for key, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if limit is not None and not limit > 0:
            raise UsageError(f"{key} {limit} would stop all training", why="it must be positive")
    chosen = {**rule.settings, **settings}
    attrs = {**chosen, **rule.fixed, "weight_decay": weight_decay, "l1": l1}
    states, penalised = rule.states(chosen), bool(weight_decay or l1)
    if must := rule.lazy if lazy is None else lazy:
        if not rule.rows:
            raise UsageError(
                f"{name} has no lazy step", hint=f"those that have one: {_with_rows()}"
            )
        if penalised:
            why = "weight decay and l1 move every row of a table in every step"
            raise UsageError(f"no lazy step of {name} with them", why=why, hint="use adam")
    same = (
        lazy is None and not states and not penalised and _has_rows(rule)
    )  # the same step, faster
    rows = rule.rows if must or same else ""
    return Optimizer(rule.op, parameters, attrs, states, clip_norm, clip_value, rows)


def _with_rows() -> str:
    return ", ".join(name for name, rule in RULES.items() if rule.rows)


def _has_rows(rule: Rule) -> bool:
    """Whether the device can keep gradients of few rows and step by them."""
    device, needed = executor.current(), (rule.rows, "embedding_rows_grad", "merge_rows")
    return bool(rule.rows) and all(device.has_kernel(find_op(name)) for name in needed)


class Optimizer:
    """One flat buffer of parameters, its gradients, its states, and the kernel that moves it."""

    def __init__(
        self,
        op: str,
        parameters: Mapping[str, Tensor],
        attrs: Mapping[str, Any],
        states: tuple[str, ...],
        clip_norm: float | None = None,
        clip_value: float | None = None,
        rows: str = "",
    ) -> None:
        self.op, self.rows, self.attrs = op, rows, dict(attrs)
        self.flat = FlatParameters(parameters, keep_rows=bool(rows))
        self.clip_norm, self.clip_value = clip_norm, clip_value
        like = self.flat.data
        self.states = {name: zeros(like.shape, like.dtype) for name in states}
        self.lr = zeros((1,), np.float64)
        self.count = zeros((1,), np.float64)
        self.halt = zeros((1,), np.int32)
        self.squares = zeros((1,), np.float64)

    def zero_grad(self) -> None:
        """Starts a new gradient."""
        self.flat.zero_grad()

    def watch(self, loss: Tensor) -> None:
        """Halts the optimiser if the loss is not finite."""
        with no_grad():
            apply("check_finite", loss, self.halt)

    def step(self, lr: float) -> None:
        """One step with learning rate `lr`.

        Moves no parameter or state once the loss or a gradient was not finite: see `halted`.
        """
        self.lr.write(lr)
        self.update()

    def update(self) -> None:
        """The ops of a step with the learning rate in `lr`, whether it is halted or not: the host
        reads nothing.
        """
        with no_grad():
            self._update()

    def tensors(self) -> list[Tensor]:
        """All that it keeps from step to step."""
        flat = self.flat.data, self.flat.grad
        return [*flat, *self.states.values(), self.lr, self.count, self.halt]

    def _update(self) -> None:
        spans, tables = self.flat.settle()
        grads = [_part(self.flat.grad, span) for span in spans]
        grads += [table.values.reshape(-1) for table in tables]
        self.squares = _squares(grads)
        apply("check_finite", self.squares, self.halt)
        for grad in grads if self.clip_value is not None else ():
            apply("clip_by_value", grad, limit=self.clip_value)
        if self.clip_norm is not None:
            squares = self.squares if self.clip_value is None else _squares(grads)
            for grad in grads:
                apply("clip_by_norm", grad, squares, self.halt, max_norm=self.clip_norm)
        apply("count_step", self.count, self.halt)
        for span, grad in zip(spans, grads, strict=False):  # the tables' come after
            states = {name: _part(state, span) for name, state in self.states.items()}
            self._move(self.op, p=_part(self.flat.data, span), g=grad, **states)
        for table in tables:
            states = {name: table.of(state) for name, state in self.states.items()}
            gradient = {"index": table.index, "g": table.values}
            self._move(self.rows, p=table.of(self.flat.data), **gradient, **states)

    def _move(self, name: str, **operands: Tensor) -> None:
        """A step of the parameters p, by the optimiser's op or by that on rows."""
        op = find_op(name)
        operands |= {"lr": self.lr, "step": self.count, "halt": self.halt}
        attrs = {key: value for key, value in self.attrs.items() if key in op.attrs}
        apply(name, *[operands.get(operand) for operand in op.inputs], **attrs)

    def halted(self) -> bool:
        """Whether a loss or gradient was not finite; no parameter has been moved since.

        This reads the device.
        """
        return bool(self.halt.item())

    def resume(self) -> None:
        """Takes the halt back: the step that was not finite is skipped for good."""
        self.halt.write(0)

    def grad_norm(self) -> float:
        """The 2-norm of the last step's gradient, before clipping."""
        return math.sqrt(self.squares.item())

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the states and the step count; the parameters are the model's to save.

        A state is (n,), parameter after parameter as `FlatParameters.pack` lays them out.
        """
        return {
            **{name: self.flat.pack(tensor.numpy()) for name, tensor in self.states.items()},
            "step": self.count.numpy(),
        }

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copies `state` into place.

        ValueError if it is of another optimiser or other parameters.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(f"the optimiser's state has {sorted(state)}, not {sorted(own)}")
        for name, array in own.items():
            if state[name].shape != array.shape or state[name].dtype != array.dtype:
                raise ValueError(
                    f"the optimiser's {name} is {state[name].shape} {state[name].dtype}, "
                    f"not {array.shape} {array.dtype}"
                )
        for name, tensor in self.states.items():
            tensor.write(self.flat.unpack(state[name]))
        self.count.write(state["step"])


def _part(flat: Tensor, span: slice) -> Tensor:
    """A span of a flat buffer; the buffer itself where that is all of it."""
    whole = span.start == 0 and span.stop == flat.size
    return flat if whole else Tensor(flat.data[span])


def _squares(grads: Sequence[Tensor]) -> Tensor:
    """The squared 2-norm of all the gradients together, in one order."""
    total: Tensor = apply("sum_of_squares", grads[0])
    for grad in grads[1:]:
        apply("add_to", total, apply("sum_of_squares", grad))
    return total
