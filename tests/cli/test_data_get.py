"""`dlcli data get`: from a server to a dataset that can be trained on."""

import hashlib
import io
import tarfile

import numpy as np
import pytest

from dlcli.data import sources
from dlcli.data.sources import Remote
from tests.data.test_download import address, error, serving, well

RECORDS = np.random.default_rng(0).integers(0, 256, (60, 3073)).astype(np.uint8)
RECORDS[:, 0] = np.arange(60) % 10


def cifar():
    """CIFAR-10 as its publisher packs it, a small one."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in ("data_batch_1.bin", "test_batch.bin"):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = RECORDS.nbytes
            tar.addfile(info, io.BytesIO(RECORDS.tobytes()))
    return file.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.delenv("DLCLI_OFFLINE", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def pin(monkeypatch, name, server, file, content, unpack):
    url = address(server)
    digest = hashlib.md5(content).hexdigest()
    remote = Remote(file, (url,), "md5", digest, most=1 << 20, unpack=unpack)
    monkeypatch.setitem(sources.SOURCES, name, (remote,))


def test_an_archive_becomes_a_dataset(dlcli, place, monkeypatch):
    content = cifar()
    with serving(lambda request: well(request, content)) as server:
        pin(monkeypatch, "cifar10", server, "cifar-10-binary.tar.gz", content, True)
        result = dlcli("data", "get", "cifar10", "--data-dir", place, "--json")
    assert result.json["downloaded"] == ["cifar-10-binary.tar.gz"]
    assert sorted(path.name for path in (place / "cifar10").glob("[!.]*")) == [
        "cifar-10-batches-bin"
    ]
    found = dlcli("data", "check", "cifar10", "--data-dir", place, "--json").json
    assert found["samples"] == 120
    again = dlcli("data", "get", "cifar10", "--data-dir", place, "--json")
    assert again.json["downloaded"] == []


def test_a_file_becomes_a_dataset_in_the_cache(dlcli, tmp_path, monkeypatch):
    content = b"To be, or not to be, that is the question.\n" * 40
    monkeypatch.delenv("DLCLI_OFFLINE", raising=False)
    with serving(lambda request: well(request, content)) as server:
        pin(monkeypatch, "tinyshakespeare", server, "input.txt", content, False)
        assert dlcli("data", "get", "tinyshakespeare", "-q").code == 0
    assert dlcli("data", "show", "tinyshakespeare", "--json").json["available"] is True
    assert "is here" in dlcli("data", "get", "tinyshakespeare").out


def test_a_failure_is_exit_10_with_what_the_server_said(fails, place, monkeypatch):
    with serving(error(404)) as server:
        pin(monkeypatch, "imdb", server, "aclImdb_v1.tar.gz", b"x", False)
        said = fails(10, "data", "get", "imdb", "--data-dir", place)
    assert "404" in said
    assert list(place.glob("[!.]*")) == []


def test_a_dataset_without_a_known_hash_says_where_to_find_it(fails):
    said = fails(2, "data", "get", "sst2")
    assert "its hash is not known" in said
    assert "https://" in said


def test_a_mistyped_name_is_told_and_offline_is_heeded(dlcli, fails, place, monkeypatch):
    assert "did you mean 'mnist'?" in fails(2, "data", "get", "mnits")
    assert "embedded" in dlcli("data", "get", "digits").out
    monkeypatch.setenv("DLCLI_OFFLINE", "1")
    assert "DLCLI_OFFLINE is set" in fails(10, "data", "get", "mnist", "--data-dir", place)


def test_how_to_get_a_dataset_names_the_command(dlcli, place):
    assert "dlcli data get mnist" in dlcli("data", "show", "mnist", "--data-dir", place).out
    assert "dlcli data get" not in dlcli("data", "show", "sst2", "--data-dir", place).out
