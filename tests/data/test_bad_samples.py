"""Files that cannot be read: they stop a dataset, or are left out, named and few."""

import pytest

from dlcli.data import audio_folder, bad_samples, folder
from dlcli.errors import DataError, UsageError
from tests.data.wav_files import write_tones


@pytest.fixture
def pets(tmp_path, image_folder):
    """60 images of two classes, of which three of cats cannot be read."""
    root = image_folder(tmp_path / "pets", {"cat": 40, "dog": 20})
    for number, content in ((7, b""), (8, b"no image"), (9, None)):
        path = root / "cat" / f"{number:03}.png"
        path.write_bytes(path.read_bytes()[:60] if content is None else content)
    return root


def files_of(dataset, part):
    split = dataset.splits[part]
    return {split.id(i) for i in range(len(split))}


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
def test_what_cannot_be_read_is_left_out_and_named(pets, policy):
    dataset = folder.load(pets, on_bad_sample=policy)
    assert [bad.path for bad in dataset.left_out] == [
        str(pets / "cat" / f"{number:03}.png") for number in (7, 8, 9)
    ]
    assert [bad.label for bad in dataset.left_out] == ["cat"] * 3
    reasons = [bad.why for bad in dataset.left_out]
    assert "empty" in reasons[0]
    assert "not an image" in reasons[1]
    assert "truncated" in reasons[2]
    assert sum(len(split) for split in dataset.splits.values()) == 57
    for split in dataset.splits.values():
        assert split.samples(range(len(split))).shape == (len(split), 6, 5, 3)


def test_every_other_file_stays_in_its_part_with_its_label(pets, image_folder, tmp_path):
    whole = folder.load(image_folder(tmp_path / "whole" / "pets", {"cat": 40, "dog": 20}))
    kept = folder.load(pets, on_bad_sample="skip")
    gone = {f"cat/{number:03}.png" for number in (7, 8, 9)}
    for part in ("train", "val", "test"):
        before = {"/".join(name.split("/")[-2:]) for name in files_of(whole, part)}
        after = {"/".join(name.split("/")[-2:]) for name in files_of(kept, part)}
        assert after == before - gone
        split = kept.splits[part]
        for i, label in enumerate(split.labels):
            assert split.id(i).split("/")[-2] == kept.classes[label]


def test_a_folder_without_bad_files_is_the_same_under_every_policy(tmp_path, image_folder):
    root = image_folder(tmp_path / "good", {"a": 5, "b": 5})
    found = [folder.load(root, on_bad_sample=policy) for policy in bad_samples.POLICIES]
    assert len({dataset.fingerprint for dataset in found}) == 1
    assert all(dataset.left_out == () for dataset in found)


def test_by_default_the_first_bad_file_stops(pets):
    with pytest.raises(DataError, match=r"cat.00[78]\.png"):
        folder.load(pets)


def test_too_many_are_not_left_out(pets):
    for number in range(10, 13):
        (pets / "cat" / f"{number:03}.png").write_bytes(b"")
    with pytest.raises(DataError, match="6 of 60 files cannot be read, too many") as caught:
        folder.load(pets, on_bad_sample="skip")
    assert "007.png" in caught.value.why
    assert caught.value.hint == f"dlcli data check {pets}"


def test_a_class_of_which_nothing_is_left_is_refused(tmp_path, image_folder):
    root = image_folder(tmp_path / "x", {"a": 20, "b": 3})
    for path in (root / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="class 'b' has nothing to learn from"):
        folder.load(root, on_bad_sample="skip")


def test_another_policy_is_a_usage_error_with_a_suggestion(pets):
    with pytest.raises(UsageError, match="on_bad_sample = 'skp'") as caught:
        folder.load(pets, on_bad_sample="skp")
    assert "skip" in caught.value.why


def test_sounds_are_left_out_too(tmp_path):
    root = write_tones(tmp_path / "tones", ("high", "low"), 8)
    victim = sorted((root / "high").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:30])
    with pytest.raises(DataError, match=victim.name):
        audio_folder.load(root)
    dataset = audio_folder.load(root, on_bad_sample="skip")
    assert [bad.path for bad in dataset.left_out] == [str(victim)]
    assert sum(len(split) for split in dataset.splits.values()) == 15
