"""What classifiers of texts share: ids (N, T) and lengths (N,) come in, words become vectors. No
model itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, on_device
from dlcli.errors import UsageError
from dlcli.models.parts.classifier import Classifier

PADDING, UNKNOWN = 0, 1  # ids that are no words, as every vocabulary has them
AWAY = -1e9  # e to this is 0, and no score outweighs it
STD = 0.1  # of the first word vectors: texts are short, so many words are seen a few times only


class Padding(nn.Module):
    """What is added to a score so that padding never counts: ids (N, T) → (N, T), AWAY at padding
    and 0 at words. A look-up in a table, so that it happens where the ids are.

    words: how many ids there are.
    """

    def __init__(self, words: int) -> None:
        self.words = words
        self.table: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        if self.table is None:
            values = np.zeros((self.words, 1), np.float32)
            values[PADDING] = AWAY
            self.table = on_device(values)
        found: Tensor = apply("embedding", self.table, ids, padding=None)
        return found.reshape(*ids.shape)


class TextClassifier(Classifier):
    """Words (N, T) and lengths (N,) to logits (N, classes).

    words: how many ids there are. embedding: numbers of a word's vector. dropout: of word vectors,
    and of what `head` takes. Subclasses implement `features`.
    """

    def __init__(
        self, words: int, embedding: int, features: int, classes: int, *, dropout: float
    ) -> None:
        self.embedding = nn.Embedding(words, embedding, padding=PADDING, std=STD)
        self.drop_words, self.drop = nn.Dropout(dropout), nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)

    def children(self) -> Any:
        return nn.Module.children(self)

    def inputs(self, batch: Any) -> tuple[np.ndarray, ...]:
        """The ids of words (N, T) int64 and the lengths of texts (N,) int32."""
        return tuple(batch.inputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        ids, lengths = inputs
        vectors = self.drop_words(self.embedding(ids))  # (N, T, embedding)
        logits: Tensor = self.head(self.drop(self.features(vectors, ids, lengths)))
        return logits

    def features(self, vectors: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """What a text comes to: word vectors (N, T, embedding) → (N, features)."""
        raise NotImplementedError

    def blank(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """A text of unknown words, for a summary of the layers. shape: (words, ids)."""
        ids = np.full((1, min(shape[0], 64)), UNKNOWN)
        return on_device(ids), on_device(np.array([ids.shape[1]], np.int32))


def check(name: str, *, dropout: float, **sizes: int) -> None:
    """UsageError for settings that make no network."""
    for key, value in sizes.items():
        if value < 1:
            raise UsageError(f"{name}: {key} {value} does not make a network", why="at least 1")
    if not 0 <= dropout < 1:
        raise UsageError(f"{name}: dropout {dropout} is not possible", why="0 or more, below 1")
