"""Recurrent layers over sequences (N, T, features): RNN, LSTM, GRU, and what they share.

The steps of a layer are one op; its input products are part of it (LSTM) or one matmul over N·T
rows before it. A layer on top of another takes its output, a direction backwards in time runs over
the same input, and the two directions' outputs lie side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from dlcli_kernels.philox import Generator

from ..engine.tape import apply
from ..engine.tensor import Tensor, zeros
from . import init
from .dropout import Dropout
from .module import Module, Parameter

State = tuple[Tensor, ...]  # of a layer in one direction, each (N, hidden): (h,), an LSTM's (h, c)


def detached(states: list[State]) -> list[State]:
    """The same states without their history: where backpropagation through time is cut off."""
    return [tuple(Tensor(t.data) for t in state) for state in states]


class Recurrent(Module):
    """What the recurrent layers share: the stack of layers and directions.

    inputs: features of a step. hidden: units of a layer and direction. layers: how many, one on
    top of the other. bidirectional: each layer also runs from the end to the beginning, and its
    output is both side by side. dropout: probability, between layers.

    Parameters of layer k, as PyTorch names them, with `_reverse` for the direction backwards in
    time: weight_ih_lk (G·hidden, in), weight_hh_lk (G·hidden, hidden) and bias_lk (G·hidden,), G
    being the number of gates. They begin as PyTorch's do: weights from U(±1/√hidden), bias_lk as
    the sum of two such numbers, since it stands for both bias_ih_lk and bias_hh_lk.
    """

    gates = 1
    states = 1  # tensors of a `State`

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        if min(inputs, hidden, layers) < 1:
            raise ValueError(
                f"{type(self).__name__}: {inputs} inputs, {hidden} hidden units and {layers} layers"
                " must each be 1 or more"
            )
        between = [Dropout(dropout) for _ in range(layers)]
        self.hidden, self.layers = hidden, layers
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        self.drop = between[1:] if dropout else []
        for k in range(layers):
            for suffix in self.suffixes:
                self.add_parameters(f"l{k}{suffix}", inputs)
            inputs = self.outputs

    @property
    def outputs(self) -> int:
        """Features of the output's steps: hidden, or twice that."""
        return self.hidden * len(self.suffixes)

    def add_parameters(self, name: str, inputs: int) -> None:
        """Makes the parameters of one layer and direction, as attributes: `weight_ih_l0`."""
        wide, bound = self.gates * self.hidden, self.hidden**-0.5
        setattr(self, f"weight_ih_{name}", Parameter((wide, inputs), uniform(bound)))
        setattr(self, f"weight_hh_{name}", Parameter((wide, self.hidden), uniform(bound)))
        setattr(self, f"bias_{name}", Parameter((wide,), uniform(bound, terms=2)))

    def initial(self, n: int) -> list[State]:
        """Zeros: the states that a run over n sequences begins with unless it is given others."""
        dtype = self.parameter("weight_hh", "l0").dtype
        count = self.layers * len(self.suffixes)
        zero = zeros((n, self.hidden), dtype)
        return [(zero,) * self.states] * count

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, state: list[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """x (N, T, inputs) → out (N, T, outputs), and the last states, as `state` is given.

        lengths (N,) int32: how many steps of each row count, at its front whichever way it runs;
        out is 0 past them, and the last states are those of the last step that counts. state: one
        per layer and direction, in PyTorch's order (l0, l0_reverse, l1, …), zeros unless given;
        an empty sequence leaves it as it is. ValueError if operands do not fit.
        """
        if len(x.shape) != 3:
            raise ValueError(f"{type(self).__name__}: x must be (N, T, inputs), not {x.shape}")
        begin = self.initial(x.shape[0]) if state is None else state
        if len(begin) != self.layers * len(self.suffixes):
            raise ValueError(
                f"{type(self).__name__}: {len(begin)} states for {self.layers} layers in"
                f" {len(self.suffixes)} directions"
            )
        end: list[State] = []
        for k in range(self.layers):
            if k and self.drop:
                x = self.drop[k - 1](x)
            outs = []
            for suffix in self.suffixes:
                out, last = self.run(x, lengths, begin[len(end)], f"l{k}{suffix}")
                outs.append(out)
                end.append(last)
            x = outs[0] if len(outs) == 1 else apply("concat", *outs)
        return x, end

    def parameter(self, kind: str, name: str) -> Parameter:
        """One of `add_parameters`, such as ("weight_ih", "l0_reverse")."""
        found: Parameter = getattr(self, f"{kind}_{name}")
        return found

    def products(self, x: Tensor, name: str) -> Tensor:
        """zx (N, T, G·hidden): the input's products with their bias, of all steps."""
        n, t, _ = x.shape
        weight, bias = self.parameter("weight_ih", name), self.parameter("bias", name)
        rows = x.reshape(n * t, x.shape[2])
        zx: Tensor = apply("matmul", rows, weight, bias, ta=False, tb=True, act=None)
        return zx.reshape(n, t, weight.shape[0])

    def run(
        self, x: Tensor, lengths: Tensor | None, state: State, name: str
    ) -> tuple[Tensor, State]:
        """One layer in one direction: (N, T, hidden) and its last state."""
        raise NotImplementedError


def uniform(bound: float, terms: int = 1) -> init.Fill:
    """A fill with sums of so many numbers of U(±bound)."""

    def fill(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
        return sum((2 * rng.uniform(*shape) - 1) * bound for _ in range(terms)) + np.zeros(shape)

    return fill


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); gates i, f, g, o. See `Recurrent`.

    A state is (h, c).
    """

    gates = 4
    states = 2

    def run(
        self, x: Tensor, lengths: Tensor | None, state: State, name: str
    ) -> tuple[Tensor, State]:
        weights = [self.parameter(kind, name) for kind in ("weight_ih", "weight_hh", "bias")]
        reverse = name.endswith("_reverse")
        out, *last = apply("lstm_layer", x, *state, *weights, lengths, reverse=reverse)
        return out, tuple(last)

    def step(self, x: Tensor, state: list[State]) -> tuple[Tensor, list[State]]:
        """One step of all layers, without dropout: x (N, inputs) → (N, hidden) and the next states.

        What `forward` gives for a sequence of one step up to rounding, in a third of the time: a
        layer's op lays its weights out for many steps first. ValueError: it is bidirectional.
        """
        if len(self.suffixes) > 1:
            raise ValueError("LSTM: steps backwards in time need the whole sequence")
        end: list[State] = []
        for k, (h, c) in enumerate(state):
            w_ih, w_hh, b = (self.parameter(p, f"l{k}") for p in ("weight_ih", "weight_hh", "bias"))
            zx = apply("matmul", x, w_ih, b, ta=False, tb=True, act=None)
            zh = apply("matmul", h, w_hh, ta=False, tb=True, act=None)
            x, c = apply("lstm_cell", zx, zh, c)
            end.append((x, c))
        return x, end


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014), as PyTorch computes it: n = tanh(zx_n + r·(W_hn h +
    b_hn)); gates r, z, n. See `Recurrent`.

    Besides its parameters there is bias_hn_lk (hidden,), the last part of PyTorch's bias_hh_lk,
    which stands behind the reset gate and so is no part of bias_lk's last third.
    """

    gates = 3

    def add_parameters(self, name: str, inputs: int) -> None:
        super().add_parameters(name, inputs)
        one, two = (uniform(self.hidden**-0.5, terms) for terms in (1, 2))
        wide = 2 * self.hidden

        def fill(rng: Generator, shape: tuple[int, ...]) -> np.ndarray:
            """The sum of two biases for r and z, one for n."""
            return np.concatenate((two(rng, (wide,)), one(rng, (shape[0] - wide,))))

        self.parameter("bias", name).fill = fill
        setattr(self, f"bias_hn_{name}", Parameter((self.hidden,), one))

    def run(
        self, x: Tensor, lengths: Tensor | None, state: State, name: str
    ) -> tuple[Tensor, State]:
        weight, bias = self.parameter("weight_hh", name), self.parameter("bias_hn", name)
        zx, reverse = self.products(x, name), name.endswith("_reverse")
        out, *last = apply("gru_sequence", zx, *state, weight, bias, lengths, reverse=reverse)
        return out, tuple(last)


class RNN(Recurrent):
    """The vanilla recurrent layer (Elman 1990): h = act(W x + W_hh h + b), act tanh or relu. See
    `Recurrent`.
    """

    def __init__(self, inputs: int, hidden: int, *, act: str = "tanh", **options: Any) -> None:
        super().__init__(inputs, hidden, **options)
        self.act = act

    def run(
        self, x: Tensor, lengths: Tensor | None, state: State, name: str
    ) -> tuple[Tensor, State]:
        zx, weight = self.products(x, name), self.parameter("weight_hh", name)
        how = {"act": self.act, "reverse": name.endswith("_reverse")}
        out, *last = apply("rnn_sequence", zx, *state, weight, lengths, **how)
        return out, tuple(last)


class LastState(Module):
    """What a recurrent layer knows at the end: (N, T, inputs) → (N, outputs), the last h of its
    last layer, both directions side by side.
    """

    def __init__(self, layer: Recurrent) -> None:
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        _, states = self.layer(x, lengths)
        last = [state[0] for state in states[-len(self.layer.suffixes) :]]
        return last[0] if len(last) == 1 else apply("concat", *last)
