"""Translates: an encoder reads a sentence in both directions, a decoder writes another and looks at
the first (Sutskever et al. 2014; Bahdanau et al. 2015).

    hₛ: a bidirectional recurrent layer over the source's word vectors
    dₜ: a recurrent layer over the target's words so far, which begins with what hₛ ended with
    cₜ = Σₛ αₜₛ hₛ;   αₜ = softmaxₛ(v · tanh(W dₜ + U hₛ))
    p(next word) = softmax(V tanh(C [dₜ; cₜ]))

As in Luong et al. 2015 ("Effective Approaches to Attention-based Neural Machine Translation", its
global attention) the decoder's state does not depend on cₜ: in training all its steps are one op,
and so are the scores, the contexts and the words of all steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, made_on_host, on_device
from dlcli.errors import UsageError

DESCRIPTION = "translation: an encoder and a decoder with attention (LSTM or GRU)"
ADAPTS = "Each side's table of word vectors has a row for each word of the data's vocabulary."
KIND = "pair"

PADDING, UNKNOWN, END = 0, 1, 2  # ids that are no words; the last ends a sentence and begins one
NOTHING = -100  # what is wanted past a target's end: its loss and gradient are 0
STD = 0.1  # of the first word vectors
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}


@dataclass(frozen=True)
class Config:
    """embedding: numbers of a word's vector. hidden: units of the decoder, and of each direction of
    the encoder. attention: units that make a score. cell: lstm or gru. dropout: of word vectors and
    of what the next word is chosen by.
    """

    embedding: int = 128
    hidden: int = 128
    attention: int = 128
    cell: str = "lstm"
    dropout: float = 0.4


@dataclass(frozen=True)
class Memory:
    """What the encoder made of n sources: keys (n, S, 2·hidden), what attention makes of them,
    projected (n, S, units), their lengths (n,) int32, and the state, of tensors (n, hidden), with
    which the decoder begins.
    """

    keys: Tensor
    projected: Tensor
    lengths: Tensor
    state: tuple[Tensor, ...]


class Seq2Seq(nn.Module):
    """Sources (N, S) with lengths (N,), targets (N, T) with lengths (N,) → logits (N, T, words)."""

    label_smoothing = 0.0

    def __init__(self, config: Config, sources: int, targets: int) -> None:
        size, hidden = config.embedding, config.hidden
        layer = CELLS[config.cell]
        self.source = nn.Embedding(sources, size, padding=PADDING, std=STD)
        self.target = nn.Embedding(targets, size, padding=PADDING, std=STD)
        self.drop_source, self.drop_target = nn.Dropout(config.dropout), nn.Dropout(config.dropout)
        self.encoder = layer(size, hidden, bidirectional=True)
        self.bridges = [nn.Linear(2 * hidden, hidden, act="tanh") for _ in range(layer.states)]
        self.decoder = layer(size, hidden)
        self.attention = nn.AdditiveAttention(hidden, 2 * hidden, config.attention)
        self.combine = nn.Linear(3 * hidden, hidden, act="tanh")
        self.drop = nn.Dropout(config.dropout)
        self.words = nn.Linear(hidden, targets)

    def forward(self, *inputs: Tensor) -> Tensor:
        sources, lengths, targets, target_lengths = inputs
        memory = self.read(sources, lengths)
        logits, _ = self.write(memory, targets, memory.state, target_lengths)
        return logits

    def read(self, sources: Tensor, lengths: Tensor) -> Memory:
        """What is known of sources (N, S) int64 of lengths (N,) int32."""
        keys, states = self.encoder(self.drop_source(self.source(sources)), lengths)
        ends = [apply("concat", *both) for both in zip(*states, strict=True)]
        begin = tuple(bridge(end) for bridge, end in zip(self.bridges, ends, strict=True))
        return Memory(keys, self.attention.project(keys), lengths, begin)

    def write(
        self,
        memory: Memory,
        targets: Tensor,
        state: tuple[Tensor, ...],
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits (N·b, T, words) of the word after each of targets (N·b, T), b for each source one
        after the other; and the state after them.
        """
        steps, ends = self.decoder(self.drop_target(self.target(targets)), lengths, [state])
        n, t, hidden = steps.shape
        queries = steps.reshape(memory.keys.shape[0], -1, hidden)
        contexts, _ = self.attention(queries, memory.keys, memory.lengths, memory.projected)
        both = apply("concat", steps, contexts.reshape(n, t, 2 * hidden))
        logits: Tensor = self.words(self.drop(self.combine(both)))
        return logits, ends[0]

    def blank(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """A pair of unknown words, for a summary of the layers. shape: as `build` takes it."""
        ids = [np.full((1, min(most, 16)), UNKNOWN) for most in (shape[0], shape[2])]
        both = [(on_device(i), on_device(np.array([i.shape[1]], np.int32))) for i in ids]
        return tuple(tensor for side in both for tensor in side)

    def phases(self) -> list[Train]:
        """One."""
        return [Train(self)]

    def measure(self, outputs: dict[str, Tensor], batch: Any) -> dict[str, float]:
        """Of the words that are wanted: how many, how many are right, and their loss."""
        wanted = batch.inputs[3].reshape(-1)
        best = outputs["logits"].numpy().argmax(axis=1)
        return {
            "loss": float(outputs["losses"].numpy().sum(dtype=np.float64)),
            "correct": float(np.count_nonzero(best == wanted)),
            "tokens": float(np.count_nonzero(wanted != NOTHING)),
        }

    def translator(self, sources: np.ndarray, lengths: np.ndarray, width: int) -> Translator:
        """What writes `width` beginnings for each source, in evaluation mode, without gradients."""
        return Translator(self, self.read(on_device(sources), on_device(lengths)), width)


class Train:
    """The one phase: lower the cross-entropy of the wanted words, its mean over these alone."""

    name = "train"

    def __init__(self, model: Seq2Seq) -> None:
        self.model = model
        self.parameters: dict[str, Tensor] = dict(model.named_parameters())

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss, and the logits (N·T, words) and losses (N·T,) it is made of."""
        model, given, wanted = self.model, batch.inputs[:3], batch.inputs[3].reshape(-1)
        logits = model(*map(on_device, given), made_on_host(_lengths, given[2]))
        logits = logits.reshape(len(wanted), -1)
        smoothing = model.label_smoothing if model.training else 0.0
        losses = apply(
            "softmax_cross_entropy", logits, on_device(wanted), None, label_smoothing=smoothing
        )
        count = made_on_host(_count, batch.inputs[3])
        loss = apply("div", apply("sum", losses, axes=(0,), keepdims=False), count)
        return loss, {"logits": logits, "losses": losses}


def _lengths(given: np.ndarray) -> np.ndarray:
    """(N, T) → (N,): how many words are given."""
    return np.count_nonzero(given, axis=1).astype(np.int32)


def _count(wanted: np.ndarray) -> np.ndarray:
    """The number of words."""
    return np.array(np.count_nonzero(wanted != NOTHING), np.float32)


class Translator:
    """What beam search takes its words from: it holds the states of n × width beginnings."""

    def __init__(self, model: Seq2Seq, memory: Memory, width: int) -> None:
        self.model, self.memory, self.width = model, memory, width
        n = memory.keys.shape[0]
        self.state = self._rows(memory.state, np.repeat(np.arange(n), width))

    def step(self, words: np.ndarray) -> np.ndarray:
        """The last words (n, width) int64 → log-probabilities of the next (n, width, words)."""
        last = on_device(np.ascontiguousarray(words).reshape(-1, 1))
        logits, self.state = self.model.write(self.memory, last, self.state)
        found: Tensor = apply("log_softmax", logits)
        return found.numpy().reshape(*words.shape, -1)

    def keep(self, rows: np.ndarray) -> None:
        """Beginning i of a source goes on from what was its beginning rows[·, i]: (n, width)."""
        first = np.arange(len(rows))[:, None] * self.width
        self.state = self._rows(self.state, (first + rows).reshape(-1))

    def _rows(self, state: tuple[Tensor, ...], rows: np.ndarray) -> tuple[Tensor, ...]:
        ids = on_device(rows.astype(np.int64))
        return tuple(apply("embedding", tensor, ids, padding=None) for tensor in state)


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> Seq2Seq:
    """A model initialised from `seed`, shape = (words of a source at most, its ids, words of a
    target at most, its ids).

    UsageError for settings that make no network.
    """
    for key in ("embedding", "hidden", "attention"):
        if (value := getattr(config, key)) < 1:
            raise UsageError(f"seq2seq: {key} {value} does not make a network", why="at least 1")
    if not 0 <= config.dropout < 1:
        raise UsageError(f"seq2seq: dropout {config.dropout} is not possible", why="0 … below 1")
    if config.cell not in CELLS:
        raise UsageError(f"seq2seq: there is no cell '{config.cell}'", why=", ".join(CELLS))
    model = Seq2Seq(config, shape[1], shape[3])
    model.initialize(seed)
    return model
