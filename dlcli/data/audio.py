"""Sounds as samples: a part of a dataset that holds WAV files, and how they become a batch.

A sample is a mono waveform (n,) float32 of the dataset's rate. A batch has as many samples as its
longest sound, rounded up, and says where there is sound and where padding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.data import wav
from dlcli.errors import CheckpointError

CACHE_BYTES = 1 << 30
SUFFIXES = frozenset({".wav", ".wave"})
LEAST_RATE, MOST_RATE = 1_000, 48_000  # samples per second of what a model takes
MOST_SECONDS = 60
STEPS = 1024  # samples: the extents of batches are multiples of it, so that there are few
SILENT = 1e-5  # of full scale: what is quieter, 16 bits do not hold


class WaveStore:
    """Labelled WAV files as a split, each decoded when it is asked for and kept if all fit.

    root: the folder. paths: n names below it, with "/". labels: (n,) integers. rate: samples per
    second that every sound becomes. most: samples of a sound, from its middle; None keeps all.
    DataError: a header that cannot be read; all are looked at.
    """

    def __init__(
        self, root: Path, paths: Sequence[str], labels: np.ndarray, rate: int, most: int | None
    ) -> None:
        self.root, self.paths, self.rate = root, list(paths), rate
        self.labels = labels.astype(np.int64)
        self.labels.flags.writeable = False
        whole = [wav.probe(root / path).length(rate) for path in self.paths]
        self.longest = max(whole, default=0)  # before anything is cut off
        self.most = min(self.longest if most is None else most, MOST_SECONDS * rate)
        self.lengths = np.minimum(np.array(whole, np.int64), self.most)
        fits = 4 * int(self.lengths.sum()) <= CACHE_BYTES
        self._kept: list[np.ndarray | None] | None = [None] * len(self.paths) if fits else None

    def __len__(self) -> int:
        return len(self.paths)

    def id(self, index: int) -> str:
        """The path of the file."""
        return str(self.root / self.paths[index])

    def samples(self, indices: np.ndarray) -> list[np.ndarray]:
        """The waveforms at `indices`. DataError: a file is damaged or gone."""
        return [self._wave(int(i)) for i in indices]

    def _wave(self, index: int) -> np.ndarray:
        if self._kept is None:
            return wav.read(self.root / self.paths[index], self.rate, self.most)
        found = self._kept[index]
        if found is None:
            found = wav.read(self.root / self.paths[index], self.rate, self.most)
            found.flags.writeable = False
            self._kept[index] = found
        return found

    def digest(self) -> bytes:
        """SHA-256 of the files' names below the root, lengths and labels; not of the samples."""
        h = hashlib.sha256(f"{self.rate} {self.most}".encode())
        for path, length, label in zip(self.paths, self.lengths, self.labels, strict=True):
            h.update(f"\n{label} {length} {path}".encode(errors="surrogateescape"))
        return h.digest()


class Waves:
    """Encodes waveforms: each is centred and scaled to a mean square of 1, so that neither how loud
    it is nor an offset of the microphone counts, cut or padded at the end.

    samples: of a sound at most; a longer one keeps its middle. rate: samples per second, of which
    nothing here depends, but of what a model has learned all does.
    """

    def __init__(self, samples: int, rate: int) -> None:
        if samples < 1 or not LEAST_RATE <= rate <= MOST_RATE:
            raise ValueError(f"{samples} samples at {rate} Hz")
        self.most, self.rate = samples, rate

    def __call__(self, samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """x (B, T, 1) float32, and present (B, T, 1) float32: 1 where there is sound, 0 where there
        is padding. T is the longest sound's length, rounded up to a multiple of STEPS.
        """
        waves = [middle(wave, self.most) for wave in samples]
        longest = max((len(wave) for wave in waves), default=1)
        shape = (len(waves), -(-longest // STEPS) * STEPS, 1)
        x, present = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for row, there, wave in zip(x, present, waves, strict=True):
            row[: len(wave), 0] = standard(wave)
            there[: len(wave)] = 1
        return x, present

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Waves):
            return NotImplemented
        return (self.most, self.rate) == (other.most, other.rate)

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"samples": self.most, "rate": self.rate}

    @classmethod
    def from_json(cls, stored: object) -> Waves:
        """What `to_json` gave. CheckpointError: it is something else."""
        try:
            most, rate = stored["samples"], stored["rate"]  # type: ignore[index]
            if type(most) is not int or type(rate) is not int:
                raise TypeError("samples and rate must be whole numbers")
            return cls(most, rate)
        except (TypeError, KeyError, ValueError) as error:
            what = "the stored description of sounds is damaged"
            raise CheckpointError(what, why=str(error)) from error


def middle(wave: np.ndarray, most: int) -> np.ndarray:
    """At most `most` samples (n,) from the middle."""
    first = max(len(wave) - most, 0) // 2
    return wave[first : first + most]


def standard(wave: np.ndarray) -> np.ndarray:
    """(n,) with mean 0 and mean square 1, float64; silence stays silent."""
    centred = wave - wave.mean(dtype=np.float64) if len(wave) else wave.astype(np.float64)
    loud = float(np.sqrt(np.mean(centred * centred))) if len(wave) else 0.0
    return centred / max(loud, SILENT)
