"""The task of telling what users think of items: how far ratings are off, and whether what a user
liked is among the first items that a model lists for them.

People rate what they come across, so that a list by ratings alone is full of what nobody knows. A
model's list is by how likely a user is to come across an item, which is how often it was rated, and
then to like it, which is the share of a normal number above the mean, its own mean the rating.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.errors import DataError
from dlcli.train import jsonfile
from dlcli.train import recommend_baselines as baselines
from dlcli.train.answers import answers
from dlcli.train.evaluate import inference
from dlcli.train.metrics import top_classes
from dlcli.train.task import Table, Trained

MODEL = "model"
TOP = 10  # items of a list
USERS = 256  # at a time
STEEP = 1.702  # the logistic function that is closest to the normal distribution's
LISTS = (MODEL, "ratings_alone", "popularity", "best_rated")


@dataclass(frozen=True)
class Evaluation:
    """Of a part with n ratings.

    loss: in deviations of the training part. rmse, mae: of ratings, by "model", "mean" (that of the
    training part) and "biases". hits: by LISTS, the share of users of whose liked ratings of this
    part at least one is among the first TOP items; recalls: the share of all such ratings that are.
    users: who have some. liked: above this rating. unknown: ratings of users or items that
    the training part has not.
    """

    samples: int
    loss: float
    rmse: Mapping[str, float]
    mae: Mapping[str, float]
    hits: Mapping[str, float]
    recalls: Mapping[str, float]
    users: int
    liked: float
    unknown: int

    @property
    def figures(self) -> dict[str, float]:
        """ "loss", "rmse", "mae", "hit_rate", "recall", and each beside that of a baseline."""
        found = {"loss": self.loss, "rmse": self.rmse[MODEL], "mae": self.mae[MODEL]}
        found |= {"hit_rate": self.hits[MODEL], "recall": self.recalls[MODEL]}
        for name in ("mean", "biases"):
            found[f"rmse_to_{name}"] = _share(self.rmse[MODEL], self.rmse[name])
        found["hit_rate_to_popularity"] = _share(self.hits[MODEL], self.hits["popularity"])
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is None."""
        return jsonfile.plain(
            {
                **self.figures,
                "samples": self.samples,
                "ratings": {n: {"rmse": self.rmse[n], "mae": self.mae[n]} for n in self.rmse},
                "lists": {
                    name: {"hit_rate": self.hits[name], "recall": self.recalls[name]}
                    for name in self.hits
                },
                "k": TOP,
                "users": self.users,
                "liked_above": self.liked,
                "unknown": self.unknown,
            }
        )

    def shown(self, many: str) -> list[str | Table]:
        """Ratings and lists, each beside what needs no model."""
        ratings = [(n, f"{self.rmse[n]:.4f}", f"{self.mae[n]:.4f}") for n in self.rmse]
        lists = [
            (n.replace("_", " "), f"{self.hits[n]:.2%}", f"{self.recalls[n]:.2%}")
            for n in self.hits
        ]
        blocks: list[str | Table] = [
            Table(("ratings", "RMSE", "MAE"), ratings),
            "",
            f"left-out ratings above {self.liked:.4g} of {self.users:,} users,"
            f" in lists of {TOP} items that they have not rated otherwise\n",
            Table(("lists", "users with a hit", "ratings that are hits"), lists),
        ]
        if self.unknown:
            blocks.append(f"{self.unknown:,} {many} of users or items that training has not")
        return blocks

    def draw(self, plots: Any, folder: Path, words: Sequence[str], title: str) -> list[Path]:
        """Nothing."""
        return []


