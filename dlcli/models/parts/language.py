"""What language models share: ids of a text come in, the scores of what follows each of them go
out, and the state of the LSTM goes on from one window of the text to the next. No model itself.

Truncated backpropagation through time (Williams & Peng 1990): gradients end at a window's first
step, the state does not. Where a text begins is said by the data, a number for each row that the
state before it is multiplied with: 1 to go on, 0 to begin with nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply, no_grad
from dlcli.engine.tensor import Tensor, on_device, zeros
from dlcli.errors import UsageError
from dlcli.nn import losses
from dlcli.nn.module import Buffer

State = list[tuple[Tensor, ...]]  # of each layer (h, c), each (N, hidden)


class OneHot(nn.Module):
    """ids (N, T) → (N, T, count): 1 at the id. A look-up in a table, so that it happens where the
    ids are; it is made when it is needed and not trained.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.table: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        if self.table is None:
            self.table = on_device(np.eye(self.count, dtype=np.float32))
        found: Tensor = apply("embedding", self.table, ids, padding=None)
        return found


class Carried(nn.Module):
    """The states after a window of training, as buffers, so that they are part of a checkpoint:
    h_l0, c_l0, h_l1, … (rows, hidden). There are none until `hold`.
    """

    def __init__(self, layers: int, hidden: int) -> None:
        self.names = [(f"h_l{k}", f"c_l{k}") for k in range(layers)]
        self.hidden = hidden
        self.rows = 0

    def hold(self, rows: int) -> None:
        """Makes the buffers, zeros, for so many rows; keeps them if there are as many already."""
        if rows != self.rows:
            self.rows = rows
            for name in (name for pair in self.names for name in pair):
                setattr(self, name, Buffer(np.zeros((rows, self.hidden), np.float32)))

    def read(self) -> State:
        """The states."""
        return [tuple(getattr(self, name) for name in pair) for pair in self.names]


def write(to: State, state: State) -> None:
    """Copies states into others, which stay where they are: there a plan looks for them."""
    with no_grad():
        for tensors, values in zip(to, state, strict=True):
            for tensor, value in zip(tensors, values, strict=True):
                apply("assign", tensor, Tensor(value.data))


class Predict:
    """The one phase of a language model: lower the cross-entropy by moving every parameter."""

    name = "train"

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.parameters: dict[str, Tensor] = dict(model.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """A batch, with batch.y (N·T,) int64 → the mean loss in nats, and it again as an output.
        Labels are smoothed in training only.
        """
        logits = self.model(*[on_device(array) for array in batch.inputs])
        smoothing = self.model.label_smoothing if self.model.training else 0.0
        loss = losses.cross_entropy(logits, on_device(batch.y), label_smoothing=smoothing)
        return loss, {"loss": loss}


class LanguageModel(nn.Module):
    """Vectors of ids → LSTM layers → the score of each id that may follow.

    ids: how many there are. vectors: from ids (N, T) to (N, T, width). tied: the rows of its table
    are the weights of the scores too (Press & Wolf 2017), so that width = hidden. dropout: of
    vectors, between layers and of what is scored.
    """

    label_smoothing = 0.0

    def __init__(
        self,
        ids: int,
        vectors: nn.Module,
        width: int,
        hidden: int,
        layers: int,
        *,
        dropout: float,
        tied: bool = False,
    ) -> None:
        self.vectors = vectors
        self.drop_vectors, self.drop = nn.Dropout(dropout), nn.Dropout(dropout)
        self.lstm = nn.LSTM(width, hidden, layers=layers, dropout=dropout)
        self.head = Tied(vectors, ids) if tied else nn.Linear(hidden, ids)
        self.carried = Carried(layers, hidden)
        self.passing: dict[int, State] = {}  # the same while nothing is trained, by rows

    def forward(self, *inputs: Tensor) -> Tensor:
        """ids (N, T) int64 and goes_on (N,) of 0 or 1 → (N·T, ids): row n goes on with the state
        after the last call in the same mode, of as many rows, where goes_on is 1, and begins anew
        where it is 0.
        """
        ids, goes_on = inputs
        rows = ids.shape[0]
        if self.training:
            self.carried.hold(rows)
            carried = self.carried.read()
        else:
            if rows not in self.passing:
                self.passing[rows] = [
                    tuple(zeros(t.shape, t.dtype) for t in pair) for pair in self.initial(rows)
                ]
            carried = self.passing[rows]
        out, after = self.run(ids, self.masked(carried, goes_on))
        write(carried, after)
        return out

    def train(self, mode: bool = True) -> nn.Module:
        """As every module; what passes along an evaluation begins with zeros: a state that is not
        finite would stay so, whatever it is multiplied with.
        """
        for tensor in (t for state in self.passing.values() for pair in state for t in pair):
            tensor.write(np.zeros(tensor.shape))
        return super().train(mode)

    def initial(self, rows: int) -> State:
        """Zeros."""
        return self.lstm.initial(rows)

    def masked(self, state: State, goes_on: Tensor) -> State:
        """The state times goes_on (N,), without its history."""
        with no_grad():
            spread = apply("broadcast", goes_on, shape=state[0][0].shape, axes=(1,))
            return [tuple(apply("mul", Tensor(t.data), spread) for t in pair) for pair in state]

    def run(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids (N, T) after `state` → scores (N·T, ids), and the state after them."""
        rows, steps = ids.shape
        x = self.drop_vectors(self.vectors(ids))
        if steps == 1 and not self.training:
            out, after = self.lstm.step(x.reshape(rows, x.shape[2]), state)
        else:
            out, after = self.lstm(x, None, state)
        scores: Tensor = self.head(self.drop(out).reshape(rows * steps, out.shape[-1]))
        return scores, after

    def follow(self, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """`run` with a state as h and c of each layer, one after the other: the scores, then it."""
        scores, after = self.run(ids, list(zip(state[::2], state[1::2], strict=True)))
        return scores, *(t for pair in after for t in pair)

    def hold(self, rows: int) -> None:
        """Makes room for the states of so many rows of training."""
        self.carried.hold(rows)

    def adapt(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Makes room for the states in tensors of such shapes, those of a checkpoint."""
        found = shapes.get(f"carried.{self.carried.names[0][0]}", ())
        if len(found) == 2:
            self.carried.hold(found[0])

    def phases(self) -> list[Predict]:
        """One."""
        return [Predict(self)]

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """The sum of nats of the batch, from which the perplexity is."""
        return {"nats": outputs["loss"].item() * len(batch.y)}

    def blank(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """A window of nothing known, for a summary of the layers. shape: (steps, ids)."""
        return on_device(np.zeros((1, min(shape[0], 64)), np.int64)), zeros((1,))


class Tied(nn.Module):
    """Scores by the rows of the table that the vectors of ids come from: (n, width) → (n, ids)."""

    def __init__(self, vectors: Any, ids: int) -> None:
        self.bias = nn.Parameter((ids,), nn.init.zeros)
        self._table = [vectors.weight]  # in a list: it has a path already

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = apply("matmul", x, self._table[0], self.bias, ta=False, tb=True, act=None)
        return scores


def check(name: str, *, dropout: float, **sizes: int) -> None:
    """UsageError for settings that make no network."""
    for key, value in sizes.items():
        if value < 1:
            raise UsageError(f"{name}: {key} {value} does not make a network", why="at least 1")
    if not 0 <= dropout < 1 or math.isnan(dropout):
        raise UsageError(f"{name}: dropout {dropout} is not possible", why="0 or more, below 1")
