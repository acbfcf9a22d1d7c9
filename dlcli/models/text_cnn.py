"""A convolutional classifier of texts (Kim 2014, "Convolutional neural networks for sentence
classification"): word vectors → convolutions of several widths → the maximum over time → dense.

What a filter gives at padding is taken out before the maximum, so that a text gives the same
whatever it shares a batch with.
"""

from __future__ import annotations

from dataclasses import dataclass

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.models.parts.text_classifier import Padding, TextClassifier, check
from dlcli.nn.functional import activation

DESCRIPTION = "texts: word vectors, convolutions of several widths, the maximum over time"
ADAPTS = "The table of word vectors has a row for each word of the data's vocabulary."
KIND = "text"


@dataclass(frozen=True)
class Config:
    """embedding: numbers of a word's vector. widths: words that a filter spans. filters: of each
    width. dropout: of word vectors and before the dense layer.
    """

    embedding: int = 200
    widths: tuple[int, ...] = (3, 4, 5)
    filters: int = 100
    dropout: float = 0.5


class TextCNN(TextClassifier):
    """The strongest answer of each filter is what a text comes to."""

    def __init__(self, config: Config, words: int, classes: int) -> None:
        features = config.filters * len(config.widths)
        super().__init__(words, config.embedding, features, classes, dropout=config.dropout)
        self.convolutions = [
            nn.Conv1d(config.embedding, config.filters, width, padding="same")
            for width in config.widths
        ]
        self.padding = Padding(words)

    def features(self, vectors: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        away = self.padding(ids)  # (N, T)
        found: Tensor | None = None
        for convolution in self.convolutions:
            z = convolution(vectors)  # (N, T, filters)
            z = apply("add", z, apply("broadcast", away, shape=z.shape, axes=(2,)))
            best = activation(apply("max", z, axes=(1,), keepdims=False), "relu")
            found = best if found is None else apply("concat", found, best)
        assert found is not None
        return found


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> TextCNN:
    """A classifier of texts, shape = (words of a text at most, ids), initialised from `seed`.

    UsageError for settings that make no network.
    """
    if not config.widths:
        raise UsageError("text-cnn: without widths there is no network", why="at least one")
    sizes = {"embedding": config.embedding, "filters": config.filters}
    check("text-cnn", dropout=config.dropout, **sizes, widths=min(config.widths))
    model = TextCNN(config, shape[1], classes)
    model.initialize(seed)
    return model
