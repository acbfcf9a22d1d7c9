"""Ratings: tables and what may be wrong with them, parts by a hash, ids that travel."""

import json

import numpy as np
import pytest

from dlcli.data import catalog, ratings, tastes
from dlcli.data.ratings_encoder import Ids
from dlcli.data.ratings_kind import KIND
from dlcli.errors import CheckpointError, DataError

ROWS = [(f"u{u}", f"i{i}", 1 + (3 * u + 5 * i) % 5) for u in range(20) for i in range(10)]


@pytest.fixture
def write(tmp_path):
    """Writes a table and gives its path."""

    def make(rows, name="ratings.csv", header="user,item,rating"):
        lines = rows if isinstance(rows, str) else "".join(f"{u},{i},{r}\n" for u, i, r in rows)
        path = tmp_path / name
        path.write_text(f"{header}\n{lines}")
        return path

    return make


def load(path, **options):
    return catalog.load(str(path), kind=KIND, **options)


def test_every_rating_is_in_one_part_by_shares(write):
    splits = load(write(ROWS)).splits
    pairs = [pair for split in splits.values() for pair in split.pairs]
    assert sorted(pairs) == sorted((u, i) for u, i, _ in ROWS)
    assert [len(splits[p]) for p in ("train", "val", "test")] == [138, 23, 39]
    assert splits["test"].id(0).startswith("test/u")


def test_the_part_of_a_rating_does_not_depend_on_the_others(write):
    first = load(write(ROWS)).splits
    other = load(write(ROWS[::-1][:150], "other.csv")).splits
    for part in first:
        assert set(other[part].pairs) <= set(first[part].pairs)
    assert set(load(write(ROWS), seed=1).splits["test"].pairs) != set(first["test"].pairs)


def test_columns_may_have_any_order_and_company_and_ids_are_any_text(write):
    rows = "".join(f'{r}, "a, {u}" ,x,Überfluß {i}\n' for u, i, r in ROWS)
    rows = rows.replace(', "', ',"').replace('" ,', '",')
    dataset = load(write(rows, header="rating,user,time,item"))
    user, item = dataset.splits["train"].pairs[0]
    assert user.startswith("a, u")
    assert item.startswith("Überfluß i")


def test_moving_a_table_leaves_its_fingerprint_and_a_rating_changes_it(write):
    other = [(*ROWS[0][:2], 9), *ROWS[1:]]
    prints = [
        load(write(rows, name)).fingerprint
        for rows, name in ((ROWS, "a.csv"), (ROWS, "b.csv"), (other, "c.csv"))
    ]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,b,\n", ":2: the rating is missing"),
        ("a,b,good\n", ":2: the rating 'good' is no number"),
        ("a,b,nan\n", ":2: the rating 'nan' is no number"),
        ("a,b,1_0\n", ":2: the rating '1_0' is no number"),
        ("a,b,1e7\n", ":2: the rating 1e7 is too large"),
        (" ,b,1\n", ":2: the user is empty"),
        ("a,,1\n", ":2: the item is empty"),
        (f"a,{'b' * 101},1\n", ":2: the item is too long"),
        ("a,b,1\nc,d,2\n\na,b,3\n", ":5: 'a' rates 'b' a second time"),
        ("a,b,1,2\n", ":2: the row does not fit"),
        ("a,b,1\n", ": too few ratings"),
        ("".join(f"u{u},i,3\n" for u in range(60)), ": the ratings do not differ"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write, rows, message):
    path = write(rows)
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.what.startswith(f"{path}{message}")


def test_a_header_without_the_columns_is_told_what_is_expected(write):
    with pytest.raises(DataError, match="no column 'item'") as caught:
        load(write(ROWS, header="user,movie,rating"))
    assert "user, item, rating" in caught.value.hint


def test_other_files_are_no_tables(write, tmp_path):
    for path in (write(ROWS, "ratings.txt"), tmp_path):
        with pytest.raises(DataError, match="is not a table of ratings"):
            load(path)


