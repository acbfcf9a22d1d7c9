"""Folders of pairs of pictures and of two heaps of them: layouts, parts, and what may be wrong."""

import numpy as np
import pytest
from PIL import Image

from dlcli.data import picture_domains_kind, picture_pair_kind
from dlcli.data.loader import Loader
from dlcli.data.picture_domains import Domains
from dlcli.errors import DataError, UsageError

PAIRS, DOMAINS = picture_pair_kind.KIND, picture_domains_kind.KIND


def picture(value, height=8, width=8):
    """A picture of one colour, red by `value`."""
    found = np.zeros((height, width, 3), np.uint8)
    found[..., 0] = value
    return found


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def sides(tmp_path):
    """Ten pairs side by side: 10 i on the left, 10 i + 1 on the right."""
    for i in range(10):
        both = np.concatenate([picture(10 * i), picture(10 * i + 1)], axis=1)
        write(tmp_path / "sides" / f"{i}.png", both)
    return tmp_path / "sides"


@pytest.fixture
def heaps(tmp_path):
    """Eleven pictures A, of even values, and five B, of odd ones."""
    for name, n in (("A", 11), ("B", 5)):
        for i in range(n):
            write(tmp_path / "heaps" / name / f"{name}{i}.png", picture(10 * i + (name == "B")))
    return tmp_path / "heaps"


def reds(split):
    return split.samples(np.arange(len(split)))[..., 0, 0, 0]


# --- pairs ----------------------------------------------------------------------------------------


def test_a_pair_side_by_side_is_two_pictures_in_the_direction_that_is_asked_for(sides):
    for direction, step in (("left-to-right", 1), ("right-to-left", -1)):
        found = PAIRS.load(sides, 0, {"direction": direction})
        assert (found.shape, found.classes, found.kind) == ((8, 8, 3), [], PAIRS)
        pairs = reds(found.splits["train"]).astype(int)
        assert pairs.shape == (8, 2)
        assert (pairs[:, 1] - pairs[:, 0] == step).all()


def test_every_pair_is_in_one_part_and_another_direction_is_another_dataset(sides):
    found = PAIRS.load(sides, 0, {})
    assert {part: len(split) for part, split in found.splits.items()} == {
        "train": 8,
        "val": 1,
        "test": 1,
    }
    values = np.concatenate([reds(split)[:, 0] for split in found.splits.values()])
    assert sorted(values) == list(range(0, 100, 10))
    turned = PAIRS.load(sides, 0, {"direction": "right-to-left"})
    assert turned.fingerprint != found.fingerprint == PAIRS.load(sides, 0, {}).fingerprint


def test_halves_that_are_made_smaller_do_not_run_into_each_other(tmp_path):
    for i in range(3):
        both = np.concatenate([picture(0, 32, 32), picture(255, 32, 32)], axis=1)
        write(tmp_path / f"{i}.png", both)
    found = PAIRS.load(tmp_path, 0, {"image_size": 4}).splits["train"]
    left, right = found.samples(np.arange(1))[0, ..., 0]
    assert (left.shape, left.max(), right.min()) == ((4, 4), 0, 255)


def test_pictures_of_a_and_b_belong_together_by_their_names(tmp_path):
    for i in range(5):
        write(tmp_path / "A" / f"{i}.png", picture(10 * i))
        write(tmp_path / "B" / f"{i}.bmp", picture(10 * i + 1))
    found = PAIRS.load(tmp_path, 0, {"grayscale": True})
    assert found.shape == (8, 8, 1)
    train = PAIRS.load(tmp_path, 0, {}).splits["train"]
    assert (reds(train)[:, 1] - reds(train)[:, 0] == 1).all()
    assert train.id(0).count(".png and B/") == 1


def test_parts_that_are_folders_stay_what_they_are(sides, tmp_path):
    for part, names in (("train", "01234567"), ("test", "89")):
        (tmp_path / "cut" / part).mkdir(parents=True)
        for name in names:
            (sides / f"{name}.png").rename(tmp_path / "cut" / part / f"{name}.png")
    found = PAIRS.load(tmp_path / "cut", 0, {})
    assert sorted(reds(found.splits["test"])[:, 0]) == [80, 90]
    assert (len(found.splits["train"]), len(found.splits["val"])) == (7, 1)


def test_pairs_of_many_sizes_become_squares_of_64(sides):
    write(sides / "large.png", np.concatenate([picture(1, 80, 100), picture(2, 80, 100)], axis=1))
    assert PAIRS.load(sides, 0, {}).shape == (64, 64, 3)
    assert PAIRS.load(sides, 0, {"image_size": 32}).shape == (32, 32, 3)


