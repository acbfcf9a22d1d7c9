"""The published tables as they lie on a user's disk, where $DLCLI_DATA has them."""

import numpy as np
import pytest

from dlcli.data import catalog

pytestmark = pytest.mark.real_data
NAMES = ["adult", "iris", "mammography"]


def load(name, real_data, **options):
    if catalog.describe(name, data_dir=real_data).folder is None:
        pytest.skip(f"DLCLI_DATA has no {name}")
    return catalog.load(name, data_dir=real_data, **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_what_its_module_says(name, real_data):
    dataset = load(name, real_data)
    info = catalog.describe(name)
    counts = {part: len(split) for part, split in dataset.splits.items()}
    if "val" not in info.counts:
        counts["train"] += counts.pop("val")
    assert counts == info.counts
    assert dataset.classes == info.classes
    assert dataset.shape == info.shape
    assert dataset.recipe == info.recipe
    assert dataset.remarks == ()


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_finite_numbers_of_mean_0_where_they_are_quantities(name, real_data):
    dataset = load(name, real_data)
    features = dataset.kind.fit(dataset)
    train = dataset.splits["train"]
    x = features(train.samples(np.arange(len(train))))
    assert np.isfinite(x).all()
    widths = np.cumsum([0, *(column.width for column in features.columns)])
    at = [w for w, column in zip(widths, features.columns, strict=False) if column.kind == "number"]
    assert np.abs(x[:, at].mean(axis=0)).max() < 0.05


def test_mammography_has_260_calcifications_in_even_shares(real_data):
    splits = load("mammography", real_data).splits
    assert [int((split.labels == 0).sum()) for split in splits.values()] == [208, 26, 26]


def test_adult_has_its_gaps_and_the_test_part_its_labels(real_data):
    dataset = load("adult", real_data)
    features = dataset.kind.fit(dataset)
    gaps = [c.name for c in features.columns if c.kind == "category" and c.tells_missing]
    assert gaps == ["workclass", "occupation", "native-country"]
    assert int(dataset.splits["test"].labels.sum()) == 3_846
    assert dataset.splits["test"].id(0).endswith("adult-test.csv:1")
