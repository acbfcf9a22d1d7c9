"""Tables: what a column is, how it becomes numbers, what is warned of, what is refused."""

import json

import numpy as np
import pytest

from dlcli.data import catalog, table
from dlcli.data.table_encoder import Features, Values
from dlcli.data.table_kind import KIND
from dlcli.errors import CheckpointError, DataError, UsageError

JOBS = ("nurse", "clerk", "driver")
ROWS = [(20 + i % 37, JOBS[i % 3], 0.5 * (i % 11), "yes" if i % 4 else "no") for i in range(80)]


@pytest.fixture
def write(tmp_path):
    """Writes a table of rows and gives its path."""

    def make(rows=ROWS, header="age,job,hours,label", name="people.csv"):
        path = tmp_path / name
        lines = [",".join(map(str, row)) for row in rows]
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return make


@pytest.fixture
def load(write):
    """Loads a table of rows."""

    def make(rows=ROWS, header="age,job,hours,label", **options):
        return catalog.load(str(write(rows, header)), kind=KIND, **options)

    return make


def with_column(values, rows=ROWS):
    return [(value, *row) for value, row in zip(values, rows, strict=True)]


# --- the encoder


def test_the_encoder_travels_and_a_damaged_one_is_refused(load):
    dataset = load()
    features = KIND.fit(dataset)
    stored = json.loads(json.dumps(features.to_json()))
    samples = dataset.splits["test"].samples(np.arange(5))
    again = KIND.from_json(stored, dataset.shape)
    assert np.array_equal(again(samples), features(samples))
    assert again(samples).shape == (5, *dataset.shape)
    with pytest.raises(CheckpointError, match="not the model's"):
        KIND.from_json(stored, (99,))
    first = stored["columns"][0]
    for damaged in (
        {},
        {**stored, "label": 3},
        {**stored, "label": "age"},
        {**stored, "columns": []},
        {**stored, "columns": [first, first]},
        {**stored, "columns": [{**first, "std": 0}]},
        {**stored, "columns": [{**first, "kind": "magic"}]},
        {**stored, "columns": [{**first, "mean": "1"}]},
        {**stored, "columns": [{**stored["columns"][1], "levels": ["a", "a"]}]},
        {**stored, "columns": [{**stored["columns"][1], "other": 1}]},
    ):
        with pytest.raises(CheckpointError, match="damaged"):
            Features.from_json(damaged)


def test_a_table_that_has_changed_since_is_refused(load):
    features = KIND.fit(load())
    for options in ({"drop": "job"}, {"categories": "age"}):
        samples = load(**options).splits["test"].samples(np.arange(2))
        with pytest.raises(DataError, match="is not what the model was trained on"):
            features(samples)


# --- a dataset


def test_parts_are_stratified_and_every_row_is_in_one(load):
    dataset = load()
    assert dataset.classes == ["no", "yes"]
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 64,
        "val": 8,
        "test": 8,
    }
    ids = [split.id(i) for split in dataset.splits.values() for i in range(len(split))]
    assert len(set(ids)) == 80
    assert sum(int(s.labels.sum()) for s in dataset.splits.values()) == 60
    assert dataset.splits["val"].labels.sum() == 6
    assert dataset.shape == (1 + 3 + 1,)
    assert dataset.remarks == ()


def test_only_the_training_part_is_learned_from(load):
    dataset = load()
    features = KIND.fit(dataset)
    train = dataset.splits["train"]
    ages = train.samples(np.arange(64)).columns["age"]
    assert features.columns[0].mean == pytest.approx(ages.mean())
    row = int(train.rows[0])
    changed = [(1000, *r[1:]) if i not in train.rows else r for i, r in enumerate(ROWS)]
    assert KIND.fit(load(changed)).to_json() == features.to_json()
    changed[row] = (1000, *ROWS[row][1:])
    assert KIND.fit(load(changed)).to_json() != features.to_json()


