"""SST-2 and IMDb as they are published, in small; and damaged archives."""

import io
import tarfile

import numpy as np
import pytest

from dlcli.data import catalog, imdb
from dlcli.data.loader import Loader
from dlcli.errors import DataError


def review(part, label, number):
    words = "a fine film" if label == "pos" else "a dull film"
    return f"aclImdb/{part}/{label}/{number}_{7 if label == 'pos' else 2}.txt", f"{words} {number}"


REVIEWS = dict(
    review(part, label, number)
    for part in ("test", "train")
    for number in (10, 9, 11, 1, 2)
    for label in ("pos", "neg")
)


@pytest.fixture
def archive(no_data):
    """Writes an archive with some members: name -> text, or a prepared header."""

    def write(members):
        folder = no_data / "imdb"
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz") as tar:
            for name, content in members.items():
                data = b"" if isinstance(content, tarfile.TarInfo) else content.encode()
                info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
                info.size = info.size or len(data)
                tar.addfile(info, io.BytesIO(data))
        return folder

    return write


def test_imdb_is_read_from_its_archive_in_the_order_of_the_reviews(archive):
    extra = {"aclImdb/README": "x", "aclImdb/train/unsup/0_0.txt": "no label", "x/../y": "z"}
    archive(extra | REVIEWS)
    dataset = catalog.load("imdb")
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 8,
        "val": 2,
        "test": 10,
    }
    test = dataset.splits["test"]
    assert test.id(0) == "test/neg/1_2.txt"
    assert [test.id(i) for i in range(5)] == [f"test/neg/{i}_2.txt" for i in (1, 2, 9, 10, 11)]
    assert test.samples(np.array([9])) == [["a", "fine", "film", "11"]]
    assert test.labels.tolist() == [0] * 5 + [1] * 5


def test_imdb_is_the_same_from_the_unpacked_folder(archive, tmp_path):
    archive(REVIEWS)
    packed = catalog.load("imdb")
    for name, text in REVIEWS.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert catalog.load("imdb", data_dir=tmp_path / "mine").fingerprint == packed.fingerprint


def test_an_archive_that_is_cut_short_is_a_data_error(archive):
    path = archive(REVIEWS) / "aclImdb_v1.tar.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="is damaged"):
        catalog.load("imdb")


def test_links_are_not_followed_and_an_archive_without_reviews_is_said(archive):
    name = "aclImdb/train/pos/1_9.txt"
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive({name: link})
    with pytest.raises(DataError, match="holds no reviews of the train part"):
        catalog.load("imdb")


def test_what_unpacks_to_too_much_is_refused(archive, monkeypatch):
    archive(REVIEWS)
    for bound, value, message in (
        ("MOST_REVIEW", 5, "is too large"),
        ("MOST_UNPACKED", 2000, "unpacks to more than 2,000 bytes"),
        ("MOST_REVIEWS", 3, "more than 3 reviews"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(imdb, bound, value)
            with pytest.raises(DataError, match=message):
                catalog.load("imdb")


@pytest.fixture
def sst2(no_data):
    folder = no_data / "sst2"
    folder.mkdir(parents=True)
    for name, n in (("train", 6), ("dev", 2), ("test", 4)):
        lines = [f"a {'fine' if i % 2 else 'dull'} film\t{i % 2}\n" for i in range(n)]
        (folder / f"{name}.tsv").write_text("".join(lines))
    return folder


def test_sst2_has_its_published_parts(sst2):
    dataset = catalog.load("sst2")
    assert [len(dataset.splits[part]) for part in ("train", "val", "test")] == [6, 2, 4]
    assert dataset.splits["val"].samples(np.array([1])) == [["a", "fine", "film"]]
    assert dataset.shape == (64, 2 + len({"a", "fine", "dull", "film"}))


@pytest.mark.parametrize("line", ["no label", "text\t2", "text\t", "text 1"])
def test_a_line_of_sst2_that_is_no_sentence_is_said_with_its_number(sst2, line):
    (sst2 / "dev.tsv").write_text(f"fine\t1\n{line}\n")
    with pytest.raises(DataError, match=r"dev\.tsv:2: is no sentence with its label"):
        catalog.load("sst2")


def test_the_vocabulary_is_of_the_training_part_alone(sst2):
    (sst2 / "test.tsv").write_text("zebra zebra zebra\t1\n" * 9)
    dataset = catalog.load("sst2")
    assert "zebra" not in dataset.kind.fit(dataset).words


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "least"), [("sst2", 6_920), ("imdb", 4_500)])
def test_the_published_files_are_read(real_data, name, least):
    dataset = catalog.load(name)
    assert len(dataset.splits["train"]) >= least
    encode = dataset.kind.fit(dataset)
    batch = next(Loader(dataset.splits["test"], encode, 64, workers=0).epoch(0))
    ids, lengths = batch.inputs
    assert ids.max() < dataset.shape[1] == len(encode)
    known = (ids > 1).sum() / lengths.sum()
    assert known > 0.85  # of the words of the test part
