"""Sounds as samples: batches, folders of one's own, the published spoken digits."""

import math
import shutil

import numpy as np
import pytest

from dlcli.data import audio, catalog
from dlcli.data.audio import Waves, WaveStore
from dlcli.data.audio_kind import KIND
from dlcli.data.loader import Loader
from dlcli.errors import CheckpointError, DataError, UsageError
from tests.data.wav_files import FLOAT, tone, wav_bytes, write_tones

RANDOM = np.random.default_rng(0)


@pytest.fixture
def sounds(tmp_path):
    return write_tones(tmp_path / "sounds", ("high", "low"), 8)


def load(path, **options):
    return catalog.load(str(path), kind=KIND, **options)


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_is_padded_to_few_extents_and_says_where_there_is_sound():
    waves = [RANDOM.normal(size=n).astype(np.float32) for n in (700, 1025, 3)]
    x, present = Waves(8000, 8000)(waves)
    assert (x.shape, present.shape) == ((3, 2048, 1), (3, 2048, 1))
    assert (x.dtype, present.dtype) == (np.float32, np.float32)
    assert present[:, :, 0].sum(1).tolist() == [700, 1025, 3]
    for row, wave in zip(x[:, :, 0], waves, strict=True):
        assert not row[len(wave) :].any()
        sound = row[: len(wave)].astype(float)
        assert [sound.mean(), np.mean(sound**2)] == pytest.approx([0, 1], abs=1e-5)


def test_neither_how_loud_a_sound_is_nor_an_offset_changes_it():
    wave = RANDOM.normal(size=500)
    first, second = Waves(8000, 8000)([wave, 0.01 * wave + 0.3])[0]
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_silence_and_a_single_sample_stay_finite():
    x, present = Waves(8000, 8000)([np.zeros(10, np.float32), np.full(1, 0.7, np.float32)])
    assert not x.any()
    assert present.sum() == 11


def test_of_a_longer_sound_the_middle_is_taken():
    wave = np.arange(10.0)
    np.testing.assert_array_equal(audio.middle(wave, 4), [3, 4, 5, 6])
    assert Waves(4, 8000)([wave])[1].sum() == 4


def test_the_description_of_sounds_is_restored_or_refused():
    waves = Waves(4000, 8000)
    assert KIND.from_json(waves.to_json(), (4000, 8000)) == waves
    bad = [None, {}, {"samples": 4000}, {"samples": "4000", "rate": 8000}]
    bad += [{"samples": 0, "rate": 8000}, {"samples": 4000, "rate": 7}]
    bad += [{"samples": 4000, "rate": 16000}, {"samples": 4001, "rate": 8000}]
    for stored in bad:
        with pytest.raises(CheckpointError, match="description of sounds"):
            KIND.from_json(stored, (4000, 8000))


# --- a folder of one's own ----------------------------------------------------------------------


def test_a_folder_of_sounds_is_cut_in_three_by_class(sounds):
    dataset = load(sounds)
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 12,
        "val": 2,
        "test": 2,
    }
    assert (dataset.name, dataset.classes, dataset.kind) == ("sounds", ["high", "low"], KIND)
    assert dataset.shape == (960, 8000)  # the longest is 0.12 s
    assert KIND.describe(dataset.shape) == "up to 0.12 s, 8,000 samples per second"


def test_files_of_any_rate_and_width_become_sounds_of_one_rate(sounds):
    wave = tone(440, 0.2, 44100)
    stereo = wav_bytes(np.stack([wave, wave], 1), 44100, code=FLOAT, bits=32)
    (sounds / "low" / "0.wav").write_bytes(stereo)
    store = WaveStore(sounds, ["low/0.wav", "low/1.wav"], np.zeros(2, int), 8000, None)
    first, second = store.samples(np.arange(2))
    assert store.lengths.tolist() == [1600, 880] == [len(first), len(second)]
    np.testing.assert_allclose(first[100:-100], tone(440, 0.2)[100:-100], atol=1e-3)


def test_the_rate_and_the_bound_are_options(sounds):
    dataset = load(sounds, sample_rate=4000, max_seconds=0.05)
    assert dataset.shape == (200, 4000)
    assert {len(w) for w in dataset.splits["train"].samples(np.arange(12))} == {200}
    assert KIND.like(dataset.shape) == {"sample_rate": 4000, "max_seconds": 0.05}


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 1},
        {"sample_rate": 10**6},
        *({"max_seconds": s} for s in (1e9, 1e-9, math.nan, math.inf)),
    ],
)
def test_an_option_that_is_out_of_range_is_a_usage_error(sounds, options):
    with pytest.raises(UsageError, match=f"data.{next(iter(options))}"):
        load(sounds, **options)


