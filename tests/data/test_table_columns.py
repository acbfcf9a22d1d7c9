"""Columns of a table: quantities or categories, and how they become numbers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data import table_columns, table_text, table_types
from dlcli.data.table_columns import MOST_LEVELS, Category, Quantity
from dlcli.errors import DataError


def column(*cells, name="x"):
    return table_text.Table("t.csv", {name: list(cells)}, list(range(2, 2 + len(cells))))


# --- what a column is


def test_numbers_are_a_quantity_and_words_a_category_with_gaps_in_both():
    numbers = table_types.typed(column("1", "?", "-2.5e1", "NA", ""), "x", ())
    assert np.array_equal(numbers, [1, math.nan, -25, math.nan, math.nan], equal_nan=True)
    words = table_types.typed(column("a", "n/a", "b", "-"), "x", ())
    assert words.tolist() == ["a", "", "b", ""]
    assert table_types.typed(column("?", "", "none"), "x", ()) is None


def test_numbers_may_be_names_and_codes_with_zeros_always_are():
    assert table_types.typed(column("1", "2"), "x", ("x",)).tolist() == ["1", "2"]
    assert table_types.typed(column("01067", "10115"), "x", ()).tolist() == ["01067", "10115"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1"] * 19 + ["abc"], ":21: column 'x': 'abc' is no number"),
        (["1"] * 19 + ["inf"], ":21: column 'x': 'inf' is not finite"),
        (["1"] * 19 + ["1_0"], ":21: column 'x': '1_0' is no number"),
        (["2", "1e31"], ":3: column 'x': 1e31 is too large"),
        (["2", "1e999"], ":3: column 'x': 1e999 is too large"),
        (["1,234", "12", "1,000,000"], ":2: column 'x': '1,234' is no number"),
        (["12 %", "7 %"], ":2: column 'x': '12 %' is no number"),
        (["", "2024-02-29", "2024-03-01"], ":3: column 'x': '2024-02-29' is a date"),
        (["1.2.2024", "29.12.2024"], ":2: column 'x': '1.2.2024' is a date"),
        (["2024-02-29T10:00:00Z"] * 3, ":2: column 'x': '2024-02-29T10:00:00Z' is a date"),
    ],
)
def test_what_was_meant_to_be_numbers_is_refused_with_its_line(cells, message):
    with pytest.raises(DataError) as raised:
        table_types.typed(column(*cells), "x", ())
    assert raised.value.what == f"t.csv{message}"


def test_what_is_refused_can_be_taken_as_words():
    days = ["2024-02-29", "2024-03-01"]
    with pytest.raises(DataError) as raised:
        table_types.typed(column(*days, name="hired on"), "hired on", ())
    assert "--drop 'hired on'" in raised.value.hint
    assert "--categories 'hired on'" in raised.value.hint
    assert table_types.typed(column(*days), "x", ("x",)).tolist() == days


# --- how it becomes numbers


def encoded(made, values):
    out = np.zeros((len(values), made.width), np.float32)
    made.encode(made.array(values), out)
    return out


def test_a_quantity_has_mean_0_and_deviation_1_and_tells_what_is_missing():
    made = Quantity.fit("x", np.array([1.0, 3.0, 5.0, 7.0, math.nan]))
    assert (made.mean, made.median, made.width) == (4, 4, 2)
    out = encoded(made, [1, 3, 5, 7, math.nan])
    assert out[:4, 0].mean() == pytest.approx(0, abs=1e-6)
    assert out[:4, 0].std() == pytest.approx(1)
    assert out[4].tolist() == [0, 1]
    assert out[0, 1] == 0


def test_a_quantity_far_off_is_taken_to_be_near_and_one_without_gaps_has_the_median_for_them():
    made = Quantity.fit("x", np.array([0.0, 0.0, 0.0, 4.0]))
    assert encoded(made, [1e30])[0].tolist() == [10]
    assert encoded(made, [math.nan])[0] == encoded(made, [0.0])[0]


def test_a_category_has_a_number_for_each_level_and_one_for_rare_ones_and_gaps():
    made = Category.fit("x", np.array(["b", "a", "b", "a", "rare", "", "b"], object))
    assert made.levels == ("b", "a")
    found = encoded(made, ["b", "a", "rare", "new", ""])
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert found.tolist() == expected


def test_what_training_has_not_seen_is_zeros_where_nothing_was_learned_for_it():
    made = Category.fit("x", np.array(["a", "b"] * 2, object))
    assert encoded(made, ["new", ""]).tolist() == [[0, 0], [0, 0]]


def test_levels_are_bounded_and_the_most_frequent_ones_kept():
    values = [f"v{i}" for i in range(100) for _ in range(2 + (i == 99))]
    made = Category.fit("x", np.array(values, object))
    assert len(made.levels) == MOST_LEVELS
    assert made.levels[0] == "v99"
    assert made.tells_other


QUANTITIES = st.lists(
    st.one_of(st.just(math.nan), st.floats(-1e30, 1e30)), min_size=1, max_size=8
).map(lambda values: np.array(values, np.float64))
WORDS = st.lists(st.text("ab ", max_size=2), min_size=1, max_size=8).map(
    lambda values: table_columns.Category("x", ("a",), False, False).array(values)
)


@given(train=st.one_of(QUANTITIES, WORDS), data=st.data())
def test_any_column_is_encoded_by_finite_numbers_and_travels_through_json(train, data):
    made = table_columns.fit("x", train)
    others = data.draw(QUANTITIES if train.dtype == np.float64 else WORDS)
    again = table_columns.KINDS[made.kind].from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    for values in (train, others):
        out = np.zeros((len(values), made.width), np.float32)
        made.encode(values, out)
        assert np.isfinite(out).all()
        assert np.abs(out).max(initial=0) <= 10
