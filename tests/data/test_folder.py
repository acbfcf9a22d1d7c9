"""A folder of images: layouts, parts, sizes, the cache, and all that may be wrong with it."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from dlcli.data import folder, store
from dlcli.data.image import read_image
from dlcli.data.loader import Loader
from dlcli.data.store import ImageStore, common_shape
from dlcli.errors import DataError, UsageError

PETS = {"cat": 20, "dog": 12, "newt": 3}


@pytest.fixture
def pets(tmp_path, image_folder):
    return image_folder(tmp_path / "pets", PETS)


def files_of(dataset, part):
    split = dataset.splits[part]
    return {split.id(i) for i in range(len(split))}


def decode_all(dataset):
    for split in dataset.splits.values():
        split.samples(np.arange(len(split)))


def test_classes_are_the_folders_and_every_image_is_in_one_part(pets):
    dataset = folder.load(pets)
    assert dataset.classes == ["cat", "dog", "newt"]
    assert dataset.name == "pets"
    assert dataset.recipe == {"epochs": 10, "batch_size": 32}
    assert dataset.shape == (6, 5, 3)
    parts = [files_of(dataset, part) for part in ("train", "val", "test")]
    assert sum(map(len, parts)) == 35
    assert set.union(*parts) == {str(path) for path in pets.rglob("*.png")}


def test_each_class_is_in_every_part_by_its_share(pets):
    splits = folder.load(pets).splits
    count = {
        part: np.bincount(split.labels, minlength=3).tolist() for part, split in splits.items()
    }
    assert count == {"train": [16, 10, 1], "val": [2, 1, 1], "test": [2, 1, 1]}


def test_the_seed_decides_the_parts_and_nothing_else(pets):
    first, again, other = folder.load(pets), folder.load(pets), folder.load(pets, seed=1)
    assert files_of(first, "test") == files_of(again, "test") != files_of(other, "test")
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_images_are_those_of_the_files_in_any_order_and_repetition(pets):
    split = folder.load(pets).splits["train"]
    wanted = np.array([5, 0, 5, 20])
    images = split.samples(wanted)
    assert images.shape == (4, 6, 5, 3)
    for image, i in zip(images, wanted.tolist(), strict=True):
        np.testing.assert_array_equal(image, read_image(split.id(i), (6, 5, 3)))
        assert split.id(i).split(os.sep)[-2] == ["cat", "dog", "newt"][split.labels[i]]


def test_given_parts_are_used_and_only_missing_ones_are_cut(tmp_path, image_folder):
    root = tmp_path / "made"
    for part, count in (("train", 20), ("test", 4)):
        image_folder(root / part, {"a": count, "b": count})
    dataset = folder.load(root)
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 36,
        "val": 4,
        "test": 8,
    }
    assert all("/test/" in name for name in files_of(dataset, "test"))
    image_folder(root / "val", {"a": 2})
    dataset = folder.load(root)
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 40,
        "val": 2,
        "test": 8,
    }
    shutil.rmtree(root / "test")
    assert len(folder.load(root).splits["test"]) == 4


def test_a_class_may_be_called_train(tmp_path, image_folder):
    image_folder(tmp_path / "vehicles", {"plane": 4, "train": 4})
    assert folder.load(tmp_path / "vehicles").classes == ["plane", "train"]


def test_hidden_files_and_other_endings_are_no_samples(pets):
    (pets / "cat" / "._000.png").write_bytes(b"x")
    (pets / "cat" / "Thumbs.db").write_bytes(b"x")
    (pets / "README.txt").write_bytes(b"x")
    (pets / ".git").mkdir()
    assert sum(map(len, folder.load(pets).splits.values())) == 35


def test_endings_are_known_in_upper_case(pets):
    (pets / "newt" / "000.png").rename(pets / "newt" / "000.PNG")
    assert sum(map(len, folder.load(pets).splits.values())) == 35


@pytest.mark.parametrize(
    ("sizes", "options", "shape"),
    [
        (((6, 5),), {}, (6, 5, 3)),
        (((6, 5), (7, 7), (8, 9)), {}, (6, 6, 3)),
        (((150, 140),), {}, (128, 128, 3)),
        (((6, 5), (7, 7)), {"image_size": 16}, (16, 16, 3)),
        (((6, 5),), {"grayscale": True}, (6, 5, 1)),
    ],
)
def test_the_shape_follows_the_images_or_the_options(tmp_path, image_folder, sizes, options, shape):
    dataset = folder.load(image_folder(tmp_path / "x", {"a": 4, "b": 4}, sizes), **options)
    assert dataset.shape == shape
    assert dataset.splits["train"].samples(np.arange(3)).shape == (3, *shape)


def test_moving_the_folder_keeps_the_fingerprint_and_changing_a_file_does_not(pets, tmp_path):
    before = folder.load(pets).fingerprint
    pets = pets.rename(tmp_path / "animals")
    assert folder.load(pets).fingerprint == before
    Image.new("RGB", (5, 6)).save(pets / "cat" / "000.png")
    assert folder.load(pets).fingerprint != before


def test_an_image_is_decoded_once_if_all_fit_in_memory_and_each_time_otherwise(pets, monkeypatch):
    decoded = []

    def counting(path, shape):
        decoded.append(path)
        return read_image(path, shape)

    monkeypatch.setattr(store, "read_image", counting)
    rows, paths = np.array([0, 1, 1]), ["cat/000.png", "cat/001.png"]
    for bound, times in ((2 * 90, 2), (2 * 90 - 1, 6)):
        decoded.clear()
        images = ImageStore(pets, paths, [1, 1], np.zeros(2, int), (6, 5, 3), cache_bytes=bound)
        np.testing.assert_array_equal(images.samples(rows), images.samples(rows))
        assert len(decoded) == times


def test_a_loader_over_files_is_the_same_for_any_number_of_threads(pets):
    split = folder.load(pets).splits["train"]
    one, four = (
        [b.x for b in Loader(split, lambda x: x, 4, shuffle=True, workers=n).epoch(0)]
        for n in (1, 4)
    )
    for ours, theirs in zip(one, four, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_damaged_image_is_named_when_it_is_needed(pets):
    path = pets / "dog" / "003.png"
    dataset = folder.load(pets)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"dog.003\.png: the image is damaged"):
        decode_all(dataset)


def test_an_image_that_vanishes_is_named(pets):
    dataset = folder.load(pets)
    (pets / "dog" / "003.png").unlink()
    with pytest.raises(DataError, match=r"dog.003\.png: cannot be read"):
        decode_all(dataset)


def test_what_is_no_image_is_found_while_sizes_are_looked_up(pets):
    (pets / "cat" / "005.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    with pytest.raises(DataError, match=r"cat.005\.png: not an image"):
        folder.load(pets)


def test_common_shape_is_a_number_of_pixels_even_for_slivers(tmp_path):
    Image.new("L", (300, 1)).save(tmp_path / "a.png")
    Image.new("L", (1, 2)).save(tmp_path / "b.png")
    assert common_shape([tmp_path / "a.png", tmp_path / "b.png"]) == (1, 1)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        folder.load(tmp_path)
    assert caught.value.why == "it is empty"
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError) as caught:
        folder.load(tmp_path)
    assert caught.value.why == "there is no folder in it"


def test_images_without_a_folder_per_class_are_refused(pets):
    with pytest.raises(DataError) as caught:
        folder.load(pets / "cat")
    assert "not in a folder per class" in caught.value.why


def test_a_single_class_is_refused(pets):
    shutil.rmtree(pets / "dog")
    shutil.rmtree(pets / "newt")
    with pytest.raises(DataError, match="one class only, 'cat'"):
        folder.load(pets)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "has no images"), (1, "has 1 image$"), (2, "2 images")]
)
def test_a_class_with_too_few_images_is_named(pets, count, words):
    for i in range(count, 3):
        (pets / "newt" / f"{i:03}.png").unlink()
    with pytest.raises(DataError, match=f"class 'newt' .*{words}") as caught:
        folder.load(pets)
    assert caught.value.why == "at least 3 are needed"


def test_a_class_that_training_does_not_know_is_refused(tmp_path, image_folder):
    image_folder(tmp_path / "train", {"a": 3, "b": 3})
    image_folder(tmp_path / "test", {"a": 1, "c": 1})
    with pytest.raises(DataError) as caught:
        folder.load(tmp_path)
    assert caught.value.why == "'c' is a class of 'test', but not of 'train'"


def test_a_part_without_images_is_refused(tmp_path, image_folder):
    image_folder(tmp_path / "train", {"a": 3, "b": 3})
    (tmp_path / "test" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match="test: holds no images"):
        folder.load(tmp_path)


def test_folders_beside_train_that_mean_nothing_are_refused(tmp_path, image_folder):
    image_folder(tmp_path / "train", {"a": 3, "b": 3})
    image_folder(tmp_path / "validation", {"a": 3, "b": 3})
    with pytest.raises(DataError, match="layout is unclear") as caught:
        folder.load(tmp_path)
    assert "'validation'" in caught.value.why


def test_a_folder_inside_a_class_is_refused_because_its_images_would_be_lost(pets, image_folder):
    image_folder(pets / "cat", {"tabby": 2})
    with pytest.raises(DataError, match="tabby: a folder inside a class"):
        folder.load(pets)


@pytest.mark.parametrize("target", [".", "..", "loop"])
@pytest.mark.parametrize("inside", ["", "cat"])
def test_symbolic_links_in_a_circle_are_refused(pets, inside, target):
    link = pets / inside / "loop"
    link.symlink_to(target)
    with pytest.raises(DataError, match=r"loop|symbolic link"):
        folder.load(pets)


def test_a_dangling_link_to_an_image_is_refused(pets):
    (pets / "cat" / "999.png").symlink_to(pets / "gone.png")
    with pytest.raises(DataError, match=r"999\.png: cannot be read") as caught:
        folder.load(pets)
    assert caught.value.why == "a dangling link"


@pytest.mark.parametrize("size", [0, -3, 2049])
def test_an_image_size_out_of_range_is_a_usage_error(pets, size):
    with pytest.raises(UsageError, match=f"image size is {size}"):
        folder.load(pets, image_size=size)