def test_more_than_a_checkpoint_holds_is_refused(write, monkeypatch):
    monkeypatch.setattr(ratings, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="too many users, items or ratings"):
        load(write(ROWS))


@pytest.mark.parametrize(
    ("line", "pair"),
    [("ada", ("ada", None)), (" ada , 9 ", ("ada", "9")), ('"a, b",c', ("a, b", "c"))],
)
def test_a_line_asks_for_a_user_or_a_pair(line, pair):
    assert ratings.asked(line) == pair


@pytest.mark.parametrize("line", ["", "  ", ",", "a,", "a,b,c", '"a', "\0,"])
def test_a_line_that_asks_for_nothing_is_refused(line):
    with pytest.raises(ValueError, match=r"."):
        ratings.asked(line)


# --- ids ------------------------------------------------------------------------------------------


@pytest.fixture
def ids(write):
    return KIND.fit(load(write(ROWS)))


def test_ids_are_those_of_the_training_part_and_others_are_0(write, ids):
    train = load(write(ROWS)).splits["train"]
    users, items, about = ids(train.pairs)
    assert users.min() >= 1
    assert items.min() >= 1
    assert [ids.users[i - 1] for i in users] == [user for user, _ in train.pairs]
    assert about[0].tolist() == [train.labels.mean(), train.labels.std()]
    assert ids.counts.tolist() == np.bincount(items, minlength=len(ids.items) + 1).tolist()
    assert [found.tolist() for found in ids([("new", "i1"), ("u1", "new")])[:2]] == [
        [0, ids.user_ids["u1"]],
        [ids.item_ids["i1"], 0],
    ]


def test_what_a_user_rated_is_known_of_all_parts(ids):
    known = [ids.items[i - 1] for i in ids.rated[ids.user_ids["u3"] - 1]]
    assert sorted(known) == sorted(i for u, i, _ in ROWS if u == "u3")


def test_the_ids_travel_as_json(ids):
    stored = json.loads(json.dumps(ids.to_json()))
    assert Ids.from_json(stored).to_json() == ids.to_json()
    assert ids.bytes() == pytest.approx(len(json.dumps(stored, indent=2)), abs=10)
    with pytest.raises(CheckpointError, match="not the model's"):
        KIND.from_json(stored, (3, 4))


@pytest.mark.parametrize(
    "change",
    [
        {"users": []},
        {"users": ["u1"] * 20},
        {"items": [3] * 10},
        {"items": ["x" * 101] * 10},
        {"counts": [1]},
        {"counts": [1.5] * 10},
        {"counts": [-1] * 10},
        {"rated": ["11"] * 20},
        {"rated": ["0"] * 20},
        {"rated": ["one"] * 20},
        {"rated": [1] * 20},
        {"mean": "3"},
        {"std": 0},
        {"std": float("nan")},
    ],
)
def test_damaged_ids_are_refused(ids, change):
    with pytest.raises(CheckpointError, match="stored ids are damaged"):
        Ids.from_json({**ids.to_json(), **change})
    with pytest.raises(CheckpointError):
        Ids.from_json([])


# --- made-up ratings ------------------------------------------------------------------------------


def test_tastes_are_what_they_say():
    dataset = catalog.load("tastes")
    assert {part: len(split) for part, split in dataset.splits.items()} == tastes.COUNTS
    assert dataset.shape == tastes.SHAPE
    truth = tastes.truth()
    noise = []
    for split in dataset.splits.values():
        for (user, item), rating in zip(split.pairs, split.labels, strict=True):
            place = (int(user.split("-")[1]) - 1, int(item.split("-")[1]) - 1)
            noise.append(rating - truth[place])
    assert np.std(noise) == pytest.approx(tastes.NOISE, rel=0.02)
    assert np.mean(noise) == pytest.approx(0, abs=0.02)
    assert truth.std() == pytest.approx((2 * tastes.BIAS**2 + tastes.TASTE**2) ** 0.5, rel=0.1)
