"""A folder of WAV files with a folder per class, `FOLDER/<class>/<sound>`, or below FOLDER/train,
FOLDER/val and FOLDER/test; see class_folder.py. What is read of a file: see wav.py.
"""

from __future__ import annotations

from pathlib import Path

from dlcli.data import class_folder, wav
from dlcli.data.audio import LEAST_RATE, MOST_RATE, SUFFIXES, WaveStore
from dlcli.data.audio_kind import KIND, bound
from dlcli.data.bad_samples import Bad, check_policy, sift
from dlcli.data.dataset import Dataset, Part, Subset, fingerprint
from dlcli.errors import UsageError

RATE = 8_000  # of telephones: what tells words and most noises apart is below 4 kHz
MOST_DEFAULT = 4  # seconds of a sound, where the user does not say
RECIPE: dict[str, object] = {"epochs": 30, "batch_size": 32, "lr": 2e-3}
SOUNDS = class_folder.Sought("sound", "sounds", SUFFIXES)


def load(
    root: Path,
    *,
    seed: int = 0,
    sample_rate: int = RATE,
    max_seconds: float | None = None,
    on_bad_sample: str = "error",
) -> Dataset:
    """The folder as a dataset; files are decoded when they are asked for.

    seed: of the parts that must be cut. sample_rate: of what they become. max_seconds: what is kept
    of a sound, from its middle; by default the longest's, at most MOST_DEFAULT. on_bad_sample: what
    becomes of files that cannot be read, see `bad_samples`.

    DataError: the layout is another, fewer than two classes, a class with too few sounds, a file
    that cannot be read. UsageError: an option is out of its range.
    """
    if not LEAST_RATE <= sample_rate <= MOST_RATE:
        why = f"it must be {LEAST_RATE:,} … {MOST_RATE:,}"
        raise UsageError(f"data.sample_rate = {sample_rate} is not possible", why=why)
    most = bound(max_seconds, sample_rate, MOST_DEFAULT * sample_rate)
    check_policy(on_bad_sample)
    found = class_folder.find(root, SOUNDS, seed=seed)
    left_out: list[Bad] = []
    if on_bad_sample != "error":
        found, left_out = sift(root, found, lambda path: wav.read(path, sample_rate, most))
    store = WaveStore(root, found.paths, found.labels, sample_rate, most)
    if max_seconds is None:
        most = min(store.longest, most)
    shape = (most, sample_rate)
    parts = ("train", "val", "test")
    splits: dict[str, Part] = {part: Subset(store, found.rows[part]) for part in parts}
    return Dataset(
        name=root.absolute().name or "sounds",
        classes=found.classes,
        shape=shape,
        splits=dict(splits),
        recipe=dict(RECIPE),
        fingerprint=fingerprint(found.classes, shape, splits),
        source=str(root),
        left_out=tuple(left_out),
        kind=KIND,
    )
