"""A recurrent classifier of texts: word vectors → two LSTM layers → the last valid state → dense.

Past a text's length the state is carried unchanged, so that padding does not reach the classifier.
"""

from __future__ import annotations

from dataclasses import dataclass

from dlcli import nn
from dlcli.engine.tensor import Tensor
from dlcli.models.parts.text_classifier import TextClassifier, check

DESCRIPTION = "texts: word vectors, a two-layer LSTM, a dense layer"
ADAPTS = "The table of word vectors has a row for each word of the data's vocabulary."
KIND = "text"


@dataclass(frozen=True)
class Config:
    """embedding: numbers of a word's vector. hidden: units of an LSTM layer. layers: how many.
    dropout: of word vectors, between LSTM layers and before the dense layer.
    """

    embedding: int = 200
    hidden: int = 128
    layers: int = 2
    dropout: float = 0.5


class TextLSTM(TextClassifier):
    """The last state of the topmost layer is what a text comes to."""

    def __init__(self, config: Config, words: int, classes: int) -> None:
        super().__init__(words, config.embedding, config.hidden, classes, dropout=config.dropout)
        self.lstm = nn.LSTM(
            config.embedding, config.hidden, layers=config.layers, dropout=config.dropout
        )

    def features(self, vectors: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        _, states = self.lstm(vectors, lengths)
        last: Tensor = states[-1][0]
        return last


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> TextLSTM:
    """A classifier of texts, shape = (words of a text at most, ids), initialised from `seed`.

    UsageError for settings that make no network.
    """
    sizes = {"embedding": config.embedding, "hidden": config.hidden, "layers": config.layers}
    check("text-lstm", dropout=config.dropout, **sizes)
    model = TextLSTM(config, shape[1], classes)
    model.initialize(seed)
    return model
