"""The roofline of a machine: what it computes and moves at the most, measured on the spot.

    seconds ≥ max(operations / rate, bytes / bandwidth)       (Williams, Waterman & Patterson 2009)

A share of it says how much is left to gain; more than all of it is an error of measurement. NumPy
only: `measure_host` takes the threads, `cuda_roofline.py` measures a CUDA device.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .timing import HOST, Function, measure

SLACK = 1.05  # what a time may beat the roofline by, since that is measured too
BUFFER = 1 << 28  # bytes: far beyond any cache, in which a copy would be faster
WINDOWS = 4  # parts of the buffer that are moved in turn
SIDE = 384  # of the square matrices of which a core's rate is measured: they stay in its cache
PRECISIONS = ("float32", "float64")
Run = Callable[[Callable[[int], None], int], None]


@dataclass(frozen=True)
class Roofline:
    """flops: operations per second by precision. bytes: bytes per second of read, write, copy."""

    flops: Mapping[str, float]
    bytes: Mapping[str, float]

    @property
    def bandwidth(self) -> float:
        """Of reading, writing and copying the fastest: what no mixture of them exceeds.

        A copy counts what is read and what is written. On a processor whose stores fetch the line
        first it moves more than it counts, and the share of a kernel that writes is understated.
        """
        return max(self.bytes.values())

    def floor(self, flops: float, moved: float, precision: str) -> tuple[float, str]:
        """The least seconds that the work takes, and which roof it is: "compute" or "memory".

        A precision whose rate was not measured has no compute roof.
        """
        computing = flops / self.flops[precision] if precision in self.flops else 0.0
        moving = moved / self.bandwidth
        return (computing, "compute") if computing > moving else (moving, "memory")

    def raised(self, other: Roofline) -> Roofline:
        """The higher of both, figure by figure: a disturbed measurement is too low."""
        return Roofline(_higher(self.flops, other.flops), _higher(self.bytes, other.bytes))


def _higher(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {key: max(a.get(key, 0.0), b.get(key, 0.0)) for key in (*a, *(b.keys() - a.keys()))}


def last_cache(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """Bytes of the largest cache that the system knows of; 32 MiB where it does not say."""
    found = [1 << 25]
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for file in folder.glob("index*/size"):
        text = file.read_text().strip()
        if text[:-1].isdigit() and text[-1:] in units:
            found.append(int(text[:-1]) * units[text[-1]])
    return max(found)


class HostMemory:
    """A buffer larger than the caches: it is copied to measure, and written to empty them."""

    def __init__(self, run: Run, threads: int, size: int | None = None) -> None:
        """run: who runs tasks on all threads. size: bytes, twice the caches if not given."""
        self.run, self.tasks = run, 4 * threads
        size = max(BUFFER, 2 * last_cache()) if size is None else size
        self.data = np.ones(size // 4, np.float32)
        self.used = min(self.data.size, max(1 << 24, 2 * last_cache() // 4))

    def flush(self) -> None:
        """Puts other data in every cache of every core."""
        self._each(lambda part: np.add(part, 1, out=part), self.data[: self.used])

    def bandwidth(self, repeats: int = 24) -> dict[str, float]:
        """Bytes per second of reading, writing and copying, on all threads; the best repeat.

        A repeat takes the next quarter of the buffer: short enough to find a moment that no other
        process disturbs, and the quarters together are larger than the caches.
        """
        half = self.data.size // 2
        quarters = np.array_split(self.data, WINDOWS)
        sources = np.array_split(self.data[:half], WINDOWS)
        targets = np.array_split(self.data[half : 2 * half], WINDOWS)
        turns = {name: itertools.cycle(range(WINDOWS)) for name in ("read", "write", "copy")}

        def copy() -> None:
            i = next(turns["copy"])
            self._each(np.copyto, targets[i], sources[i])

        functions: dict[str, Function] = {
            "read": lambda: self._each(lambda x: np.dot(x, x), quarters[next(turns["read"])]),
            "write": lambda: self._each(
                lambda x: np.copyto(x, np.float32(1)), quarters[next(turns["write"])]
            ),
            "copy": copy,
        }
        samples = measure(functions, repeats=repeats, warmup=WINDOWS, min_time=0)
        moved = {
            "read": quarters[-1].nbytes,
            "write": quarters[-1].nbytes,
            "copy": 2 * sources[-1].nbytes,
        }
        return {name: moved[name] / float(s.times.min()) for name, s in samples.items()}

    def _each(self, function: Callable[..., object], *arrays: np.ndarray) -> None:
        bounds = np.linspace(0, arrays[0].size, self.tasks + 1).astype(int)

        def task(i: int) -> None:
            function(*(a[bounds[i] : bounds[i + 1]] for a in arrays))

        self.run(task, self.tasks)


def host_flops(run: Run, threads: int, precision: str, repeats: int = 40) -> float:
    """Operations per second of matrix products in every core at once: each one's best, summed.

    A product takes about a millisecond, less than the slice of time that another process takes a
    core for. BLAS must be held to one thread: each of ours multiplies matrices of its own.
    """
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((SIDE, SIDE)).astype(precision) for _ in range(2))
    outs = [np.empty((SIDE, SIDE), precision) for _ in range(threads)]
    best = np.full(threads, np.inf)

    def task(i: int) -> None:
        for _ in range(repeats):
            best[i] = min(best[i], HOST.time(lambda: np.matmul(a, b, out=outs[i]), 1))

    run(task, threads)
    return float(np.sum(2 * SIDE**3 / best))


def measure_host(memory: HostMemory, threads: int, precision: str) -> Roofline:
    """The roofline of `threads` threads of this processor, in some tenths of a second.

    A precision that BLAS does not have gets no compute roof.
    """
    wanted = [precision] if precision in PRECISIONS else []
    rates = {p: host_flops(memory.run, threads, p) for p in wanted}
    return Roofline(rates, memory.bandwidth())
