"""Augmentation: what each variation does, and that it depends on seed, epoch and picture alone."""

import numpy as np
import pytest
from dlcli_kernels.philox import Generator
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.data import augment
from dlcli.data.augmented import shown
from dlcli.data.balance import Balanced
from dlcli.data.dataset import ArraySplit, Dataset
from dlcli.data.image_kind import KIND
from dlcli.data.loader import Loader
from dlcli.errors import UsageError
from dlcli.train import prepare
from dlcli.train.recipe import Recipe

ALONE = [n for n in augment.names() if not augment.mixes(augment.parse(n)[0])]


def pictures(n, height=9, width=7, channels=3):
    random = np.random.default_rng(n)
    return random.integers(0, 256, (n, height, width, channels)).astype(np.uint8)


def rows_of(n, epoch=0):
    return np.stack([np.full(n, epoch), np.arange(n), np.zeros(n, np.int64)], axis=1)


def varied(spec, x, rows=None, seed=0):
    rows = rows_of(len(x)) if rows is None else rows
    return augment.vary(x.copy(), augment.parse(spec), seed, rows)


def step(name, draws, x):
    (one,) = augment.parse(name)
    return one.module.vary(x.copy(), np.atleast_2d(np.array(draws, float)), one.value)


def assert_near(found, wanted):
    """Pillow rounds down what it resamples: a level less may come of what is nearly whole."""
    np.testing.assert_allclose(found.astype(int), wanted.astype(int), atol=1)


def part(n=23, labels=None):
    return ArraySplit("train", pictures(n), np.arange(n) % 4 if labels is None else labels)


def dataset(n=23, labels=None):
    splits = {name: part(n, labels) for name in ("train", "val", "test")}
    return Dataset("p", list("abcd"), (9, 7, 3), splits, {}, "f", "p", KIND)


def loader(spec="flip,shift=2,rotate=20,mixup", size=5, split=None, **more):
    made = KIND.augmented(split or part(), spec, seed=3, dataset=dataset())
    return Loader(made, lambda x: x.astype(np.float32), size, seed=3, shuffle=True, **more)


def epoch(made, number=0, start=0):
    """Of each position its picture and its label's shares, in the order of the epoch."""
    batches = list(made.epoch(number, start))
    shares = [b.shares if b.shares is not None else np.eye(4)[b.y] for b in batches]
    return (
        np.concatenate([b.indices for b in batches]),
        np.concatenate([b.x for b in batches]),
        np.concatenate(shares),
    )


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("flp", "did you mean 'flip'?"),
        ("flip,,shift", "write it as in"),
        ("", "write it as in"),
        ("flip,flip", ""),
        ("shift=1.5", "a whole number"),
        ("shift=0", "at least 1"),
        ("shift=x", "pixels at most"),
        ("flip=1.1", "at most 1"),
        ("rotate=nan", "degrees"),
        ("mixup=0", "above 0"),
        ("colour=", "how much"),
    ],
)
def test_a_mistake_in_what_is_asked_for_is_said_with_what_is_possible(spec, why):
    with pytest.raises(UsageError) as caught:
        augment.parse(spec)
    assert why in caught.value.why


def test_what_is_asked_for_is_done_in_its_order_with_defaults_for_what_has_no_value():
    steps = augment.parse(" shift = 3, flip,rotate=7.5")
    assert [(s.name, s.value) for s in steps] == [("shift", 3), ("flip", 0.5), ("rotate", 7.5)]
    assert augment.parse("none") == ()


def test_what_reaches_further_than_a_picture_is_refused():
    augment.check(augment.parse("shift=6"), (9, 7, 3))
    with pytest.raises(UsageError, match="shift=7 is too much"):
        augment.check(augment.parse("shift=7"), (9, 7, 3))


def test_a_recipe_checks_it_and_keeps_it():
    assert Recipe(augment="flip").to_dict()["augment"] == "flip"
    with pytest.raises(UsageError, match="no 'flop'"):
        Recipe(augment="flop")
    with pytest.raises(UsageError, match="not possible"):
        Recipe(augment=1)


# --- random numbers -------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**63 - 1),
    rows=st.lists(st.tuples(*[st.integers(0, 2**32 - 1)] * 3), min_size=1, max_size=4),
    n=st.integers(1, 9),
)
def test_the_draws_of_a_row_are_those_of_the_generator(seed, rows, n):
    found = augment.draws(seed, "flip", np.array(rows, np.int64), n)
    for row, line in zip(rows, found, strict=True):
        assert line.tolist() == Generator(seed, "augment/flip", *row).uniform(n).tolist()


