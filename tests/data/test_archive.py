"""Archives from outside: what is whole and harmless is unpacked, anything else leaves nothing."""

import gzip
import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcli.data.archive import MOST_HEADER, Bounds, unpack
from dlcli.errors import DataError, OutputError


def member(name, content=b"x", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, content


def tar_of(*members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def place(tmp_path):
    """A folder of its own, so that what escapes shows."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def put(place, data):
    path = place / "a.tar.gz"
    path.write_bytes(data)
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_and_folders_are_unpacked(place):
    folder = member("data", b"", tarfile.DIRTYPE)
    data = tar_of(folder, member("data/a.bin", b"1"), member("./data/b/" + "ü" * 60, b"2"))
    unpack(put(place, data), place / "out")
    assert (place / "out" / "data" / "a.bin").read_bytes() == b"1"
    assert (place / "out" / "data" / "b" / ("ü" * 60)).read_bytes() == b"2"
    assert names(place) == ["a.tar.gz", "out"]


HOSTILE = {
    "above": [member("../evil")],
    "above, later": [member("a"), member("b/../../evil")],
    "absolute": [member("/srv/evil")],
    "another system's": [member("..\\evil")],
    "a drive": [member("c:evil")],
    "a symbolic link": [member("a", b"", tarfile.SYMTYPE, "/etc/passwd")],
    "a link and a file through it": [
        member("a", b"", tarfile.SYMTYPE, ".."),
        member("a/evil"),
    ],
    "a hard link": [member("a", b"", tarfile.LNKTYPE, "/etc/passwd")],
    "a device": [member("a", b"", tarfile.CHRTYPE)],
    "a pipe": [member("a", b"", tarfile.FIFOTYPE)],
    "a name twice": [member("a"), member("a")],
    "a name in two cases": [member("Read.me"), member("read.ME")],
    "deep folders": [member("/".join("a" * 40))],
    "a long name": [member("a" * 2000)],
    "too many files": [member(f"{i}") for i in range(60)],
    "too many bytes": [member("a", os.urandom(90_000)), member("b", os.urandom(90_000))],
    "a bomb": [member("a", bytes(60_000_000))],
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_must_not_be_in_an_archive_is_refused_and_nothing_is_left(place, name):
    archive = put(place, tar_of(*HOSTILE[name]))
    size = 150_000 if name == "too many bytes" else 1 << 30
    with pytest.raises(DataError, match="is not unpacked"):
        unpack(archive, place / "out", Bounds(size=size, files=50))
    assert names(place) == ["a.tar.gz"]
    assert names(place.parent) == ["place"]


def test_a_header_that_would_fill_the_memory_is_refused(place):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, MOST_HEADER + 1
    with pytest.raises(DataError, match="is damaged") as caught:
        unpack(put(place, gzip.compress(info.tobuf() + bytes(2048))), place / "out")
    assert caught.value.why == f"a header of {MOST_HEADER + 1:,} bytes"
    assert names(place) == ["a.tar.gz"]


def test_a_target_that_exists_is_not_touched(place):
    (place / "out").mkdir()
    with pytest.raises(OutputError, match="exists"):
        unpack(put(place, tar_of(member("a"))), place / "out")
    assert names(place / "out") == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_an_archive_that_is_cut_short_is_damaged(place, share):
    data = tar_of(*(member(f"{i}", os.urandom(2000)) for i in range(8)))
    with pytest.raises(DataError, match="is damaged"):
        unpack(put(place, data[: int(share * len(data))]), place / "out")
    assert names(place) == ["a.tar.gz"]


@given(st.binary(max_size=600), st.booleans(), st.data())
def test_whatever_the_bytes_are_nothing_but_the_target_appears(tmp_path_factory, raw, packed, data):
    place = tmp_path_factory.mktemp("fuzz") / "place"
    place.mkdir()
    if data.draw(st.booleans()):
        raw = bytearray(gzip.decompress(tar_of(member("a/b", b"12345"), member("c"))))
        for _ in range(data.draw(st.integers(1, 6))):
            raw[data.draw(st.integers(0, 1600))] = data.draw(st.integers(0, 255))
    complaint = None
    try:
        unpack(put(place, gzip.compress(bytes(raw)) if packed else bytes(raw)), place / "out")
    except (DataError, OutputError) as error:
        complaint = error.what
    assert names(place) == (["a.tar.gz", "out"] if complaint is None else ["a.tar.gz"])
    assert names(place.parent) == ["place"]