def test_moving_a_table_leaves_its_fingerprint_and_a_cell_changes_it(write):
    other = [(21, *ROWS[0][1:]), *ROWS[1:]]
    prints = [
        catalog.load(str(write(rows, name=name)), kind=KIND).fingerprint
        for rows, name in ((ROWS, "a.csv"), (ROWS, "b.csv"), (other, "c.csv"))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_numbers_as_labels_are_in_order_and_the_label_may_be_any_column(load):
    dataset = load(
        [(*row, (10, 9, 2)[i % 3]) for i, row in enumerate(ROWS)], "a,b,c,d,e", label="e"
    )
    assert dataset.classes == ["2", "9", "10"]
    assert load(header="age,label,hours,x", label="label").classes == ["clerk", "driver", "nurse"]


def test_columns_can_be_chosen_dropped_and_called_categories(load):
    def names(**options):
        return list(load(**options).splits["train"].base.values.columns)

    assert names() == ["age", "job", "hours"]
    assert names(features="hours, age") == ["hours", "age"]
    assert names(drop="age") == ["job", "hours"]
    assert load(categories="age").splits["train"].base.values.columns["age"][0] == "20"
    for key in ("features", "drop", "categories"):
        with pytest.raises(UsageError, match=f"--{key}: there is no column 'agee'") as raised:
            load(**{key: "job,agee"})
        assert raised.value.why == "did you mean 'age'?"


@pytest.mark.parametrize(
    ("header", "values", "remark"),
    [
        ("id", range(100, 180), "column 'id' is left out: it numbers the rows"),
        ("", range(80), "column 'column 1' is left out: it numbers the rows"),
        ("code", range(80), "column 'code' is left out: it numbers the rows"),
        ("user_id", range(0, 560, 7), "column 'user_id' is left out: it numbers the rows"),
        ("name", [f"n{i}" for i in range(80)], "column 'name' is left out: it names the rows"),
        ("one", [7] * 80, "column 'one' is left out: it is the same in all rows"),
        ("word", ["w"] * 80, "column 'word' is left out: it is the same in all rows"),
        ("void", [""] * 80, "column 'void' is left out: all of its cells are empty"),
        ("twin", [row[-1] * 2 for row in ROWS], "column 'twin' alone tells label"),
        ("code2", [int(row[-1] == "no") for row in ROWS], "column 'code2' alone tells label"),
    ],
)
def test_columns_that_say_nothing_or_too_much_are_remarked(load, header, values, remark):
    dataset = load(with_column(values), f"{header},age,job,hours,label")
    (said,) = dataset.remarks
    assert said.startswith(remark)


def test_different_quantities_that_count_nothing_are_kept(load):
    values = [i * i for i in range(80)]
    assert load(with_column(values), "area,age,job,hours,label").remarks == ()


def test_a_column_that_is_asked_for_is_kept_whatever_it_says(load):
    rows = with_column(range(80))
    dataset = load(rows, "id,age,job,hours,label", features="id,age")
    assert dataset.remarks == ()
    assert dataset.shape == (2,)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["yes"] * 80, "holds one label only, 'yes'"),
        (["yes", ""] * 40, ":3: column 'label': the label is missing"),
        (["yes", "nan"] * 40, ":3: column 'label': the label is missing"),
        (["yes"] * 78 + ["no"] * 2, "label 'no' has 2 rows"),
        ([i / 7 for i in range(80)], "is a quantity and no class"),
        ([f"w{i // 3}" for i in range(303)], "is not of classes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(load, labels, message):
    rows = [(*ROWS[i % 80][:3], label) for i, label in enumerate(labels)]
    with pytest.raises(DataError) as raised:
        load(rows)
    assert message in raised.value.what


def test_a_label_must_be_named_if_none_is_usual_and_a_mistyped_one_is_suggested(load):
    with pytest.raises(UsageError, match="which column is to be told") as raised:
        load(header="age,job,hours,income")
    assert raised.value.hint == "--label NAME"
    with pytest.raises(UsageError, match="no column 'incom'") as raised:
        load(header="age,job,hours,income", label="incom")
    assert raised.value.why == "did you mean 'income'?"


def test_a_label_alone_or_too_many_numbers_are_refused(load, monkeypatch):
    with pytest.raises(DataError, match="nothing to tell 'label' by"):
        load([(row[-1],) for row in ROWS], "label")
    monkeypatch.setattr("dlcli.data.table_encoder.MOST_WIDTH", 4)
    with pytest.raises(DataError, match="too many columns"):
        load()


# --- other files for a trained model


def test_another_file_is_measured_whole_with_its_columns_in_any_order(load, write):
    dataset = load()
    features = KIND.fit(dataset)
    rows = [(row[3], "x", row[2], row[1], row[0]) for row in ROWS[:7]]
    path = write(rows, "label,more,hours,job,age", "other.csv")
    other = KIND.another(path, features, dataset.classes)
    KIND.check(other, dataset.shape)
    assert [len(other.splits[p]) for p in ("train", "val", "test")] == [0, 0, 7]
    whole = dataset.splits["train"].base
    found = features(other.splits["test"].samples(np.arange(7)))
    assert np.array_equal(found, features(whole.samples(np.arange(7))))
    assert other.splits["test"].labels.tolist() == whole.labels[:7].tolist()


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("age,job,hours", "1,nurse,2", ":1: there is no column 'label', the label"),
        ("age,hours,label", "1,2,yes", ":1: there is no column 'job'"),
        ("age,job,hours,label", "x,nurse,2,yes", ":2: column 'age': 'x' is no number"),
        ("age,job,hours,label", "1,nurse,2,maybe", ":2: column 'label': 'maybe' is none of"),
        ("age,job,hours,label", "1,nurse,2,", ":2: column 'label': the label is empty"),
    ],
)
def test_another_file_that_does_not_fit_is_named(load, write, header, row, message):
    dataset = load()
    path = write([row.split(",")], header, "other.csv")
    with pytest.raises(DataError) as raised:
        KIND.another(path, KIND.fit(dataset), dataset.classes)
    assert raised.value.what.startswith(f"{path}{message}")


