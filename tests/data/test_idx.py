"""The IDX reader: right on every good file, a DataError on every other."""

import gzip
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.data import idx
from dlcli.errors import DataError

few = settings(max_examples=80, deadline=None, derandomize=True)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx") / "file"


@few
@given(shape=shapes, zipped=st.booleans(), seed=st.integers(0, 99))
def test_what_was_written_is_read(scratch, idx_bytes, shape, zipped, seed):
    items = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    content = idx_bytes(items)
    scratch.write_bytes(gzip.compress(content) if zipped else content)
    np.testing.assert_array_equal(idx.read(scratch, shape[1:]), items)


@few
@given(data=st.data(), zipped=st.booleans())
def test_corruption_gives_a_data_error_or_an_array_of_the_right_kind(
    scratch, idx_bytes, data, zipped
):
    content = idx_bytes(np.arange(48, dtype=np.uint8).reshape(3, 4, 4))
    content = bytearray(gzip.compress(content, mtime=0) if zipped else content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    items, complaint = None, ""
    try:
        items = idx.read(scratch, (4, 4))
    except DataError as error:
        complaint = error.what
    if items is None:
        assert complaint.startswith(f"{scratch}: ")
    else:
        assert (items.shape, items.dtype) == ((3, 4, 4), np.uint8)


@few
@given(content=st.binary(max_size=200))
def test_noise_is_never_an_idx_file(scratch, content):
    scratch.write_bytes(content)
    with pytest.raises(DataError):
        idx.read(scratch, (7, 7))


@few
@given(cut=st.integers(1, 90), zipped=st.booleans())
def test_a_truncated_file_is_refused_wherever_it_ends(scratch, idx_bytes, cut, zipped):
    noise = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
    content = idx_bytes(noise)
    content = gzip.compress(content) if zipped else content
    scratch.write_bytes(content[:-cut])
    with pytest.raises(DataError, match=r"trunc|empty"):
        idx.read(scratch, (4, 4))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dims", [(2**31, 28, 28), (2**32 - 1,) * 3, (2**31,)])
def test_a_header_that_claims_two_billion_items_takes_no_memory(scratch, dims, zipped):
    header = bytes([0, 0, 8, len(dims)]) + b"".join(n.to_bytes(4, "big") for n in dims)
    content = header + bytes(1000)
    scratch.write_bytes(gzip.compress(content) if zipped else content)
    tracemalloc.start()
    with pytest.raises(DataError, match="claims too much"):
        idx.read(scratch, dims[1:])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_claim_that_so_few_compressed_bytes_cannot_keep_is_refused(scratch, idx_bytes):
    content = idx_bytes(np.zeros((1, 28, 28)))
    claim = content[:4] + (1_000_000).to_bytes(4, "big") + content[8:]
    scratch.write_bytes(gzip.compress(claim))
    with pytest.raises(DataError, match="claims too much") as caught:
        idx.read(scratch, (28, 28))
    assert "784,000,000 bytes, the file can hold at most" in caught.value.why


def test_a_gzip_bomb_is_not_inflated_past_what_its_header_promises(scratch, idx_bytes):
    bomb = idx_bytes(np.zeros((2, 28, 28))) + bytes(256 << 20)
    scratch.write_bytes(gzip.compress(bomb, 1))
    del bomb
    tracemalloc.start()
    with pytest.raises(DataError, match="too long"):
        idx.read(scratch, (28, 28))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: b"\x00\x00\x0d\x03" + c[4:], "starts with 00000d03, not with 00000803"),
        (lambda c: b"\x00\x00\x08\x01" + c[4:], "starts with 00000801"),
        (lambda c: c[:8] + (5).to_bytes(4, "big") + c[12:], "its items are 5×4, expected 4×4"),
        (lambda c: c[:4] + bytes(4) + c[8:], "holds no items"),
        (lambda c: c + b"x", "the file holds more"),
        (lambda c: c[:10], "an IDX header has 16 bytes, the file holds 10"),
        (lambda c: c[:-1], "promises 48 bytes, the file holds 47"),
        (lambda c: b"", "is empty"),
        (lambda c: gzip.compress(c) + b"garbage", "gzip stream is damaged"),
        (lambda c: gzip.compress(c)[:-8] + bytes(8), "gzip stream is damaged: CRC check failed"),
    ],
)
def test_every_fault_has_its_own_words(scratch, idx_bytes, change, words):
    scratch.write_bytes(change(idx_bytes(np.zeros((3, 4, 4)))))
    with pytest.raises(DataError) as caught:
        idx.read(scratch, (4, 4))
    assert words in " ".join(caught.value.lines())


def test_a_missing_file_a_folder_and_a_pipe_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, why in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "nul\0byte", "null"),
    ):
        with pytest.raises(DataError) as caught:
            idx.read(path, ())
        assert why in caught.value.why


def test_a_file_that_is_larger_than_any_dataset_is_refused(scratch, monkeypatch):
    monkeypatch.setattr(idx, "MAX_BYTES", 100)
    scratch.write_bytes(bytes(101))
    with pytest.raises(DataError, match="too large"):
        idx.read(scratch, ())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
def test_all_spellings_of_the_file_names_are_found(tmp_path, mnist_like, zipped, dotted):
    written = mnist_like(tmp_path / "m", zipped=zipped, dotted=dotted)
    parts = idx.parts(tmp_path / "m", (28, 28, 1), 10)
    for part, (images, labels) in written.items():
        np.testing.assert_array_equal(parts[part].pixels[..., 0], images)
        np.testing.assert_array_equal(parts[part].labels, labels)


def test_labels_that_do_not_belong_to_the_images_are_refused(tmp_path, mnist_like, idx_bytes):
    mnist_like(tmp_path / "m")
    path = tmp_path / "m" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(idx_bytes(np.zeros(59)))
    with pytest.raises(DataError, match="does not belong to the images") as caught:
        idx.parts(tmp_path / "m", (28, 28, 1), 10)
    assert caught.value.why.startswith("59 labels, 60 images")


def test_a_label_out_of_range_is_named_with_its_position(tmp_path, mnist_like, idx_bytes):
    mnist_like(tmp_path / "m")
    labels = np.zeros(60)
    labels[17] = 10
    (tmp_path / "m" / "train-labels-idx1-ubyte.gz").write_bytes(idx_bytes(labels))
    with pytest.raises(DataError, match="out of range") as caught:
        idx.parts(tmp_path / "m", (28, 28, 1), 10)
    assert caught.value.why == "label 10 at position 17; there are 10 classes"


def test_missing_files_are_listed(tmp_path, mnist_like):
    mnist_like(tmp_path / "m")
    (tmp_path / "m" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte\.gz"):
        idx.parts(tmp_path / "m", (28, 28, 1), 10)
