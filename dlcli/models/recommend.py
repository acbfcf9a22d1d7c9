"""Recommending by factors: what a user thinks of an item (Koren, Bell & Volinsky 2009).

    rating = mean + b_user + b_item + p_user · q_item

Users and items that are not known have neither factors nor a bias, zeros that are not trained; of
them the bias of the other side speaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli import nn
from dlcli.engine.tape import apply
from dlcli.engine.tensor import Tensor, on_device
from dlcli.errors import UsageError
from dlcli.models.parts.regressor import Regressor, check_loss

DESCRIPTION = "ratings: factors and biases of users and items; rates, and finds what one may like"
ADAPTS = "Its tables have a row for each user and each item that the data's training part has."
KIND = "ratings"
UNKNOWN = 0  # the id of whom the training part has not
STD = 0.1  # of the first factors: their products are small beside a rating


@dataclass(frozen=True)
class Config:
    """factors: numbers of a user and of an item. dropout: of users' factors. loss: mse or huber."""

    factors: int = 8
    dropout: float = 0.0
    loss: str = "mse"


class Recommend(Regressor):
    """ids of users (N,) and of items (N,) → ratings (N,), in deviations from the mean."""

    def __init__(self, config: Config, users: int, items: int) -> None:
        self.loss = config.loss
        self.users = nn.Embedding(users, config.factors, padding=UNKNOWN, std=STD)
        self.items = nn.Embedding(items, config.factors, padding=UNKNOWN, std=STD)
        self.user_bias = nn.Embedding(users, 1, padding=UNKNOWN, std=0.0)
        self.item_bias = nn.Embedding(items, 1, padding=UNKNOWN, std=0.0)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        product = apply("mul", self.drop(self.users(users)), self.items(items))
        both = apply("sum", product, axes=(1,), keepdims=False)
        biases = apply("add", self.user_bias(users), self.item_bias(items))
        out: Tensor = apply("add", both, biases.reshape(users.shape[0]))
        return out

    def scores(self, users: Tensor) -> Tensor:
        """What users (N,) think of every item: (N, ids of items), in deviations from the mean."""
        table = self.items.weight
        biases = self.item_bias.weight.reshape(table.shape[0])
        how = {"ta": False, "tb": True, "act": None}
        product = apply("matmul", self.users(users), table, biases, **how)
        mine = self.user_bias(users).reshape(users.shape[0])
        spread = apply("broadcast", mine, shape=product.shape, axes=(1,))
        out: Tensor = apply("add", product, spread)
        return out

    def blank(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """A user and an item that are not known, for a summary of the layers."""
        unknown = np.full(1, UNKNOWN)
        return on_device(unknown), on_device(unknown)


def build(config: Config, shape: tuple[int, ...], classes: int, *, seed: int = 0) -> Recommend:
    """Of shape = (ids of users, ids of items), initialised from `seed`.

    UsageError for settings that make no model.
    """
    if config.factors < 1 or not 0 <= config.dropout < 1:
        what = f"factors {config.factors} and dropout {config.dropout}"
        why = "factors are 1 or more, dropout is 0 or more and below 1"
        raise UsageError(f"recommend: {what} do not make a model", why=why)
    check_loss("recommend", config.loss)
    model = Recommend(config, *shape)
    model.initialize(seed)
    return model
