"""A language model of words: embedding → LSTM layers → the next word, scored by the same vectors
(Press & Wolf 2017), unless `embedding` is not `hidden`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dlcli import nn
from dlcli.models.parts.language import LanguageModel, check

DESCRIPTION = "language, word by word: LSTM layers; generates text"
ADAPTS = "The table of word vectors has a row for each word of the data's vocabulary."
KIND = "words"
STD = 0.1  # of the first word vectors


@dataclass(frozen=True)
class Config:
    """embedding: numbers of a word's vector. hidden: units of an LSTM layer. layers: how many.
    dropout: of vectors, between layers and before the scores.
    """

    embedding: int = 256
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.5


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> LanguageModel:
    """A language model, shape = (steps of a window, ids), initialised from `seed`.

    UsageError for settings that make no network.
    """
    sizes = {"embedding": config.embedding, "hidden": config.hidden, "layers": config.layers}
    check("word-lm", dropout=config.dropout, **sizes)
    vectors = nn.Embedding(shape[1], config.embedding, std=STD)
    model = LanguageModel(
        shape[1],
        vectors,
        config.embedding,
        config.hidden,
        config.layers,
        dropout=config.dropout,
        tied=config.embedding == config.hidden,
    )
    model.initialize(seed)
    return model
