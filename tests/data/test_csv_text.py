"""Tables of texts of one's own: columns, quoting, parts, and all that may be wrong with a file."""

import tracemalloc

import numpy as np
import pytest

from dlcli.data import catalog, csv_text
from dlcli.data.text_kind import KIND
from dlcli.errors import DataError, UsageError

ROWS = [(f"review {i} is {'good' if i % 2 else 'bad'}", i % 2) for i in range(40)]


@pytest.fixture
def table(tmp_path):
    """Writes a table; a text is written as it is, bytes too."""

    def write(content, name="reviews.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def load(path, **options):
    return catalog.load(path, kind=KIND, **options)


def of(rows, header="text,label"):
    return header + "\n" + "".join(f"{text},{label}\n" for text, label in rows)


def texts_of(dataset):
    return [text for part in dataset.splits.values() for text in part.samples(np.arange(len(part)))]


def test_a_table_is_cut_in_three_by_class_and_each_text_is_in_one_part(table):
    dataset = load(str(table(of(ROWS))))
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 32,
        "val": 4,
        "test": 4,
    }
    assert (dataset.name, dataset.classes, dataset.kind.name) == ("reviews", ["0", "1"], "text")
    for split in dataset.splits.values():
        assert np.bincount(split.labels).tolist() == [len(split) // 2] * 2
    assert sorted(texts_of(dataset)) == sorted(text.split() for text, _ in ROWS)


def test_columns_may_have_any_order_case_and_company(table):
    rows = "".join(f'{i},{i % 2},"a ""b"", {i}\n2nd line",x\n' for i in range(12))
    path = table("﻿ID,Label, TEXT ,note\r\n" + rows)
    found = dict(csv_text.texts(path))
    assert found[2] == 'a "b", 0\n2nd line'
    assert sorted(found) == list(range(2, 26, 2))
    assert load(str(path)).classes == ["0", "1"]


def test_a_tsv_is_separated_by_tabs(table):
    path = table("label\ttext\n" + "".join(f"{i % 2}\tone, two\n" for i in range(12)), "r.tsv")
    assert {text for _, text in csv_text.texts(path)} == {"one, two"}


def test_labels_are_ordered_as_numbers_or_as_words(table):
    rows = [("t", label) for label in (10, 9, "b", "a") for _ in range(3)]
    assert load(str(table(of(rows)))).classes == ["9", "10", "a", "b"]


def test_moving_or_renaming_a_table_leaves_its_fingerprint(table):
    first, moved, other = (
        load(str(table(of(rows), name)))
        for rows, name in ((ROWS, "a.csv"), (ROWS, "b.csv"), (ROWS[::-1], "c.csv"))
    )
    assert first.fingerprint == moved.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words,label\na,1\n", r":1: the header has no column 'text'"),
        ("text,stars\na,1\n", r":1: the header has no column 'label'"),
        ("text,label,text\na,1,b\n", r":1: the header has two columns 'text'"),
        ("\ntext,label\n", r":1: the header has no column"),
        ("text,label\na,1\nb\n", r":3: the row does not fit"),
        ('text,label\n"a\nb",1\nb,c,1\n', r":4: the row does not fit"),
        ("text,label\na,1\nb, \n", r":3: the label is empty"),
        ('text,label\n"a,1\n', r"is no CSV"),
        ('text,label\n"a"b,1\n', r":2: is no CSV"),
        (b"text,label\n\xff\xfe,1\n", r":2: is not UTF-8"),
        ("text,label\n" + "a" * 2_000_000, r":2: the line is too long"),
        ('text,label\n"' + "a\n" * 600_000, r"is no CSV"),
        ("text,label\n", r"holds no texts"),
        (of([("a", "x")] * 5), r"holds one label only, 'x'"),
        (of([("a", "x")] * 5 + [("a", "y")]), r"label 'y' has 1 text$"),
        (of([("a", i) for i in range(1200)]), r"the column label is not of classes"),
        ("", r"the file is empty"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_file_and_line(table, content, message):
    with pytest.raises(DataError, match=message) as caught:
        load(str(table(content)))
    assert "reviews.csv" in caught.value.what


def test_formulas_and_odd_numbers_are_texts_and_labels_like_any_other(table):
    formula = '"=HYPERLINK(""http://x"")"'
    rows = [(formula, label) for label in ('"1,000"', "inf", "nan", "=1+1") for _ in range(3)]
    dataset = load(str(table(of(rows))))
    assert dataset.classes == ["1,000", "=1+1", "inf", "nan"]
    assert texts_of(dataset)[0][:2] == ["=", "hyperlink"]


def test_nul_bytes_are_no_words_and_do_no_harm(table):
    path = table(of([(f"go\0od {i}", i % 2) for i in range(12)]))
    assert texts_of(load(str(path)))[0][:3] == ["go", "\0", "od"]


def test_a_long_line_is_refused_without_reading_all_of_it(tmp_path):
    with open(tmp_path / "long.csv", "wb") as file:
        file.write(b"text,label\n")
        file.truncate(100 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"long\.csv:2: the line is too long"):
            load(str(tmp_path / "long.csv"))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_row_with_too_many_fields_says_that_quotes_help(table):
    with pytest.raises(DataError) as caught:
        load(str(table("text,label\ngood, very good,1\n")))
    assert caught.value.why == "it has 3 fields, the header has 2"
    assert "quotes" in caught.value.hint


def test_a_small_table_is_seen_more_often_than_a_large_one(table):
    epochs = [
        load(str(table(of([(f"text {i}", i % 2) for i in range(n)])))).recipe["epochs"]
        for n in (12, 1000, 9000)
    ]
    assert epochs == [50, 24, 5]


def test_empty_texts_are_texts_and_empty_lines_are_no_rows(table):
    rows = "".join(f",{i % 2}\n\n" for i in range(12))
    dataset = load(str(table("text,label\n" + rows)))
    assert texts_of(dataset) == [[]] * 12


def test_the_shape_has_the_bound_of_a_text_and_the_words_that_occur_twice(table):
    path = str(table(of(ROWS)))
    words = {"review", "is", "good", "bad"}
    assert load(path).shape == (400, len(words) + 2)
    assert load(path, max_length=9, vocabulary=4).shape == (9, 4)


@pytest.mark.parametrize(
    "options", [{"max_length": 0}, {"vocabulary": -1}, {"image_size": 8}, {"max_length": 10**9}]
)
def test_an_option_that_is_out_of_range_or_of_images_is_a_usage_error(table, options):
    with pytest.raises(UsageError, match=f"data.{next(iter(options))}"):
        load(str(table(of(ROWS))), **options)
