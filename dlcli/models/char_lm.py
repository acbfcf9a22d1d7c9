"""A language model of characters: embedding or one-hot → LSTM layers → the next character."""

from __future__ import annotations

from dataclasses import dataclass

from dlcli import nn
from dlcli.errors import UsageError
from dlcli.models.parts.language import LanguageModel, OneHot, check

DESCRIPTION = "language, character by character: LSTM layers; generates text"
ADAPTS = "It has an id for each character of the training text, and one for all others."
KIND = "characters"


@dataclass(frozen=True)
class Config:
    """embedding: numbers of a character's vector; 0 takes one-hot vectors. hidden: units of an LSTM
    layer. layers: how many. dropout: of vectors, between layers and before the last layer.
    """

    embedding: int = 64
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.0


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> LanguageModel:
    """A language model, shape = (steps of a window, ids), initialised from `seed`.

    UsageError for settings that make no network.
    """
    if config.embedding < 0:
        raise UsageError(f"char-lm: embedding {config.embedding} is not possible", why="0 or more")
    check("char-lm", dropout=config.dropout, hidden=config.hidden, layers=config.layers)
    ids, width = shape[1], config.embedding or shape[1]
    vectors = nn.Embedding(ids, width) if config.embedding else OneHot(ids)
    model = LanguageModel(ids, vectors, width, config.hidden, config.layers, dropout=config.dropout)
    model.initialize(seed)
    return model
