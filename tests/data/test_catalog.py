"""Datasets by name and path: where they are looked for, what they hold, how a mistake is told."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dlcli.data import catalog, digits
from dlcli.data.dataset import ArraySplit, fingerprint
from dlcli.errors import DataError, UsageError


def counts(dataset) -> dict[str, int]:
    return {part: len(split) for part, split in dataset.splits.items()}


def test_datasets_are_the_modules_that_describe_themselves():
    images = ["cifar10", "digits", "fashion-mnist", "mnist"]
    assert {*images, "imdb", "sst2", "tinyshakespeare"} <= set(catalog.names())
    assert [n for n in catalog.names() if catalog.describe(n).kind.name == "image"] == images


@pytest.mark.parametrize("name", ["cifar10", "digits", "fashion-mnist", "mnist"])
def test_every_dataset_of_images_describes_itself_without_files(no_data, name):
    info = catalog.describe(name)
    assert info.name == name
    assert info.description
    assert len(info.shape) == 3
    assert len(set(info.classes)) == 10
    assert set(info.counts) == {"train", "test"}
    assert set(info.recipe) == {"epochs", "batch_size"}
    assert info.folder is None
    assert info.embedded is (name == "digits")
    assert bool(info.how_to_get) is (name != "digits")
    assert all(file in info.how_to_get for file in info.files)


def test_importing_the_catalog_loads_no_heavy_library():
    program = (
        "import sys\n"
        f"sys.path[:0] = {[p for p in sys.path if p]!r}\n"
        "from dlcli.data import catalog, folder, loader, normalize\n"
        "catalog.names()\n"
        "print([m for m in ('PIL', 'platformdirs') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_embedded_digits_are_those_of_scikit_learn():
    published = load_digits()
    with np.load(Path(digits.__file__).with_suffix(".npz")) as kept:
        np.testing.assert_array_equal(kept["images"], published.images)
        np.testing.assert_array_equal(kept["labels"], published.target)


def test_digits_are_embedded_and_cut_in_three(no_data):
    dataset = catalog.load("digits")
    assert counts(dataset) == {"train": 1294, "val": 144, "test": 359}
    assert dataset.recipe == {"epochs": 30, "batch_size": 32}
    images = dataset.splits["train"].samples(np.arange(1294))
    assert images.shape == (1294, 8, 8, 1)
    assert (images.min(), images.max()) == (0, 255)
    for split in dataset.splits.values():
        assert np.ptp(np.bincount(split.labels)) <= 0.1 * len(split)
    assert {part: catalog.describe("digits").counts[part] for part in ("train", "test")} == {
        "train": 1294 + 144,
        "test": 359,
    }


def test_grey_levels_are_rounded_half_up():
    assert digits.scale(np.arange(17.0)).tolist() == [
        int(np.floor(v * 255 / 16 + 0.5)) for v in range(17)
    ]


def test_the_split_seed_moves_the_validation_part_and_never_the_test_part(no_data):
    first, again, other = (catalog.load("digits", seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    np.testing.assert_array_equal(first.splits["test"].labels, other.splits["test"].labels)
    names = [
        {split.id(i) for i in range(len(split))}
        for split in (first.splits["val"], other.splits["val"])
    ]
    assert names[0] != names[1]
    assert all(name.startswith("train/") for name in names[0] | names[1])


def test_no_sample_is_in_two_parts(no_data):
    dataset = catalog.load("digits")
    names = [split.id(i) for split in dataset.splits.values() for i in range(len(split))]
    assert len(set(names)) == len(names) == 1797


def test_the_fingerprint_sees_a_pixel_a_label_a_class_and_a_cut():
    pixels, labels = np.zeros((6, 2, 2, 1), np.uint8), np.array([0, 1, 0, 1, 0, 1])
    other_pixels, other_labels = pixels.copy(), labels.copy()
    other_pixels[5, 1, 1, 0], other_labels[0] = 1, 1
    variants = [
        (["a", "b"], pixels, labels),
        (["a", "c"], pixels, labels),
        (["a", "b"], other_pixels, labels),
        (["a", "b"], pixels, other_labels),
        (["a", "b"], pixels[:5], labels[:5]),
    ]
    prints = {
        fingerprint(c, (2, 2, 1), {"train": ArraySplit("train", p, y)}) for c, p, y in variants
    }
    assert len(prints) == 5


def test_arrays_of_a_dataset_cannot_be_changed_by_mistake(no_data):
    split = catalog.load("digits").splits["train"]
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0] = 3
    split.samples(np.array([0]))[:] = 7
    assert not (split.samples(np.array([0])) == 7).all()


def test_places_are_tried_in_order(no_data, tmp_path, mnist_like, monkeypatch):
    mnist_like(no_data / "mnist", n=30)
    assert counts(catalog.load("mnist")) == {"train": 20, "val": 10, "test": 10}
    monkeypatch.setenv("DLCLI_DATA", str(tmp_path / "shared"))
    mnist_like(tmp_path / "shared" / "MNIST" / "raw", n=60, zipped=False)
    assert counts(catalog.load("mnist")) == {"train": 50, "val": 10, "test": 20}
    mnist_like(tmp_path / "mine" / "mnist", n=90)
    assert counts(catalog.load("mnist", data_dir=tmp_path / "mine"))["test"] == 30
    assert catalog.describe("mnist", data_dir=tmp_path / "mine").folder == tmp_path / "mine/mnist"
    (tmp_path / "mine" / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert counts(catalog.load("mnist", data_dir=tmp_path / "mine"))["test"] == 20


@pytest.mark.parametrize("below", ["cifar10", "cifar10/cifar-10-batches-bin"])
def test_cifar10_is_found_in_its_own_folder_or_the_archives(no_data, cifar_records, below):
    folder = no_data / below
    folder.mkdir(parents=True)
    cifar_records(40).tofile(folder / "data_batch_1.bin")
    cifar_records(10).tofile(folder / "test_batch.bin")
    dataset = catalog.load("cifar10")
    assert counts(dataset) == {"train": 30, "val": 10, "test": 10}
    assert dataset.shape == (32, 32, 3)


def test_missing_files_are_told_with_the_folder_and_what_to_get(no_data, tmp_path):
    with pytest.raises(DataError, match="fashion-mnist: its files are not here") as caught:
        catalog.load("fashion-mnist", data_dir=tmp_path / "mine")
    assert str(tmp_path / "mine" / "fashion-mnist") in caught.value.why
    assert str(no_data / "fashion-mnist") in caught.value.why
    assert "train-images-idx3-ubyte.gz" in caught.value.hint
    assert str(tmp_path / "mine" / "fashion-mnist") in caught.value.hint


def test_a_folder_with_some_of_the_files_is_told_what_it_lacks(no_data, mnist_like):
    mnist_like(no_data / "mnist")
    (no_data / "mnist" / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"mnist lacks t10k-images-idx3-ubyte\.gz$"):
        catalog.load("mnist")


@pytest.mark.parametrize("typo", ["mnits", "MNIST", "fashion_mnist", "digit"])
def test_a_mistyped_name_is_a_usage_error_with_a_suggestion(no_data, typo):
    for call in (catalog.load, catalog.describe):
        with pytest.raises(UsageError, match=f"no dataset '{typo}'") as caught:
            call(typo)
        assert caught.value.hint.startswith("did you mean '")


@pytest.mark.parametrize("path", ["./flowers", "photos/flowers", "flowers.zip", "~/none-such"])
def test_a_path_that_does_not_exist_is_a_data_error(no_data, path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match="no such file or folder"):
        catalog.load(path)


def test_an_empty_name_is_a_usage_error(no_data):
    with pytest.raises(UsageError):
        catalog.load("")


def test_a_folder_is_loaded_by_its_path_or_bare_name(no_data, tmp_path, image_folder, monkeypatch):
    image_folder(tmp_path / "flowers", {"rose": 10, "iris": 10})
    monkeypatch.chdir(tmp_path)
    for source in ("flowers", "./flowers", str(tmp_path / "flowers")):
        dataset = catalog.load(source, image_size=4, grayscale=True)
        assert (dataset.name, dataset.source, dataset.shape) == ("flowers", source, (4, 4, 1))
        assert counts(dataset) == {"train": 16, "val": 2, "test": 2}


def test_a_file_is_no_folder_of_images(no_data, tmp_path):
    (tmp_path / "table.xls").write_text("a,b\n")
    with pytest.raises(DataError, match="is not a folder"):
        catalog.load(str(tmp_path / "table.xls"))


def test_a_dataset_wins_over_a_folder_of_its_name(no_data, tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(catalog.load("digits").splits["test"]) == 359


@pytest.mark.parametrize("options", [{"image_size": 16}, {"grayscale": True}])
def test_options_for_folders_do_not_apply_to_named_datasets(no_data, options):
    with pytest.raises(UsageError) as caught:
        catalog.load("digits", **options)
    assert caught.value.why == "digits always has the shape 8×8×1"


def test_a_training_part_too_small_to_cut_is_told(no_data, mnist_like):
    mnist_like(no_data / "mnist", n=9)
    with pytest.raises(DataError, match="too few samples"):
        catalog.load("mnist")