def _share(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else float("nan")


class Recommending:
    """See `task.Task`."""

    monitor = "val_loss"
    least = ("hit_rate", "recall", "hit_rate_to_popularity")
    most = ("rmse", "mae", "loss", "rmse_to_mean", "rmse_to_biases")

    def __init__(self) -> None:
        self.figures = {"rmse": ".4f"}
        self.options: dict[str, Any] = {"top_k": TOP}

    def evaluate(
        self,
        trained: Trained,
        dataset: Any,
        part: str,
        *,
        batch_size: int,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """Ratings and lists. Means and popularity are those of the training part of `dataset`."""
        split, train = dataset.splits[part], dataset.splits["train"]
        if not len(split):
            raise DataError(f"{dataset.name}: its {part} part is empty")
        encode: Any = trained.encode
        told, loss = answers(
            trained, split, batch_size, on_batch, lambda found, batch: encode.values(found)
        )
        shape = (len(encode.users) + 1, len(encode.items) + 1)
        users, items, _ = encode(train.pairs)
        biases = baselines.Biases(users, items, train.labels, shape)
        popular = np.bincount(items, minlength=shape[1]).astype(np.float64)
        users, items, _ = encode(split.pairs)
        ratings = {MODEL: told, "mean": np.full(len(split), biases.mean)}
        ratings["biases"] = biases(users, items)
        errors = {name: found - split.labels for name, found in ratings.items()}
        fixed = {"popularity": popular, "best_rated": biases.item}
        liked = split.labels > biases.mean
        hits, recalls, count = _lists(trained, dataset, part, liked, fixed)
        return Evaluation(
            samples=len(split),
            loss=loss,
            rmse={n: float(np.sqrt(np.square(error).mean())) for n, error in errors.items()},
            mae={n: float(np.abs(error).mean()) for n, error in errors.items()},
            hits=hits,
            recalls=recalls,
            users=count,
            liked=biases.mean,
            unknown=int(((users == 0) | (items == 0)).sum()),
        )

    def predict(
        self, trained: Trained, samples: list[Any], options: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Of a user "top", a list of {"item", "rating"}, the most
        likely to be liked first, without those that they have rated; of
        a user and an item "rating". "unknown" names the sides that the training part has not, of
        which biases alone are told.
        """
        return [_told(trained, user, item, options["top_k"]) for user, item in samples]


def _lists(
    trained: Trained,
    dataset: Any,
    part: str,
    liked: np.ndarray,
    fixed: Mapping[str, np.ndarray],
) -> tuple[dict[str, float], dict[str, float], int]:
    """Share of users with a hit and of ratings that are hits, by list; and how many users.

    A list of a user holds no items that other parts have ratings of. fixed: scores of items that
    are the same for all.
    """
    encode: Any = trained.encode
    wanted: dict[int, list[int]] = defaultdict(list)
    users, items, _ = encode(dataset.splits[part].pairs)
    for user, item in zip(users[liked], items[liked], strict=True):
        wanted[int(user)].append(int(item))
    others: dict[int, list[int]] = defaultdict(list)
    for name, split in dataset.splits.items():
        if name != part:
            for user, item in zip(*encode(split.pairs)[:2], strict=True):
                others[int(user)].append(int(item))
    wanted.pop(0, None)  # nothing is known of whom training has not: no list is theirs
    found: dict[str, list[np.ndarray]] = {name: [] for name in LISTS}
    known = sorted(wanted)
    for at in range(0, len(known), USERS):
        some = known[at : at + USERS]
        for user, scores in zip(some, _scores(trained, some), strict=True):
            own = {MODEL: likely(encode, scores), "ratings_alone": scores}
            for name, by in {**own, **fixed}.items():
                left_out = np.array(others[user], np.int64)
                places = baselines.ranks(by, left_out, np.array(wanted[user]))
                found[name].append(places < TOP)
    nothing = float("nan")
    hits = {n: float(np.mean([h.any() for h in found[n]])) if known else nothing for n in LISTS}
    recalls = {n: float(np.concatenate(found[n]).mean()) if known else nothing for n in LISTS}
    return hits, recalls, len(known)


def _scores(trained: Trained, users: Sequence[int]) -> np.ndarray:
    """What users think of every item: (n, ids of items), as ratings."""
    encode: Any = trained.encode
    with inference(trained.model):
        (scores,) = trained.planned("scores")(np.array(users, np.int64))
        found: np.ndarray = encode.values(scores)
    return found


def likely(encode: Any, ratings: np.ndarray) -> np.ndarray:
    """How likely each item is to be come across and liked, (ids of items,), up to a factor."""
    odds = np.exp(-STEEP * np.clip((ratings - encode.mean) / encode.std, -100, 100))
    return encode.counts / (1 + odds)


def _told(trained: Trained, user: str, item: str | None, k: int) -> dict[str, Any]:
    encode: Any = trained.encode
    number = encode.user_ids.get(user, 0)
    (ratings,) = _scores(trained, [number])
    unknown = [] if number else ["user"]
    if item is not None:
        place = encode.item_ids.get(item, 0)
        unknown += [] if place else ["item"]
        told: dict[str, Any] = {"rating": float(ratings[place])}
    else:
        listed = likely(encode, ratings)
        listed[0] = -np.inf
        if number:
            listed[encode.rated[number - 1]] = -np.inf
        order = top_classes(listed[None], min(k, len(listed)))[0]
        best = [int(i) for i in order if np.isfinite(listed[i])]
        told = {"top": [{"item": encode.items[i - 1], "rating": float(ratings[i])} for i in best]}
    return {**told, **({"unknown": unknown} if unknown else {})}


TASK = Recommending()