def broken_pairs():
    def empty(root):
        root.mkdir()

    def only_a(root):
        write(root / "A" / "1.png", picture(1))

    def lonely(root):
        for name in ("A/1.png", "A/2.png", "A/3.png", "B/2.png"):
            write(root / name, picture(1))

    def mixed(root):
        for i in range(4):
            write(root / "A" / f"{i}.png", picture(1))
            write(root / "B" / f"{i}.png", picture(1, 8, 8 if i else 9))

    def odd(root):
        for i in range(4):
            write(root / f"{i}.png", picture(1, 8, 16 if i else 15))

    def twice(root):
        for name in ("A/1.png", "A/1.bmp", "B/1.png"):
            write(root / name, picture(1))

    def few(root):
        write(root / "1.png", picture(1, 8, 16))

    def no_image(root):
        for i in range(4):
            write(root / f"{i}.png", picture(1, 8, 16))
        (root / "0.png").write_bytes(b"no image")

    return [
        (empty, "holds no pictures"),
        (only_a, "a folder A, but none B"),
        (lonely, r"A/1\.png: has no picture of its name in B; and 1 more"),
        (mixed, r"A/0\.png and .*B/0\.png: differ in size"),
        (odd, r"0\.png: is no pair side by side"),
        (twice, r"1\.bmp and 1\.png have one name"),
        (few, "holds only 1 pair"),
        (no_image, r"0\.png: not an image"),
    ]


@pytest.mark.parametrize(("make", "said"), broken_pairs(), ids=lambda p: getattr(p, "__name__", ""))
def test_what_is_no_folder_of_pairs_is_named(tmp_path, make, said):
    make(tmp_path / "bad")
    with pytest.raises(DataError, match=said):
        PAIRS.load(tmp_path / "bad", 0, {})


def test_a_direction_or_size_that_there_is_not_is_a_usage_error(sides):
    with pytest.raises(UsageError, match="direction = 'up'"):
        PAIRS.load(sides, 0, {"direction": "up"})
    with pytest.raises(UsageError, match="image size"):
        PAIRS.load(sides, 0, {"image_size": 4096})


# --- two heaps ------------------------------------------------------------------------------------


def test_an_epoch_of_two_heaps_shows_every_picture_each_time_beside_others(heaps):
    train = DOMAINS.load(heaps, 0, {}).splits["train"]
    assert (len(train.a), len(train.b), len(train)) == (9, 3, 12)
    loader = Loader(train, lambda x: x, 4, shuffle=True)
    epochs = []
    for epoch in range(2):
        batches = list(loader.epoch(epoch))
        assert [len(batch.y) for batch in batches] == [4, 4, 1]
        pairs = np.concatenate([batch.x[:, :, 0, 0, 0] for batch in batches])
        a, b = (
            np.unique(pairs[:, 0], return_counts=True),
            np.unique(pairs[:, 1], return_counts=True),
        )
        assert (len(a[0]), set(a[1]), set(a[0] % 2)) == (9, {1}, {0})
        assert (len(b[0]), set(b[1]), set(b[0] % 2)) == (3, {3}, {1})
        epochs.append(pairs.tolist())
        named = {train.id(int(i)) for batch in batches for i in batch.indices}
        assert len(named) == 12
    assert epochs[0] != epochs[1]


def test_without_shuffling_the_order_is_that_of_the_names(heaps):
    train = DOMAINS.load(heaps, 0, {}).splits["train"]
    first, again = (next(iter(Loader(train, lambda x: x, 9).epoch(e))).x for e in (0, 1))
    np.testing.assert_array_equal(first, again)


def test_known_pairs_are_the_test_part(heaps):
    without = DOMAINS.load(heaps, 0, {})
    assert isinstance(without.splits["test"], Domains)
    for i in range(2):
        for name in "AB":
            write(heaps / "pairs" / name / f"{i}.png", picture(100 + 10 * i + (name == "B")))
    found = DOMAINS.load(heaps, 0, {})
    assert reds(found.splits["test"]).tolist() == [[100, 101], [110, 111]]
    assert [side.samples(np.arange(2))[0, 0, 0, 0] for side in found.splits["test"].sides] == [
        100,
        101,
    ]
    assert (len(found.splits["train"].a), len(found.splits["val"].a)) == (10, 1)


def test_of_pairs_side_by_side_one_half_is_a_and_the_other_b(sides):
    found = DOMAINS.load(sides, 0, {})
    train = found.splits["train"]
    a, b = (set(side.samples(np.arange(4))[:, 0, 0, 0] // 10) for side in train.sides)
    assert not a & b
    assert (found.splits["val"].paired, train.paired) == (True, False)
    np.testing.assert_array_equal(train.samples(np.array([7, 0]))[0], train.b.samples([3])[0])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: [p.unlink() for p in (root / "B").iterdir()], "B: holds no pictures"),
        (lambda root: [p.unlink() for p in (root / "A").glob("*[1-9].png")], "holds 2 pictures"),
        (lambda root: (root / "B").rename(root / "C"), "holds no folder B"),
        (lambda root: write(root / "pairs" / "A" / "1.png", picture(1)), "none B"),
    ],
)
def test_heaps_that_are_none_are_named(heaps, spoil, said):
    spoil(heaps)
    with pytest.raises(DataError, match=said):
        DOMAINS.load(heaps, 0, {})
