"""Lines of a stream, as they come: whatever pieces they come in, and however long they are."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data import text_lines
from dlcli.data.text_lines import MOST_LINE, arriving, from_pipe


class Pieces:
    """A stream that gives what is there, as a pipe does, and tells how much was asked for."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.taken = list(pieces), 0

    def read1(self, most):
        assert all(len(piece) <= most for piece in self.pieces)
        self.taken += 1
        return self.pieces.pop(0) if self.pieces else b""


@given(st.lists(st.text(alphabet="ab \r\0é\ufeff", max_size=5)), st.integers(1, 7))
def test_lines_do_not_depend_on_the_pieces_they_come_in(lines, size):
    data = "".join(line + "\n" for line in lines).encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    expected = [line.rstrip("\r") for line in lines]
    if expected:
        expected[0] = expected[0].removeprefix("\ufeff")
    assert list(from_pipe(Pieces(*pieces))) == expected
    assert list(from_pipe(io.BytesIO(data))) == expected


def test_what_is_there_is_given_at_once_and_nothing_is_read_ahead():
    stream = Pieces(b"one\ntwo\nth", b"ree\n", b"four")
    lines = arriving(stream)
    assert (next(lines), stream.taken) == (["one", "two"], 1)
    assert (next(lines), stream.taken) == (["three"], 2)
    assert list(lines) == [["four"]]


def test_bytes_that_are_no_utf8_are_replaced_and_an_empty_stream_has_no_lines():
    assert list(from_pipe(io.BytesIO(b"\xff\xfe\n\n\xc3"))) == ["\ufffd\ufffd", "", "\ufffd"]
    assert list(from_pipe(io.BytesIO(b""))) == []


@pytest.mark.parametrize("length", [MOST_LINE + 1, 3 * MOST_LINE, MOST_LINE + text_lines.CHUNK])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_is_too_long_is_one_error_and_the_next_one_is_read(length, end):
    whole = b"a" * length
    assert list(from_pipe(io.BytesIO(b"x\n" + whole + end))) == ["x", None]
    assert list(from_pipe(io.BytesIO(whole + b"\nb\n" + whole + b"\n\nc" + end))) == [
        None,
        "b",
        None,
        "",
        "c",
    ]


def test_a_line_may_be_as_long_as_the_bound():
    (line,) = from_pipe(io.BytesIO(b"a" * MOST_LINE + b"\n"))
    assert len(line) == MOST_LINE


def test_an_endless_line_is_an_error_before_it_ends():
    class Endless:
        def read1(self, most):
            return b"a" * most

    assert next(arriving(Endless())) == [None]
