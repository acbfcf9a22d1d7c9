"""The binary version of CIFAR-10: planes become pixels, and records are counted before belief."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.data import cifar10
from dlcli.errors import DataError


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("cifar")


def test_red_green_and_blue_planes_become_one_pixel(scratch):
    record = np.zeros((1, 3073), np.uint8)
    record[0, 0] = 7
    record[0, 1 + 33], record[0, 1025 + 33], record[0, 2049 + 33] = 10, 20, 30  # row 1, column 1
    record.tofile(scratch / "one.bin")
    part = cifar10.read("train", [scratch / "one.bin"])
    assert part.labels.tolist() == [7]
    assert part.pixels[0, 1, 1].tolist() == [10, 20, 30]
    assert part.pixels.astype(int).sum() == 60


@settings(max_examples=25, deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_any_number_of_batches_with_any_number_of_records_is_read_in_order(
    scratch, cifar_records, counts
):
    batches = [cifar_records(count) for count in counts]
    for i, records in enumerate(batches):
        records.tofile(scratch / f"data_batch_{i + 1}.bin")
    paths = [scratch / f"data_batch_{i + 1}.bin" for i in range(len(counts))]
    part = cifar10.read("train", paths)
    everything = np.concatenate(batches)
    np.testing.assert_array_equal(part.labels, everything[:, 0])
    planes = part.samples(np.arange(len(part))).transpose(0, 3, 1, 2).reshape(len(part), -1)
    np.testing.assert_array_equal(planes, everything[:, 1:])


def test_the_tenth_batch_comes_after_the_second(tmp_path):
    for i in (10, 2, 1):
        (tmp_path / f"data_batch_{i}.bin").touch()
    (tmp_path / "data_batch_x.bin").touch()
    assert [path.name for path in cifar10.batches(tmp_path)] == [
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_10.bin",
    ]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cut=st.integers(0, 2 * 3073), label=st.integers(0, 255), at=st.integers(0, 1))
def test_corruption_gives_a_data_error_or_the_records(scratch, cifar_records, cut, label, at):
    records = cifar_records(2)
    records[at, 0] = label
    path = scratch / "corrupt.bin"
    path.write_bytes(records.tobytes()[: 2 * 3073 - cut])
    whole, rest = divmod(2 * 3073 - cut, 3073)
    if rest or not whole or (label >= 10 and at < whole):
        with pytest.raises(DataError, match=r"corrupt\.bin"):
            cifar10.read("train", [path])
    else:
        np.testing.assert_array_equal(cifar10.read("train", [path]).labels, records[:whole, 0])


def test_a_part_with_more_records_than_any_published_is_refused(
    tmp_path, cifar_records, monkeypatch
):
    monkeypatch.setattr(cifar10, "MAX_RECORDS", 3)
    cifar_records(2).tofile(tmp_path / "a")
    with pytest.raises(DataError, match="too large"):
        cifar10.read("train", [tmp_path / "a", tmp_path / "a"])


def test_missing_files_are_listed_and_the_pickled_version_does_not_count(tmp_path):
    (tmp_path / "data_batch_1").touch()
    (tmp_path / "test_batch").touch()
    assert cifar10.missing(tmp_path) == ["data_batch_*.bin", "test_batch.bin"]
    with pytest.raises(DataError, match=r"lacks data_batch_\*\.bin, test_batch\.bin"):
        cifar10.load_parts(tmp_path)


def test_a_folder_that_is_not_there_lacks_everything(tmp_path):
    assert cifar10.missing(tmp_path / "none") == ["data_batch_*.bin", "test_batch.bin"]
