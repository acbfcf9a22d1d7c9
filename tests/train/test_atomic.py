"""Files and folders appear complete or not at all, whatever call fails or kills the writer."""

import os
from contextlib import suppress

import pytest

from dlcli.errors import OutputError
from dlcli.train import atomic

OLD = {"a": b"old a" * 100, "b": b"old b"}
NEW = {"a": b"new a" * 200, "b": b"", "c": b"new c"}


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def calls(faults, act):
    """How many calls `act` makes."""
    with faults() as found:
        act()
    return found.count


def test_a_file_is_replaced_and_no_temporary_file_is_left(tmp_path):
    path = tmp_path / "file"
    atomic.write_file(path, b"one")
    atomic.write_file(path, b"two" * 100_000)
    assert contents(tmp_path) == {"file": b"two" * 100_000}


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_a_file_is_old_or_new_whatever_call_fails_or_kills(tmp_path, faults, killed, how):
    (tmp_path / "count").mkdir()
    number = calls(faults, lambda: atomic.write_file(tmp_path / "count" / "file", b"new" * 99))
    assert number >= 5
    seen = set()
    for at in range(number):
        folder = tmp_path / f"{how}-{at}"
        folder.mkdir()
        path = folder / "file"
        atomic.write_file(path, b"old")
        with (
            faults(at, how),
            pytest.raises(OutputError if how == "fail" else killed),
        ):
            atomic.write_file(path, b"new" * 99)
        seen.add(path.read_bytes())
        assert path.read_bytes() in (b"old", b"new" * 99)
        if how == "fail":
            assert list(contents(folder)) == ["file"]
        atomic.tidy(folder)
        assert list(contents(folder)) == ["file"]
    assert seen == {b"old", b"new" * 99}


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_a_folder_is_old_or_new_whatever_call_fails_or_kills(tmp_path, faults, killed, how):
    base = tmp_path / "count" / "last"
    base.parent.mkdir()
    atomic.replace_folder(base, OLD)
    number = calls(faults, lambda: atomic.replace_folder(base, NEW))
    assert number > 15
    seen = []
    for at in range(number):
        path = tmp_path / f"{how}-{at}" / "last"
        path.parent.mkdir()
        atomic.replace_folder(path, OLD)
        with faults(at, how), suppress(OutputError, killed):
            atomic.replace_folder(path, NEW)
        first = next(c for c in atomic.candidates(path) if c.is_dir())
        assert contents(first) in (OLD, NEW)
        seen.append(contents(first) == NEW)
        if how == "fail":
            assert contents(path) in (OLD, NEW)
        atomic.replace_folder(path, {"again": b"!"})  # the next writer tidies up
        assert contents(path) == {"again": b"!"}
        assert os.listdir(path.parent) == ["last"]
    assert seen == sorted(seen)  # old up to some call, new from then on
    assert set(seen) == {False, True}


@pytest.mark.parametrize("second", [0, 3, 9, 14, 18])
def test_a_folder_survives_a_writer_that_dies_tidying_up_after_a_dead_one(
    tmp_path, faults, killed, second
):
    for first in range(30):
        path = tmp_path / f"{first}" / "last"
        path.parent.mkdir()
        atomic.replace_folder(path, OLD)
        with faults(first, "kill"), suppress(killed):
            atomic.replace_folder(path, NEW)
        with faults(second, "kill"), suppress(killed):
            atomic.replace_folder(path, NEW)
        complete = [c for c in atomic.candidates(path) if c.is_dir() and contents(c) in (OLD, NEW)]
        assert complete
        assert not path.exists() or contents(path) in (OLD, NEW)


def test_a_line_that_cannot_be_appended_whole_is_taken_back(tmp_path, faults):
    path = tmp_path / "lines"
    atomic.append(path, b"one\n")
    with faults(1, "fail"), pytest.raises(OutputError, match="lines"):  # the write after the open
        atomic.append(path, b"two is long\n")
    assert path.read_bytes() == b"one\n"
    atomic.append(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_an_error_says_what_and_why_and_what_to_do(tmp_path, faults):
    with faults(1, "fail"), pytest.raises(OutputError) as caught:
        atomic.write_file(tmp_path / "file", b"data")
    error = caught.value
    assert error.exit_code == 9
    assert str(tmp_path / "file") in error.what
    assert error.why == "No space left on device"
    assert "space" in error.hint


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        atomic.make_folder(tmp_path / "file" / "below")
    with pytest.raises(OutputError):
        atomic.write_file(tmp_path / "missing" / "file", b"")