def test_the_same_files_elsewhere_are_the_same_data_and_others_are_not(sounds, tmp_path):
    before = load(sounds).fingerprint
    assert load(shutil.move(sounds, tmp_path / "moved")).fingerprint == before
    assert load(tmp_path / "moved", sample_rate=4000).fingerprint != before
    (tmp_path / "moved" / "low" / "7.wav").unlink()
    assert load(tmp_path / "moved").fingerprint != before


def test_each_sound_is_read_once_if_all_fit_in_memory_and_each_time_otherwise(sounds, monkeypatch):
    read, asked = audio.wav.read, []
    monkeypatch.setattr(audio.wav, "read", lambda *a: asked.append(a[0]) or read(*a))
    for fits, times in ((True, 12), (False, 24)):
        monkeypatch.setattr(audio, "CACHE_BYTES", 1 << 30 if fits else 0)
        train = load(sounds).splits["train"]
        asked.clear()
        first, again = (train.samples(np.arange(12)) for _ in range(2))
        assert len(asked) == times
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_loader_groups_sounds_of_similar_length(sounds):
    dataset = load(sounds)
    batches = list(Loader(dataset.splits["train"], KIND.fit(dataset), 4, shuffle=True).epoch(0))
    assert sorted(np.concatenate([b.indices for b in batches])) == list(range(12))
    spread = [np.ptp(b.inputs[1].sum((1, 2))) for b in batches]
    assert sum(spread) < 3 * 160  # at random it would be the whole range in most


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: shutil.rmtree(root / "low"), "one class only, 'high'"),
        (lambda root: (root / "low" / "3.wav").write_bytes(b""), r"low/3\.wav: the file is empty"),
        (lambda root: (root / "low" / "3.wav").write_bytes(b"RI"), r"low/3\.wav: is no WAV"),
        (lambda root: (root / "low" / "more").mkdir(), r"low/more: a folder inside a class"),
        (lambda root: [p.unlink() for p in (root / "low").iterdir()], "'low' has no sounds"),
        (lambda root: [p.unlink() for p in sorted(root.rglob("*.wav"))[9:]], "'low' has 1 sound$"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_with_the_path(sounds, spoil, message):
    spoil(sounds)
    with pytest.raises(DataError, match=message):
        load(sounds)


def test_a_file_that_is_no_folder_and_data_of_another_rate_are_refused(sounds):
    with pytest.raises(DataError, match="is not a folder"):
        load(sounds / "low" / "1.wav")
    with pytest.raises(DataError, match="4,000 samples per second"):
        KIND.check(load(sounds, sample_rate=4000), (960, 8000))
    with pytest.raises(DataError, match="its samples are images"):
        KIND.check(catalog.load("digits"), (960, 8000))


# --- FSDD ---------------------------------------------------------------------------------------


@pytest.fixture
def recordings(tmp_path):
    """A dataset folder with six recordings of each digit, and files that are none."""
    root = tmp_path / "data" / "fsdd" / "recordings"
    root.mkdir(parents=True)
    for digit in range(10):
        for index in (0, 4, 5, 12, 49, 50):
            path = root / f"{digit}_anna_{index}.wav"
            path.write_bytes(wav_bytes(tone(200 + 50 * digit, 0.05)))
    (root / "README.md").write_text("x")
    (root / "10_anna_1.wav").write_text("x")
    return tmp_path / "data"


def test_spoken_digits_are_split_by_their_index(recordings):
    dataset = catalog.load("fsdd", data_dir=recordings)
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 30,
        "val": 10,
        "test": 20,
    }
    test = dataset.splits["test"]
    assert [test.id(i).rpartition("_")[2] for i in range(4)] == ["0.wav", "4.wav"] * 2
    assert test.labels.tolist() == sorted([*range(10)] * 2)
    assert dataset.classes[3] == "three"


def test_a_part_without_recordings_is_a_data_error(recordings):
    for path in (recordings / "fsdd" / "recordings").glob("*_[04].wav"):
        path.unlink()
    with pytest.raises(DataError, match="no recordings of the test part"):
        catalog.load("fsdd", data_dir=recordings)


def test_a_named_dataset_keeps_its_rate_and_takes_another_bound(recordings):
    assert catalog.load("fsdd", data_dir=recordings, max_seconds=0.5).shape == (4000, 8000)
    with pytest.raises(UsageError, match="sample rate"):
        catalog.load("fsdd", data_dir=recordings, sample_rate=16000)


@pytest.mark.real_data
def test_the_published_spoken_digits_are_read_whole(real_data):
    if catalog.describe("fsdd", data_dir=real_data).folder is None:
        pytest.skip("DLCLI_DATA has no fsdd")
    dataset = catalog.load("fsdd", data_dir=real_data)
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 2_430,
        "val": 270,
        "test": 300,
    }
    assert np.bincount(dataset.splits["test"].labels).tolist() == [30] * 10
    waves = dataset.splits["test"].samples(np.arange(300))
    assert [len(w) for w in waves] == dataset.splits["test"].lengths.tolist()
    assert all(np.abs(w).max() > 0.01 for w in waves)
