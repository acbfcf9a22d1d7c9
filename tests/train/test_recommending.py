"""The task of recommending: baselines by hand, lists, and a truth that must be found."""

import math

import numpy as np
import pytest

from dlcli import optim
from dlcli.data import catalog as datasets
from dlcli.data import ratings, tastes
from dlcli.data.loader import Loader
from dlcli.data.ratings_kind import KIND
from dlcli.engine import tape
from dlcli.errors import DataError
from dlcli.models import catalog
from dlcli.train import recommend_baselines as baselines
from dlcli.train.recommending import TASK, TOP, likely
from dlcli.train.task import Trained


def trained(data, seed=0, **settings):
    module = catalog.load("recommend")
    model = module.build(module.Config(**settings), data.shape, 0, seed=seed).eval()
    return Trained(None, model, KIND.fit(data), KIND, data.shape, [], {"name": "recommend"})


def learn(made, data, epochs, lr=0.01):
    """Trains in place, as `dlcli train` does but in a few lines."""
    phase = made.model.phases()[0]
    optimizer = optim.make("adam", phase.parameters, weight_decay=3e-4)
    loader = Loader(data.splits["train"], made.encode, 256, shuffle=True, workers=0)
    made.model.train()
    for epoch in range(epochs):
        for batch in loader.epoch(epoch):
            optimizer.zero_grad()
            loss, _ = phase.loss(batch)
            tape.backward(loss)
            optimizer.step(lr)
    made.model.eval()


@pytest.fixture(scope="module")
def made_up():
    data = datasets.load("tastes")
    made = trained(data)
    learn(made, data, 30)
    return made, data


def test_the_truth_behind_made_up_ratings_is_nearly_found(made_up):
    """The noise is the floor; biases alone stay at twice that."""
    found = TASK.evaluate(*made_up, "test", batch_size=512)
    assert tastes.NOISE < found.rmse["model"] < 1.4 * tastes.NOISE
    assert found.rmse["biases"] > 2 * tastes.NOISE
    assert found.figures["rmse_to_biases"] < 0.65


def test_a_list_beats_what_is_popular_what_is_best_rated_and_ratings_alone(made_up):
    found = TASK.evaluate(*made_up, "test", batch_size=512)
    others = ("popularity", "best_rated", "ratings_alone")
    assert found.hits["model"] > 1.2 * max(found.hits[name] for name in others)
    assert found.recalls["model"] > 1.2 * max(found.recalls[name] for name in others)
    assert found.figures["hit_rate_to_popularity"] == found.hits["model"] / found.hits["popularity"]


def test_popularity_and_its_hits_are_as_counted_by_hand(made_up):
    made, data = made_up
    found = TASK.evaluate(made, data, "val", batch_size=512)
    train, mean = data.splits["train"], data.splits["train"].labels.mean()
    counts = dict.fromkeys(made.encode.items, 0)
    for _, item in train.pairs:
        counts[item] += 1
    best = sorted(counts, key=lambda item: (-counts[item], made.encode.item_ids[item]))
    elsewhere = {*train.pairs, *data.splits["test"].pairs}
    hits = {}
    part = data.splits["val"]
    for (user, item), rating in zip(part.pairs, part.labels, strict=True):
        if rating > mean:
            listed = [i for i in best if (user, i) not in elsewhere][:TOP]
            hits.setdefault(user, []).append(item in listed)
    assert found.users == len(hits)
    assert found.hits["popularity"] == pytest.approx(np.mean([any(h) for h in hits.values()]))
    every = [hit for user in hits.values() for hit in user]
    assert found.recalls["popularity"] == pytest.approx(np.mean(every))


def test_figures_are_ratings_in_their_units(made_up):
    made, data = made_up
    found = TASK.evaluate(made, data, "val", batch_size=100)
    part = data.splits["val"]
    lines = TASK.predict(made, part.pairs, {"top_k": 1})
    error = np.array([line["rating"] for line in lines]) - part.labels
    assert np.sqrt(np.mean(error**2)) == pytest.approx(found.figures["rmse"], rel=1e-6)
    assert np.abs(error).mean() == pytest.approx(found.figures["mae"], rel=1e-6)
    assert found.figures["loss"] == pytest.approx(
        (found.figures["rmse"] / made.encode.std) ** 2, rel=1e-5
    )
    assert found.unknown == 0
    assert {*TASK.least, *TASK.most} <= set(found.figures)


