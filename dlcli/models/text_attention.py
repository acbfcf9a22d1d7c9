"""A classifier of texts that can show what it looked at: word vectors → a bidirectional LSTM →
additive attention (Bahdanau et al. 2015), over the words of a text (Yang et al. 2016) → dense.

    scoreₜ = v · tanh(W hₜ + b);   weight = softmax(score);   text = Σₜ weightₜ hₜ
"""

from __future__ import annotations

from dataclasses import dataclass

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor
from dlcli.models.parts.text_classifier import Padding, TextClassifier, check

DESCRIPTION = "texts: a bidirectional LSTM with attention, which can show the words it looked at"
ADAPTS = "The table of word vectors has a row for each word of the data's vocabulary."
KIND = "text"


@dataclass(frozen=True)
class Config:
    """embedding: numbers of a word's vector. hidden: LSTM units of each direction. attention: units
    that make a word's score. dropout: of word vectors and before the dense layer.
    """

    embedding: int = 200
    hidden: int = 64
    attention: int = 64
    dropout: float = 0.5


class Attention(nn.Module):
    """Weights (N, T) of the steps of a sequence (N, T, features): they sum to 1, 0 at padding."""

    def __init__(self, features: int, units: int, words: int) -> None:
        self.hidden = nn.Linear(features, units, act="tanh")
        self.score = nn.Linear(units, 1, bias=False)
        self.padding = Padding(words)

    def forward(self, x: Tensor, ids: Tensor) -> Tensor:
        scores = self.score(self.hidden(x)).reshape(x.shape[0], x.shape[1])
        weights: Tensor = apply("softmax", apply("add", scores, self.padding(ids)))
        return weights


class TextAttention(TextClassifier):
    """The mean of the LSTM's outputs, weighted by attention, is what a text comes to."""

    def __init__(self, config: Config, words: int, classes: int) -> None:
        features = 2 * config.hidden
        super().__init__(words, config.embedding, features, classes, dropout=config.dropout)
        self.lstm = nn.LSTM(config.embedding, config.hidden, bidirectional=True)
        self.attention = Attention(features, config.attention, words)

    def features(self, vectors: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        out, _ = self.lstm(vectors, lengths)  # (N, T, features)
        weights = self.attention(out, ids)
        spread = apply("broadcast", weights, shape=out.shape, axes=(2,))
        found: Tensor = apply("sum", apply("mul", out, spread), axes=(1,), keepdims=False)
        return found

    def explain(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The weights of the words (N, T): how much of the decision rests on each."""
        out, _ = self.lstm(self.embedding(ids), lengths)
        weights: Tensor = self.attention(out, ids)
        return weights


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> TextAttention:
    """A classifier of texts, shape = (words of a text at most, ids), initialised from `seed`.

    UsageError for settings that make no network.
    """
    sizes = {key: getattr(config, key) for key in ("embedding", "hidden", "attention")}
    check("text-attention", dropout=config.dropout, **sizes)
    model = TextAttention(config, shape[1], classes)
    model.initialize(seed)
    return model