@pytest.mark.parametrize("name", ALONE)
@given(st.data())
@settings(max_examples=10, deadline=None)
def test_a_picture_is_varied_by_its_own_row_whatever_batch_it_is_in(name, data):
    height, width = (data.draw(st.integers(2, 12)) for _ in range(2))
    value = {"shift": 1, "crop": 1, "cutout": 1}.get(name, augment.parse(name)[0].value)
    x = pictures(6, height, width, data.draw(st.sampled_from([1, 2, 3, 4])))
    whole = varied(f"{name}={value}", x)
    assert whole.shape == x.shape
    assert whole.dtype == np.uint8
    some = np.array(data.draw(st.permutations(range(6))))[:4]
    np.testing.assert_array_equal(varied(f"{name}={value}", x[some], rows_of(6)[some]), whole[some])


@pytest.mark.parametrize("name", ALONE)
def test_another_seed_or_epoch_varies_otherwise(name):
    x = pictures(20)
    small = {"cutout": "cutout=3"}.get(name, name)
    first = varied(small, x)
    assert (first != x).any()
    assert (varied(small, x, seed=1) != first).any()
    assert (varied(small, x, rows_of(20, epoch=1)) != first).any()


# --- what each does -------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["flip=0", "rotate=0", "colour=0"])
def test_by_nothing_nothing_changes(spec):
    x = pictures(8)
    np.testing.assert_array_equal(varied(spec, x), x)


def test_flip_turns_left_to_right():
    x = pictures(2)
    found = step("flip=0.5", [[0.49], [0.5]], x)
    np.testing.assert_array_equal(found[0], x[0, :, ::-1])
    np.testing.assert_array_equal(found[1], x[1])


def test_shift_moves_by_whole_pixels_and_mirrors_at_the_edge():
    x = pictures(1)
    (down,) = step("shift=2", [0, 0.5], x)
    np.testing.assert_array_equal(down[2:], x[0, :-2])
    np.testing.assert_array_equal(down[:2], x[0, [2, 1]])
    (left,) = step("shift=2", [0.5, 0.999], x)
    np.testing.assert_array_equal(left[:, :-2], x[0, :, 2:])
    np.testing.assert_array_equal(left[:, -2:], x[0, :, [-2, -3]].swapaxes(0, 1))


def test_all_places_of_a_shift_occur():
    x = np.arange(81, dtype=np.uint8).reshape(1, 9, 9, 1).repeat(400, axis=0)
    middles = set(varied("shift=1", x)[:, 4, 4, 0].tolist())
    assert middles == {40 + 9 * y + z for y in (-1, 0, 1) for z in (-1, 0, 1)}


@pytest.mark.parametrize("channels", [1, 3])
def test_rotate_by_half_a_turn_is_a_flip_of_both_axes(channels):
    x = pictures(1, 6, 8, channels)
    assert_near(step("rotate=180", [1.0], x)[0], x[0, ::-1, ::-1])


def test_rotate_turns_about_the_centre_either_way():
    x = pictures(1, 8, 8, 1)
    assert_near(step("rotate=90", [1.0], x)[0], np.rot90(x[0], -1))
    assert_near(step("rotate=90", [0.0], x)[0], np.rot90(x[0], 1))


def test_crop_enlarges_a_window():
    x = np.zeros((1, 8, 8, 1), np.uint8)
    x[0, 2:6, 2:6] = 200
    nearer = step("crop=4", [1, 1, 0.5, 0.5], x)[0]
    assert nearer.min() > 100
    np.testing.assert_array_equal(step("crop=4", [0, 0, 0.5, 0.5], x), x)


def test_cutout_covers_a_square_by_the_mean_colour():
    x = pictures(1, 9, 7, 3)
    found = step("cutout=4", [0.5, 0.5], x)[0]
    changed = (found != x[0]).any(axis=-1)
    assert changed[2:6, 1:5].sum() == changed.sum() == 16
    mean = np.rint(x[0].reshape(-1, 3).mean(axis=0))
    np.testing.assert_array_equal(found[2, 1], mean)


