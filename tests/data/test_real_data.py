"""The published datasets as they lie on a user's disk, where $DLCLI_DATA has them."""

import numpy as np
import pytest

from dlcli.data import catalog
from dlcli.data import kind as kinds
from dlcli.data.image import probe, read_image
from dlcli.data.loader import Loader
from dlcli.data.normalize import Normalize

pytestmark = pytest.mark.real_data


def load(name, real_data):
    if catalog.describe(name, data_dir=real_data).folder is None:
        pytest.skip(f"DLCLI_DATA has no {name}")
    return catalog.load(name, data_dir=real_data)


def test_mnist_is_read_whole_and_one_epoch_has_every_sample(real_data):
    dataset = load("mnist", real_data)
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 54_000,
        "val": 6_000,
        "test": 10_000,
    }
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(test.labels).tolist()[:3] == [980, 1135, 1032]
    normalize = Normalize.fit(train)
    np.testing.assert_allclose([normalize.mean[0], normalize.std[0]], [0.1307, 0.3081], atol=5e-4)
    seen = np.zeros(len(train), dtype=int)
    for batch in Loader(train, normalize, 128, shuffle=True).epoch(0):
        seen[batch.indices] += 1
    assert (seen == 1).all()


def test_fashion_mnist_is_balanced_in_every_part(real_data):
    dataset = load("fashion-mnist", real_data)
    for part, each in (("train", 5_400), ("val", 600), ("test", 1_000)):
        assert np.bincount(dataset.splits[part].labels).tolist() == [each] * 10
    assert dataset.classes[dataset.splits["test"].labels[0]] == "Ankle boot"


def test_cifar10_has_whatever_records_its_files_hold(real_data):
    folder = catalog.describe("cifar10", data_dir=real_data).folder
    dataset = load("cifar10", real_data)
    assert len(dataset.splits["test"]) == (folder / "test_batch.bin").stat().st_size // 3073
    normalize = Normalize.fit(dataset.splits["train"])
    np.testing.assert_allclose(normalize.mean, [0.491, 0.482, 0.447], atol=0.01)
    assert dataset.classes[dataset.splits["test"].labels[0]] == "cat"


def test_photographs_are_decoded_at_any_size(real_data):
    photographs = sorted((real_data / "facades").glob("*.jpg"))[:8]
    if not photographs:
        pytest.skip("DLCLI_DATA has no facades")
    for path in photographs:
        assert probe(path) == (256, 512)
        image = read_image(path, (64, 64, 3))
        assert image.shape == (64, 64, 3)
        assert image.std() > 5


def test_facades_are_photos_on_the_left_and_colourful_maps_on_the_right(real_data):
    if catalog.describe("facades", data_dir=real_data).folder is None:
        pytest.skip("DLCLI_DATA has no facades")
    for kind, train in (("picture_pair", (160, 2, 64, 64, 3)), ("picture_domains", None)):
        found = catalog.load("facades", data_dir=real_data, kind=kinds.of(kind))
        assert [len(found.splits[part]) for part in ("train", "val", "test")] == [160, 20, 20]
        if train is not None:
            pixels = found.splits["train"].samples(np.arange(160))
            assert pixels.shape == train
            colourful = np.ptp(pixels.astype(int), axis=-1).mean(axis=(2, 3))
            assert (colourful[:, 1] > colourful[:, 0]).all()