def test_rows_to_predict_are_read_by_their_columns_and_a_bad_one_is_an_error_of_its_own(
    load, write
):
    dataset = load()
    features = KIND.fit(dataset)
    path = write([(2, "pilot", 30), ("?", "nurse", "x"), ("", "", "")], "hours,job,age", "new.csv")
    ((good, bad),) = features.inputs([str(path)])
    assert (good.name, good.sample) == (f"{path}:2", {"age": 30.0, "job": "pilot", "hours": 2.0})
    assert features.remark(good.sample) == {"unknown": ["job"]}
    assert (bad.name, bad.error) == (f"{path}:3", "column 'age': 'x' is no number")
    stacked = KIND.stack([good.sample, good.sample])
    assert isinstance(stacked, Values)
    assert features(stacked).shape == (2, *dataset.shape)


def test_a_file_without_a_column_is_one_error_and_the_next_goes_on(load, write):
    features = KIND.fit(load())
    first = write([(1, 2)], "age,hours", "first.csv")
    second = write([(1, "nurse", 2)], "age,job,hours", "second.csv")
    batches = list(features.inputs([str(first), str(second), "none.csv"]))
    (bad,), (good,), (absent,) = batches
    assert bad.error.startswith(f"{first}:1: there is no column 'job'")
    assert good.error == ""
    assert "cannot be read" in absent.error


def test_the_recipe_sees_small_tables_more_often():
    assert table.recipe(100)["batch_size"] < table.recipe(100_000)["batch_size"]
    assert table.recipe(100)["epochs"] > table.recipe(100_000)["epochs"]
