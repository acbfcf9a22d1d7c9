"""A text file as characters or words: exactly what it holds, read piece by piece, or a clear no."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlcli.data import plain_text
from dlcli.errors import DataError

READERS = [plain_text.characters, plain_text.words]
WRITTEN = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
AGAIN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def text_of(found) -> str:
    codes, symbols = found
    return "".join(symbols[code] for code in codes[1:])


def lines_alike(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("read", READERS)
@AGAIN
@given(text=WRITTEN, piece=st.integers(1, 7))
def test_symbols_put_together_are_the_text_again_whatever_the_pieces(
    tmp_path, monkeypatch, read, text, piece
):
    monkeypatch.setattr(plain_text, "PIECE", piece + 3)  # a mark at the beginning is in the first
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode())
    if not lines_alike(text):
        return  # a mark alone
    codes, symbols = read(path)
    assert text_of((codes, symbols)) == lines_alike(text)
    assert codes[0] == len(symbols)
    assert len(set(symbols)) == len(symbols) == codes[1:].astype(int).max() + 1


@AGAIN
@given(text=st.text("don't 'x-y2 \n.", max_size=40), piece=st.integers(4, 9))
def test_words_do_not_depend_on_where_a_piece_ends(tmp_path, monkeypatch, text, piece):
    path = tmp_path / "text.txt"
    path.write_text(text + "!")
    whole = plain_text.words(path)
    assert [whole[1][code] for code in whole[0][1:]] == plain_text.units(text + "!")
    monkeypatch.setattr(plain_text, "PIECE", piece)
    parts = plain_text.words(path)
    assert parts[1] == whole[1]
    np.testing.assert_array_equal(parts[0], whole[0])


def test_words_keep_the_space_before_them_and_lines_end_in_a_word():
    text = "ROMEO:\nI don't  know, 42 or_so."
    found = ["ROMEO", ":", "\n", "I", " don't", " ", " know", ",", " 42", " or", "_", "so", "."]
    assert plain_text.units(text) == found


def test_characters_take_a_byte_each_where_there_are_few(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("abc" * 10)
    assert plain_text.characters(path)[0].dtype == np.uint8
    path.write_text("".join(map(chr, range(0x4E00, 0x4E00 + 300))))
    assert plain_text.characters(path)[0].dtype == np.uint16


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("piece", [5, 1 << 20])
def test_what_is_no_utf8_is_named_by_line_and_byte(tmp_path, monkeypatch, read, piece):
    monkeypatch.setattr(plain_text, "PIECE", piece)
    path = tmp_path / "text.txt"
    path.write_bytes("é one\ntwo\nthr".encode() + b"\xffee\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert caught.value.what == f"{path}:3: is not UTF-8"
    assert caught.value.why == "byte 15 of the file"


def test_a_letter_that_is_cut_short_at_the_end_is_no_utf8(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(b"one\n\xe2\x82")
    with pytest.raises(DataError, match=":2: is not UTF-8"):
        plain_text.characters(path)


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_empty_absent_a_folder_or_too_large_is_refused(tmp_path, monkeypatch, read):
    path = tmp_path / "text.txt"
    path.write_bytes(b"")
    for where, said in ((path, "empty"), (tmp_path / "no", "cannot be read"), (tmp_path, "folder")):
        with pytest.raises(DataError) as caught:
            read(where)
        assert said in caught.value.what + caught.value.why
    monkeypatch.setattr(plain_text, "MOST_BYTES", 10)
    path.write_bytes(b"x" * 11)
    with pytest.raises(DataError, match="too large"):
        read(path)


def test_too_many_different_words_are_no_text(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_text, "MOST_WORDS", 50)
    path = tmp_path / "text.txt"
    path.write_text(" ".join(map(str, range(60))))
    with pytest.raises(DataError, match="more than 50 different words"):
        plain_text.words(path)


@pytest.mark.parametrize("read", READERS)
def test_a_huge_line_takes_little_more_memory_than_its_codes(tmp_path, monkeypatch, read):
    monkeypatch.setattr(plain_text, "PIECE", 1 << 14)
    path = tmp_path / "text.txt"
    size = 1 << 20
    path.write_bytes(b"word after word, " * (size // 17))
    read(path)  # what is made once
    tracemalloc.start()
    codes, symbols = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(symbols) < 20
    assert codes.nbytes <= size
    assert peak < 8 * size  # a list of its words would take more, its characters sixty times it
