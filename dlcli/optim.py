"""Optimisers: a table of rules over flat parameter buffers, clipping, a flag that halts at a NaN.

An optimiser lays its parameters out in one flat buffer (`engine.flat`); a step is then one kernel
over one array. What changes from step to step (lr, the step's number, the flag) lies in buffers,
and a step is always the same list of ops, so that it can be recorded and replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine.flat import FlatParameters
from .engine.tape import apply, no_grad
from .engine.tensor import Tensor, zeros
from .errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Rule:
    """An optimiser by name.

    op: its kernel. fixed: attributes of it that make this optimiser. settings: those that a user
    may change, with their defaults. states: the buffers that it carries under these settings.
    """

    op: str
    fixed: Mapping[str, Any]
    settings: Mapping[str, Any]
    states: Callable[[Mapping[str, Any]], tuple[str, ...]]


def _rmsprop_states(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        "v",
        *(("m",) if settings["momentum"] else ()),
        *(("avg",) if settings["centered"] else ()),
    )


ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
RULES: dict[str, Rule] = {
    "sgd": Rule("sgd_step", {}, {}, lambda s: ()),
    "momentum": Rule(
        "momentum_step", {"nesterov": False}, {"momentum": 0.9, "dampening": 0.0}, lambda s: ("m",)
    ),
    "nesterov": Rule(
        "momentum_step", {"nesterov": True, "dampening": 0.0}, {"momentum": 0.9}, lambda s: ("m",)
    ),
    "rmsprop": Rule(
        "rmsprop_step",
        {},
        {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False},
        _rmsprop_states,
    ),
    "adam": Rule("adam_step", {"decoupled": False}, ADAM, lambda s: ("m", "v")),
    "adamw": Rule("adam_step", {"decoupled": True}, ADAM, lambda s: ("m", "v")),
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
    **settings: Any,
) -> Optimizer:
    """The optimiser `name` over `parameters`, which it moves into one flat buffer.

    weight_decay: L2 (adamw: decoupled). clip_norm: the most that the 2-norm of the whole gradient
    may be; clip_value: of one element. UsageError for an unknown name or setting, and for a limit
    that is not positive.
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
    return Optimizer(rule.op, parameters, attrs, rule.states(chosen), clip_norm, clip_value)


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
    ) -> None:
        self.flat = FlatParameters(parameters)
        self.op, self.attrs = op, dict(attrs)
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
        self.flat.settle()
        with no_grad():
            self._update()

    def _update(self) -> None:
        """The ops of a step, whether it is halted or not: the host reads nothing."""
        grad = self.flat.grad
        self.squares = apply("sum_of_squares", grad)
        apply("check_finite", self.squares, self.halt)
        if self.clip_value is not None:
            apply("clip_by_value", grad, limit=self.clip_value)
        if self.clip_norm is not None:
            squares = self.squares if self.clip_value is None else apply("sum_of_squares", grad)
            apply("clip_by_norm", grad, squares, self.halt, max_norm=self.clip_norm)
        apply("count_step", self.count, self.halt)
        operands = {
            "p": self.flat.data,
            "g": grad,
            "lr": self.lr,
            "step": self.count,
            "halt": self.halt,
            **self.states,
        }
        apply(self.op, *[operands.get(name) for name in _inputs(self.op)], **self.attrs)

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


def _inputs(op: str) -> tuple[str, ...]:
    from dlcli_kernels.registry import op as find_op

    return find_op(op).inputs