def test_colour_changes_brightness_contrast_and_saturation_by_as_much():
    x = pictures(1, 5, 5, 3) // 2
    brighter = step("colour=0.5", [1, 0.5, 0.5], x)[0]
    np.testing.assert_array_equal(brighter, np.floor(x[0] * 1.5 + 0.5))
    grey = step("colour=1", [0.5, 0.5, 0], x)[0]
    assert (np.ptp(grey.astype(int), axis=-1) <= 1).all()
    flat = step("colour=1", [0.5, 0, 0.5], x)[0]
    assert np.ptp(flat.astype(int) @ [299, 587, 114]) < 2000


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 4.0, 10.0])
def test_mixup_draws_its_shares_from_the_beta_distribution(alpha):
    beta = pytest.importorskip("scipy.stats").beta(alpha, alpha)
    draws = (np.arange(1000)[:, None] + 0.5) / 1000
    x = np.zeros((1000, 1, 1, 1), np.uint8)
    _, share = augment.parse(f"mixup={alpha}")[0].module.mix(x, x, draws, alpha)
    assert (share >= 0.5).all()
    np.testing.assert_allclose(1 - share, beta.ppf(draws[:, 0] / 2), atol=1e-4)


def test_mixup_blends_two_pictures_by_that_share():
    x, other = pictures(6), pictures(7)[:6]
    draws = np.linspace(0.1, 1, 6)[:, None]
    found, share = augment.parse("mixup=1")[0].module.mix(x, other, draws, 1.0)
    assert share[-1] == 0.5
    s = share[:, None, None, None]
    np.testing.assert_allclose(found, s * x + (1 - s) * other, atol=0.51)


# --- as training reads them -----------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("size", [1, 5, 23])
def test_neither_threads_nor_the_size_of_batches_change_anything(workers, size):
    wanted = epoch(loader(), 2)
    found = epoch(loader(size=size, workers=workers), 2)
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_epoch_is_taken_up_in_its_middle_bit_for_bit_and_the_next_one_differs():
    whole, rest = epoch(loader(), 1), epoch(loader(), 1, start=2)
    for a, b in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(a[10:], b)
    assert sorted(whole[0]) == list(range(23))
    other = epoch(loader(), 2)
    assert (whole[1][np.argsort(whole[0])] != other[1][np.argsort(other[0])]).any()


def test_labels_are_mixed_as_pictures_are_and_stay_their_own_besides():
    made = loader("mixup=1")
    positions, x, shares = epoch(made)
    labels = np.concatenate([batch.y for batch in made.epoch(0)])
    assert (labels == positions % 4).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert (shares[np.arange(23), labels] >= 0.5).all()
    assert (shares.max(axis=1) < 1).any()
    two = shares.max(axis=1) < 1
    most = 255 * (1 - shares[two].max(axis=1)) + 0.51
    far = np.abs(x - part().samples(positions))[two].max(axis=(1, 2, 3))
    assert (far <= most).all()
    assert (far > most / 4).all()


def test_without_mixing_labels_are_whole():
    assert all(batch.shares is None for batch in loader("flip").epoch(0))


def test_a_rare_sample_that_an_epoch_repeats_is_another_one_each_time():
    labels = np.array([0] * 20 + [1] * 3)
    split = Balanced(part(23, labels), "over", 3)
    positions, x, _ = epoch(loader("shift=3,rotate=90", split=split))
    assert len(positions) == 40
    seen = {row.tobytes() for row in x[positions == 21]}
    assert len(seen) == np.count_nonzero(positions == 21) > 5


def test_validation_and_test_are_never_varied():
    data = dataset()
    train, val = prepare.loaders(
        None, data, lambda x: x.astype(np.float32), Recipe(augment="shift=3,mixup", batch_size=7), 1
    )
    for split, batches in ((data.splits["val"], val.epoch(0)), (data.splits["test"], None)):
        if batches is not None:
            x = np.concatenate([batch.x for batch in batches])
            np.testing.assert_array_equal(x, split.samples(np.arange(23)))
        assert type(split) is ArraySplit
    drawn = next(iter(train.epoch(0)))
    assert (drawn.x != data.splits["train"].samples(drawn.indices)).any()


def test_what_is_shown_is_what_training_reads():
    spec, seed = "shift=2,flip,mixup=1", 3
    found = shown(dataset(), "train", spec, [4, 17], seed, 2)
    assert [one["id"].rpartition(" ")[2] for one in found] == ["1", "2"] * 2
    for number in (0, 1):
        positions, x, shares = epoch(loader(spec), number)
        at = positions.tolist().index(17)
        one = found[2 + number]
        np.testing.assert_array_equal(one["sample"], x[at])
        mixed = shares[at].max() < 0.995
        assert one["label"].startswith(f"{shares[at].max():.0%} b" if mixed else "b")