def test_biases_are_damped_means_of_what_is_left():
    users, items = np.array([1, 1, 2]), np.array([1, 2, 1])
    values = np.array([5.0, 3.0, 1.0])
    found = baselines.Biases(users, items, values, (3, 3))
    mean = 3.0
    item = {1: ((5 - mean) + (1 - mean)) / (2 + 25), 2: (3 - mean) / (1 + 25)}
    user = ((5 - mean - item[1]) + (3 - mean - item[2])) / (2 + 10)
    assert found(np.array([1]), np.array([2])) == pytest.approx(mean + item[2] + user)
    assert found(np.array([0]), np.array([0])) == pytest.approx(mean)


def test_ranks_leave_out_and_never_list_the_item_that_nobody_has():
    scores = np.array([9.0, 1.0, 5.0, 5.0, 7.0])
    wanted = np.arange(5)
    assert baselines.ranks(scores, np.array([], int), wanted).tolist() == [5, 3, 1, 2, 0]
    assert baselines.ranks(scores, np.array([4, 2]), wanted).tolist() == [5, 1, 5, 0, 5]


def test_a_list_weighs_how_often_an_item_is_met_with_how_well_it_is_liked(made_up):
    made, _ = made_up
    mean, std = made.encode.mean, made.encode.std
    flat = likely(made.encode, np.full(len(made.encode.counts), mean))
    np.testing.assert_allclose(flat, made.encode.counts / 2)
    above = likely(made.encode, np.full(len(made.encode.counts), mean + std))
    share = 0.5 * (1 + math.erf(0.5**0.5))
    np.testing.assert_allclose(above, made.encode.counts * share, rtol=0.02)
    with np.errstate(all="raise"):
        assert likely(made.encode, np.full(len(made.encode.counts), -1e9)).max() < 1e-50


def test_a_user_is_told_what_they_have_not_rated_the_most_likely_first(made_up):
    made, data = made_up
    (line,) = TASK.predict(made, [("user-7", None)], {"top_k": 500})
    told = [row["item"] for row in line["top"]]
    pairs = [pair for split in data.splits.values() for pair in split.pairs]
    known = {item for user, item in pairs if user == "user-7"}
    assert set(told) | known == set(made.encode.items)
    assert not set(told) & known
    ratings_of = {row["item"]: row["rating"] for row in line["top"]}
    (single,) = TASK.predict(made, [("user-7", told[0])], {"top_k": 1})
    assert single == {"rating": pytest.approx(ratings_of[told[0]])}
    ratings_by_id = np.full(len(made.encode.items) + 1, np.nan)
    for item, rating in ratings_of.items():
        ratings_by_id[made.encode.item_ids[item]] = rating
    order = [likely(made.encode, ratings_by_id)[made.encode.item_ids[item]] for item in told]
    assert order == sorted(order, reverse=True)


def test_who_is_not_known_is_said_and_gets_what_biases_say(made_up):
    made, _ = made_up
    bias = made.model.item_bias.weight.numpy()[:, 0]
    everyone, rating, item, both = TASK.predict(
        made,
        [("nobody", None), ("nobody", "item-3"), ("user-3", "nothing"), ("nobody", "nothing")],
        {"top_k": 3},
    )
    assert everyone["unknown"] == rating["unknown"] == ["user"]
    assert item["unknown"] == ["item"]
    assert both == {"rating": pytest.approx(made.encode.mean), "unknown": ["user", "item"]}
    expected = made.encode.mean + made.encode.std * bias[made.encode.item_ids["item-3"]]
    assert rating["rating"] == pytest.approx(expected)
    assert len(everyone["top"]) == 3


def test_ratings_of_who_training_has_not_are_counted_and_shown():
    rows = [(f"u{u}", f"i{i}", float((u + i) % 5)) for u in range(12) for i in range(12)]
    data = ratings.dataset(rows, "s", "s")
    other = ratings.dataset([(f"x{u}", i, r) for u, i, r in rows], "t", "t")
    found = TASK.evaluate(trained(data), other, "test", batch_size=99)
    assert found.unknown == found.samples
    assert np.isnan(found.figures["hit_rate"])
    assert found.to_json()["hit_rate"] is None
    assert "of users or items that training has not" in found.shown("ratings")[-1]


def test_an_empty_part_is_refused(made_up):
    made, data = made_up
    empty = ratings.RatingSplit("test", [], np.zeros(0))
    data = ratings.Dataset(**{**vars(data), "splits": {**data.splits, "test": empty}})
    with pytest.raises(DataError, match="its test part is empty"):
        TASK.evaluate(made, data, "test", batch_size=9)
