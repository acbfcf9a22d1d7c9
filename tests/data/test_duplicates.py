"""What is the same and what looks the same is found; what is only similar is not."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from dlcli.data import duplicates
from dlcli.data.image_facts import THUMB, examine


def picture(seed, size=(120, 90)):
    """Soft blobs of colour: a photograph as far as a thumbnail can tell."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def recompressed(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


CHANGES = {
    "recompressed": recompressed,
    "half the size": lambda image: image.resize((60, 45), Image.Resampling.LANCZOS),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "grey": lambda image: image.convert("L"),
}


def thumbs(folder, images):
    found = []
    for i, image in enumerate(images):
        path = folder / f"{i}.png"
        image.save(path)
        found.append(examine(path).thumb)
    return np.stack(found)


@given(st.lists(st.binary(max_size=2), max_size=12))
def test_exact_groups_are_all_positions_of_what_occurs_twice(contents):
    groups = duplicates.exact(contents)
    expected = {c: [i for i, x in enumerate(contents) if x == c] for c in contents}
    assert sorted(groups) == sorted(g for g in expected.values() if len(g) > 1)


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_changed_copy_is_found_among_others(tmp_path, change):
    images = [picture(seed) for seed in range(12)]
    images.append(CHANGES[change](images[5]))
    assert duplicates.near(thumbs(tmp_path, images)) == ([[5, 12]], True)


def test_another_picture_its_mirror_and_plain_surfaces_are_no_copies(tmp_path):
    images = [picture(seed) for seed in range(12)]
    images.append(images[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    images += [Image.new("RGB", (50, 50), (level,) * 3) for level in (0, 1, 255)]
    assert duplicates.near(thumbs(tmp_path, images)) == ([], True)


def blocks(levels):
    """(8, 8) levels as a thumbnail."""
    return np.asarray(levels, np.uint8).repeat(2, axis=0).repeat(2, axis=1)


def test_the_same_pattern_in_another_contrast_is_no_copy():
    pattern = np.random.default_rng(0).integers(0, 2, (8, 8))
    faint, strong = blocks(100 * pattern), blocks(200 * pattern)
    assert duplicates.near(np.stack([faint, strong])) == ([], True)
    assert duplicates.near(np.stack([faint, faint + 20])) == ([[0, 1]], True)


def test_faint_patterns_that_differ_are_no_copies_though_their_levels_are_close():
    random = np.random.default_rng(0)
    first, other = (100 + 8 * random.integers(0, 2, (8, 8)) for _ in range(2))
    other[:4] = first[:4]  # so that they share a stretch of the hash and are compared
    assert (blocks(first).astype(float) - blocks(other)).std() <= duplicates.LEVELS
    assert duplicates.near(np.stack([blocks(first), blocks(other)])) == ([], True)


def test_a_chain_is_one_group_and_the_bound_is_told(tmp_path):
    same = thumbs(tmp_path, [picture(1)] * 4 + [picture(2)])
    assert duplicates.near(same) == ([[0, 1, 2, 3]], True)
    groups, complete = duplicates.near(same, most=2)
    assert not complete
    assert all(set(group) <= {0, 1, 2, 3} for group in groups)


def test_few_or_no_images_have_no_copies():
    for n in (0, 1):
        assert duplicates.near(np.zeros((n, THUMB, THUMB), np.uint8)) == ([], True)
    with pytest.raises(ValueError, match="thumbnails"):
        duplicates.near(np.zeros((2, 4, 4), np.uint8))


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15),
        )
    )
)
def test_joined_pairs_share_a_group_and_groups_are_disjoint(given_):
    n, pairs = given_
    groups = duplicates.joined(n, pairs)
    members = [i for group in groups for i in group]
    assert len(members) == len(set(members))
    home = {i: k for k, group in enumerate(groups) for i in group}
    assert all(home[a] == home[b] for a, b in pairs)
