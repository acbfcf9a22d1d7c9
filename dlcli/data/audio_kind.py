"""Sounds as samples: mono waveforms at one rate, read from WAV files of any rate, width and number
of channels, from folders with all that is below them, or from standard input.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcli.data.kind import ON_BAD_SAMPLE, Input, Setting, Shape
from dlcli.errors import CheckpointError, DataError, UsageError

if TYPE_CHECKING:
    from dlcli.data.audio import Waves
    from dlcli.data.dataset import Dataset, Split


class Sounds:
    """The kind of every dataset of sounds.

    A shape is (samples of a sound at most, samples per second).
    """

    name = "audio"
    many = "sounds"
    argument = "WAV"
    default: str | None = None
    shown = "fsdd"
    task = "classify"

    def __init__(self) -> None:
        self.options = {
            "sample_rate": Setting(int, "Samples per second; for a folder of sounds."),
            "max_seconds": Setting(float, "Seconds of a sound at most; for sounds."),
            **ON_BAD_SAMPLE,
        }

    def shape(self, name: str, base: Shape, train: Split, options: Mapping[str, Any]) -> Shape:
        """`base`, with the bound of the option. UsageError: another rate, which only files take."""
        samples, rate = base
        if options.get("sample_rate", rate) != rate:
            why = f"{name} has always {rate:,} samples per second"
            raise UsageError("a sample rate can only be chosen for a folder", why=why)
        return bound(options.get("max_seconds"), rate, samples), rate

    def load(self, path: Path, seed: int, options: Mapping[str, Any]) -> Dataset:
        """A folder of WAV files with a folder per class."""
        if not os.path.isdir(path):
            why = "for a model of sounds it is a name or a folder with a folder per class"
            raise DataError(f"{path}: is not a folder", why=why)
        from dlcli.data import audio_folder

        return audio_folder.load(path, seed=seed, **options)

    def fit(self, dataset: Dataset) -> Waves:
        """The bound and rate of the dataset; nothing is learned from it."""
        from dlcli.data.audio import Waves

        samples, rate = dataset.shape
        return Waves(samples, rate)

    def from_json(self, stored: object, shape: Shape) -> Waves:
        """What `Waves.to_json` gave. CheckpointError: it is something else."""
        from dlcli.data.audio import Waves

        found = Waves.from_json(stored)
        if (found.most, found.rate) != tuple(shape):
            theirs = self.describe((found.most, found.rate))
            why = f"it is for {theirs}, the model for {self.describe(shape)}"
            raise CheckpointError("the stored description of sounds is not the model's", why=why)
        return found

    def describe(self, shape: Shape) -> str:
        """The bound and the rate in words."""
        samples, rate = shape
        return f"up to {samples / rate:.3g} s, {rate:,} samples per second"

    def check(self, dataset: Dataset, shape: Shape) -> None:
        """DataError: samples of another kind, or another rate."""
        if dataset.kind is not self:
            what = f"{dataset.name}: its samples are {dataset.kind.many}"
            raise DataError(what, why="the model takes sounds")
        if dataset.shape[1] != shape[1]:
            what = f"{dataset.name}: {dataset.shape[1]:,} samples per second"
            raise DataError(what, why=f"the model takes {shape[1]:,}")

    def like(self, shape: Shape) -> dict[str, Any]:
        """The rate that the model takes, and its bound."""
        return {"sample_rate": shape[1], "max_seconds": shape[0] / shape[1]}

    def inputs(self, names: Iterable[str], shape: Shape) -> Iterator[list[Input]]:
        """Sounds of files, "-", and what is below folders; see `file_inputs`."""
        from dlcli.data import file_inputs, wav
        from dlcli.data.audio import SUFFIXES

        samples, rate = shape

        def read(name: str, data: bytes | None) -> Any:
            if data is None:
                return wav.read(Path(name), rate, samples)
            return wav.decode(data, name, rate, samples)

        yield from file_inputs.inputs(names, read, SUFFIXES, self.many)

    def stack(self, samples: list[Any]) -> Any:
        """A list of waveforms, as they are."""
        return samples

    def parts(self, sample: Any, encoder: Any) -> list[str]:
        """Nothing that words could name."""
        return []


def bound(seconds: float | None, rate: int, default: int) -> int:
    """Samples of a sound at most, `default` unless an option says. UsageError: out of its range."""
    from dlcli.data.audio import MOST_SECONDS

    if seconds is None:
        return default
    if not 0 < seconds <= MOST_SECONDS or round(seconds * rate) < 1:  # NaN is refused too
        why = f"it must be above 0 and at most {MOST_SECONDS}"
        raise UsageError(f"data.max_seconds = {seconds} is not possible", why=why)
    return round(seconds * rate)


KIND = Sounds()
