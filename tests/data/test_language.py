"""Languages: a text is cut into parts, read in stripes, and every symbol of it is foretold once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data import catalog, kind
from dlcli.data.language import recipe
from dlcli.data.loader import Loader
from dlcli.data.stream import EVALUATED, Stream, Stripes
from dlcli.data.symbols import Symbols
from dlcli.errors import CheckpointError, DataError, UsageError

CHARACTERS, WORDS = kind.of("characters"), kind.of("words")
TEXT = "To be, or not to be, that is the question:\n" * 60


def write(path, text=TEXT):
    path.write_bytes(text.encode())
    return path


def load(path, of=CHARACTERS, **options):
    return catalog.load(str(path), kind=of, **options)


def stream(n: int, window: int = 5, first: int = 0) -> Stream:
    """Symbol i of a text of n + first is the number i."""
    codes = np.arange(-1, n + first) % (n + first + 1)
    symbols = tuple(map(str, range(n + first)))
    return Stream("train", codes, symbols, first, first + n, window)


def as_numbers(windows) -> tuple[np.ndarray, np.ndarray]:
    return windows.codes[:, :-1], windows.codes[:, 1:]


@given(n=st.integers(1, 200), stripes=st.integers(1, 20), window=st.integers(1, 30))
def test_stripes_cover_the_text_and_go_on_where_they_were(n, stripes, window):
    part = stream(n, window)
    if stripes > n:
        with pytest.raises(UsageError, match="can be cut into"):
            Stripes(part, stripes, window)
        return
    way = Stripes(part, stripes, window)
    seen, ends = [], None
    for number in range(len(way)):
        windows, labels, starts = way.batch(way.order(0), number)
        assert labels is None
        before, after = as_numbers(windows)
        np.testing.assert_array_equal(after[:, 0], starts)
        np.testing.assert_array_equal(after[:, :-1], before[:, 1:])
        assert windows.goes_on is (number > 0)
        if ends is not None:
            np.testing.assert_array_equal(before[:, 0], ends)
        ends = after[:, -1]
        seen += after.reshape(-1).tolist()
    assert set(seen) == set(range(n))
    assert len(seen) - n < stripes
    assert way.size == stripes * min(window, way.length)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_measuring_reads_each_symbol_once_in_order_whatever_the_batch_size(size):
    n = EVALUATED * 2 + 17
    loader = Loader(stream(n, first=9), lambda windows: as_numbers(windows), size, workers=0)
    batches = list(loader.epoch(0))
    assert [batch.x.shape[0] for batch in batches] == [1] * 3
    np.testing.assert_array_equal(
        np.concatenate([b.y.reshape(-1) for b in batches]), np.arange(n) + 9
    )
    np.testing.assert_array_equal(batches[0].x[0, :2], [8, 9])  # after the end of the part before


def test_a_text_is_cut_in_its_order_and_the_symbols_are_those_of_the_training_part(tmp_path):
    text = "é" * 50 + "\n" * 50 + "ab" * 400 + "?" * 100
    dataset = load(write(tmp_path / "text.txt", text), sequence=10)
    assert {part: len(s) for part, s in dataset.splits.items()} == {
        "train": 850,
        "val": 50,
        "test": 100,
    }
    assert dataset.shape == (10, 4)
    encoder = dataset.kind.fit(dataset)
    assert encoder.symbols == ["a", "b", "\n"]
    for part in ("val", "test"):
        (batch,) = Loader(dataset.splits[part], encoder, 1, workers=0).epoch(0)
        assert set(batch.y) == {0}


def test_a_part_begins_behind_the_part_before_it_and_the_first_behind_nothing(tmp_path):
    dataset = load(write(tmp_path / "text.txt"), sequence=10)
    encoder, train = dataset.kind.fit(dataset), dataset.splits["train"]
    (batch,) = Loader(dataset.splits["val"], encoder, 1, workers=0).epoch(0)
    assert (batch.x[0, 0], batch.y[0]) == (0, encoder.ids["T"])
    first, second = list(Loader(train, encoder, 3, shuffle=True, workers=0).epoch(0))[:2]
    assert first.x[0, 0] == batch.y[-1]
    assert first.x.shape == (3, 10)
    assert first.y.shape == (30,)
    np.testing.assert_array_equal(first.more[0], [0, 0, 0])
    np.testing.assert_array_equal(second.more[0], [1, 1, 1])
    assert first.y.dtype == first.x.dtype == np.int64


def test_words_that_occur_once_are_unknown_and_the_frequent_ones_come_first(tmp_path):
    text = "a b\n" * 50 + "a a a b b c\n" + "a b\n" * 50
    dataset = load(write(tmp_path / "text.txt", text), WORDS, sequence=5)
    symbols = dataset.kind.fit(dataset).symbols
    assert (symbols[0], symbols[-1], set(symbols[1:3])) == (" b", " a", {"\n", "a"})
    fewer = load(write(tmp_path / "text.txt", text), WORDS, sequence=5, vocabulary=3)
    assert fewer.shape == (5, 3)


def test_a_short_text_is_cut_into_fewer_stripes_and_seen_more_often(tmp_path):
    small = load(write(tmp_path / "small.txt", TEXT)).recipe
    assert (small["batch_size"], small["epochs"]) == (1, 50)
    large = recipe(948_086, 100)
    assert (large["batch_size"], large["epochs"]) == (50, 11)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "too short"),
        ("short", "too short"),
        ("ab" * 55, "too short"),
        ("a" * 500, "only, 'a'"),
    ],
)
def test_a_text_of_which_nothing_can_be_learned_is_refused(tmp_path, text, said):
    with pytest.raises(DataError) as caught:
        load(write(tmp_path / "text.txt", text))
    assert said in f"{caught.value.what} {caught.value.why}"
    assert "text.txt" in caught.value.what


def test_a_smaller_window_lets_a_shorter_text_do(tmp_path):
    assert load(write(tmp_path / "text.txt", "ab" * 55), sequence=20).shape == (20, 3)


@pytest.mark.parametrize("options", [{"sequence": 0}, {"sequence": 10**9}, {"vocabulary": 1}])
def test_options_out_of_their_range_are_usage_errors(tmp_path, options):
    with pytest.raises(UsageError, match="is not possible"):
        load(write(tmp_path / "text.txt"), **options)


def test_the_fingerprint_knows_the_text_and_the_window(tmp_path):
    prints = {
        load(write(tmp_path / "text.txt", text), **how).fingerprint
        for text, how in ((TEXT, {}), (TEXT + "!", {}), (TEXT, {"sequence": 50}))
    }
    assert len(prints) == 3
    again = load(write(tmp_path / "moved.txt"))
    assert again.fingerprint in prints


def test_symbols_come_back_from_json():
    symbols = Symbols(["a", "\n", "é"])
    assert CHARACTERS.from_json(symbols.to_json(), (100, 4)) == symbols
    assert symbols.unknown("abba!") == ["b", "!"]
    assert symbols.encode("é\nx").tolist() == [3, 2, 0]


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        *({"symbols": s} for s in ("abc", ["a", "a"], [""], [], [1, 2], ["a"], ["x" * 999])),
    ],
)
def test_symbols_that_were_tampered_with_are_a_checkpoint_error(stored):
    with pytest.raises(CheckpointError):
        CHARACTERS.from_json(stored, (100, 4))


def test_lines_are_inputs_and_a_folder_is_none(tmp_path):
    path = write(tmp_path / "text.txt", "one two\nx\n")
    (batch,) = WORDS.inputs([str(path)], (35, 9))
    assert [item.sample for item in batch] == [["one", " two"], ["x"]]
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)


@pytest.mark.real_data
def test_tiny_shakespeare_is_read_by_characters_and_by_words(real_data):
    letters = catalog.load("tinyshakespeare", data_dir=real_data)
    assert {part: len(s) for part, s in letters.splits.items()} == {
        "train": 948_086,
        "val": 55_769,
        "test": 111_539,
    }
    assert letters.shape == catalog.describe("tinyshakespeare").shape == (100, 66)
    about = catalog.describe("tinyshakespeare", kind=WORDS)
    words = catalog.load("tinyshakespeare", data_dir=real_data, kind=WORDS)
    assert about.kind is words.kind is WORDS
    assert words.shape == about.shape == (35, 7_181)
    test = words.splits["test"]
    assert "".join(test.symbols[c] for c in test.samples(np.arange(5))) == ", that is nothing:"
