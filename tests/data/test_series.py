"""Series: tables and what may be wrong with them, parts that keep their secrets, scaling."""

import json
import re
from datetime import date, timedelta

import numpy as np
import pytest

from dlcli.data import catalog, series_csv
from dlcli.data.series_kind import KIND
from dlcli.data.series_scale import Scale
from dlcli.errors import CheckpointError, DataError, UsageError

DAY = date(2020, 1, 1)


def table(n=100, columns=("a",), start=DAY):
    """n days of sines with different periods."""
    lines = ["date," + ",".join(columns)]
    for i in range(n):
        values = (f"{10 + k + np.sin(i / (3 + k)):.4f}" for k in range(len(columns)))
        lines.append(f"{start + timedelta(days=i)},{','.join(values)}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path):
    """Writes a table and gives its path."""

    def make(content, name="series.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def load(path, window=5, horizon=2, **options):
    return catalog.load(str(path), kind=KIND, window=window, horizon=horizon, **options)


def rows_of(split):
    """The rows that a part's samples are told, as a set."""
    steps = range(split.layout.horizon)
    return {int(start) + step for start in split.starts for step in steps}


# --- parts ----------------------------------------------------------------------------------------


def test_parts_follow_each_other_and_none_is_told_of_another(write):
    splits = load(write(table(100))).splits
    assert rows_of(splits["train"]) == set(range(5, 70))
    assert rows_of(splits["val"]) == set(range(70, 80))
    assert rows_of(splits["test"]) == set(range(80, 100))
    assert splits["val"].id(0) == f"val/{DAY + timedelta(days=70)}"


def test_a_sample_is_the_rows_before_and_its_label_the_rows_after(write):
    path = write(table(100, ("a", "b")))
    values = series_csv.read(path).values
    split = load(path, column="b").splits["val"]
    (sample,) = split.samples(np.array([3]))
    np.testing.assert_array_equal(sample[:, 0], values[68:73, 1])  # the target comes first
    np.testing.assert_array_equal(sample[:, 1], values[68:73, 0])
    np.testing.assert_allclose(np.square(sample[:, 2:]).sum(axis=1), 1)
    np.testing.assert_array_equal(split.labels[3], values[73:75, 1])


def test_the_scale_is_that_of_the_training_part_alone(write):
    lines = table(100).splitlines()
    changed = lines[:71] + [line.split(",")[0] + ",1e6" for line in lines[71:]]
    scales = [KIND.fit(load(write("\n".join(text), "s.csv"))) for text in (lines, changed)]
    assert scales[0].to_json() == scales[1].to_json()
    values = series_csv.read(write("\n".join(lines))).values[:70, 0]
    assert scales[0].mean.tolist() == [values.mean()]
    assert scales[0].std.tolist() == [values.std()]


def test_scaled_windows_have_mean_0_and_variance_1_and_come_back(write):
    dataset = load(write(table(200, ("a", "b"))), window=1)
    scale, train = KIND.fit(dataset), dataset.splits["train"]
    x, about = scale(train.samples(np.arange(len(train))))
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[:, 0, :2].mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(x[:, 0, :2].std(axis=0), 1, atol=0.05)
    assert np.abs(x[..., 2:]).max() <= 1
    assert about.shape == (len(train), 2)
    back = scale.values(x[:, :, 0], about)
    np.testing.assert_allclose(back, train.samples(np.arange(len(train)))[:, :, 0], rtol=1e-6)


def test_a_second_column_that_never_changes_becomes_zero(write):
    rows = [f"{DAY + timedelta(days=i)},{i % 7},5\n" for i in range(60)]
    dataset = load(write("date,a,b\n" + "".join(rows)))
    x, _ = KIND.fit(dataset)(dataset.splits["train"].samples(np.arange(3)))
    assert not x[..., 1].any()


def test_yearly_series_have_no_season(write):
    rows = [f"{1900 + i},{i % 7}\n" for i in range(60)]
    dataset = load(write("year,a\n" + "".join(rows)))
    assert dataset.shape == (5, 1, 2)
    assert KIND.fit(dataset).season is None


def test_the_season_follows_the_dates_whatever_the_row(write):
    late = table(100, start=DAY + timedelta(days=40))
    early, late = (load(write(text)).splits["train"] for text in (table(140), late))
    np.testing.assert_allclose(
        late.samples(np.array([0]))[0, :, 1:], early.samples(np.array([40]))[0, :, 1:]
    )


def test_moving_a_file_leaves_the_fingerprint_and_changing_a_value_does_not(write):
    text = table(100)
    first, moved, changed, cut = (
        load(write(content, name), **options).fingerprint
        for content, name, options in (
            (text, "a.csv", {}),
            (text, "b.csv", {}),
            (text.replace("2020-01-02,1", "2020-01-02,2"), "c.csv", {}),
            (text, "d.csv", {"season": 7}),
        )
    )
    assert first == moved
    assert len({first, changed, cut}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon"),
        ({"horizon": 1_001}, "horizon"),
        ({"window": -1}, "window"),
        ({"season": 1}, "season"),
        ({"column": "A"}, "no column 'A'"),
    ],
)
def test_options_that_are_not_possible_are_usage_errors(write, options, message):
    with pytest.raises(UsageError, match=message):
        load(write(table(100)), **options)


@pytest.mark.parametrize(("n", "window", "horizon"), [(30, 28, 2), (19, 5, 2), (1, 1, 1)])
def test_a_series_that_is_too_short_is_told_with_its_parts(write, n, window, horizon):
    with pytest.raises(DataError, match="too short") as caught:
        load(write(table(n)), window=window, horizon=horizon)
    assert f"{n} rows" in caught.value.why


def test_the_shortest_series_that_does(write):
    splits = load(write(table(20)), window=12, horizon=2).splits
    assert [len(splits[part]) for part in ("train", "val", "test")] == [1, 1, 3]


def test_a_constant_series_is_refused(write):
    rows = [f"{DAY + timedelta(days=i)},{3 if i < 80 else i}\n" for i in range(100)]
    with pytest.raises(DataError, match="'a' never changes") as caught:
        load(write("date,a\n" + "".join(rows)))
    assert "3 in all 70 rows" in caught.value.why


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_ends_of_lines_and_a_mark_change_nothing(write, separator, end, mark):
    plain = series_csv.read(write(table(9, ("a", "b c"))))
    text = mark + table(9, ("a", "b c")).replace(",", separator).replace("\n", end)
    found = series_csv.read(write(text, "other.csv"))
    assert found.columns == plain.columns == ["a", "b c"]
    assert found.dates == plain.dates
    np.testing.assert_array_equal(found.values, plain.values)


def test_dates_may_stand_in_any_column_of_a_known_name(write):
    found = series_csv.read(write('"a","Date"\n"1.5","2020-01-01"\n-2e1,2020-01-02'))
    assert found.columns == ["a"]
    assert found.values[:, 0].tolist() == [1.5, -20]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "holds nothing"),
        ("date,a\n", "there are no rows: only a header"),
        ("date\n2020-01-01\n", ":1: is no table of a series: there is one column"),
        ("2020-01-01,3\n2020-01-02,4\n", ":1: is no header"),
        ("date,20.7\n", ":1: is no header"),
        ("date,a,a\n2020-01-01,1,2\n", ":1: two columns 'a'"),
        ("date,a,\n2020-01-01,1,2\n", ":1: column 3 has no name"),
        (",date,a\n0,2020-01-01,1\n", ":1: column 1 has no name"),
        ("date,a\n2020-01-01,1,2\n", ":2: the row does not fit"),
        ("date,a\n2020-01-01,1\n2020-01-02,\n", ":3: a value is missing: in the column 'a'"),
        ("date,a\n2020-01-01,NA\n", ":2: a value is missing"),
        ("date,a\n2020-01-01,?0.2\n", r":2: '\?0.2' is no number"),
        ("date;a\n2020-01-01;1,5\n", ":2: '1,5' is no number"),
        ("date,a\n2020-01-01,1_000\n", ":2: '1_000' is no number"),
        ("date,a\n2020-01-01,inf\n", ":2: 'inf' is no number"),
        ("date,a\n2020-01-01,1e999\n", ":2: '1e999' is too large"),
        ("date,a\n01/02/2020,1\n", ":2: '01/02/2020' is no date"),
        ("date,a\n,1\n", ":2: the date is missing"),
        ("date,a\n2020-02-30,1\n", ":2: '2020-02-30' is no date"),
        ("date,a\n2020-01-01,1\n2020-02,2\n", ":3: dates of two forms"),
        ("date,a\n2020-01-02,1\n\n2020-01-01,1\n", ":4: the date 2020-01-01 is out of order"),
        ("date,a\n2020-01-02,1\n2020-01-02,1\n", ":3: the date 2020-01-02 a second time: first on"),
        ('date,a\n2020-01-01,"1\n', ":2: is no CSV"),
        (b"date,a\n2020-01-01,\xff\n", ":2: is not UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write, content, message):
    path = write(content)
    with pytest.raises(DataError) as caught:
        series_csv.read(path)
    said = f"{caught.value.what}: {caught.value.why}"
    assert said.startswith(str(path))
    assert re.search(message, said), said


def test_a_gap_is_told_with_its_line_or_ignored(write):
    lines = table(100).splitlines()
    path = write("\n".join(lines[:50] + lines[52:]))
    with pytest.raises(DataError, match=r":51: 2020-02-21 does not follow 2020-02-18") as caught:
        load(path)
    assert "2 rows missing, a step is 1 day" in caught.value.why
    dataset = load(path, ignore_gaps=True)
    assert sum(len(split) for split in dataset.splits.values()) == 98 - 5 - 3
    assert KIND.fit(dataset).ignore_gaps


def test_dates_between_the_steps_are_no_gap_but_irregular(write):
    rows = [f"2020-01-{day:02} {hour:02}:00,1\n" for day in (1, 2) for hour in range(24)]
    rows.insert(4, "2020-01-01 03:30,1\n")
    with pytest.raises(DataError, match="does not follow") as caught:
        load(write("date,a\n" + "".join(rows)))
    assert "missing" not in caught.value.why


def test_a_folder_is_no_series(tmp_path):
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert caught.value.why == "it is a folder"


# --- the end of a series --------------------------------------------------------------------------


@pytest.fixture
def scale(write):
    return KIND.fit(load(write(table(100, ("a", "b")), "trained.csv"), column="b"))


def test_the_last_window_is_what_the_split_would_give(write, scale):
    path = write(table(100, ("a", "b")), "again.csv")
    split = load(path, column="b").splits["test"]
    last = scale.last(series_csv.read(path), 5)
    earlier = split.samples(np.array([len(split) - 1]))[0]
    np.testing.assert_allclose(last[:3], earlier[2:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table(10, ("a",)), "there is no column 'b'"),
        (table(4, ("a", "b")), "too short"),
        ("month,a,b\n" + "".join(f"2020-{m:02},1,2\n" for m in range(1, 13)), "no such series"),
        ("\n".join(table(10, ("a", "b")).splitlines()[i] for i in range(11) if i != 8), ":9: "),
    ],
)
def test_a_series_that_the_model_does_not_take_is_refused(write, scale, text, message):
    with pytest.raises(DataError, match=message):
        scale.last(series_csv.read(write(text, "new.csv")), 5)


def test_a_gap_before_the_last_window_does_not_matter(write, scale):
    lines = table(20, ("a", "b")).splitlines()
    path = write("\n".join(lines[:5] + lines[7:]), "new.csv")
    assert scale.last(series_csv.read(path), 5).shape == (5, 4)


def test_the_scale_travels_as_json(scale):
    stored = json.loads(json.dumps(scale.to_json()))
    assert Scale.from_json(stored).to_json() == scale.to_json()
    assert KIND.from_json(stored, (5, 4, 2)).columns == ["b", "a"]
    with pytest.raises(CheckpointError, match="not the model's"):
        KIND.from_json(stored, (5, 3, 2))


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.0]},
        {"mean": [0.0, "1"]},
        {"std": [1.0, 0.0]},
        {"std": [1.0, float("nan")]},
        {"columns": []},
        {"columns": [1, 2]},
        {"season": 0},
        {"season": "year"},
        {"step": {}},
        {"ignore_gaps": 0},
    ],
)
def test_a_damaged_scale_is_refused(scale, change):
    with pytest.raises(CheckpointError, match="stored scale is damaged"):
        Scale.from_json({**scale.to_json(), **change})
    with pytest.raises(CheckpointError):
        Scale.from_json(None)
