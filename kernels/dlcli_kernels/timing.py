"""Times functions side by side: interleaved A B B A, medians, and a ratio with its uncertainty.

What is measured one after the other is compared under the same conditions only if the conditions
do not drift; a processor's clock, a neighbour's load and the temperature do. So every round runs
all functions forwards and then backwards: a linear drift cancels, and the times of one round belong
together. A clock says what time is: the host's, or a CUDA device's events (`DeviceClock`).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns
from typing import Any, Protocol

import numpy as np

Function = Callable[[], object]
LEAST_ROUNDS = 3  # however long they take: of fewer there is no spread
SHORT = 20e-6  # seconds under which a kernel is timed in a graph: launching it takes as long


@dataclass(frozen=True)
class Sample:
    """Seconds per call, one element per repeat, in the order in which they were measured."""

    times: np.ndarray

    @property
    def median(self) -> float:
        return float(np.median(self.times))

    @property
    def iqr(self) -> float:
        """The interquartile range: half of the repeats lie within it."""
        low, high = np.percentile(self.times, (25, 75))
        return float(high - low)

    @property
    def p95(self) -> float:
        """The time that one repeat in twenty exceeds."""
        return float(np.percentile(self.times, 95))


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians and its confidence interval."""

    value: float
    low: float
    high: float


# --- clocks ---------------------------------------------------------------------------------------


class Clock(Protocol):
    """What tells how long calls take."""

    def time(self, function: Function, calls: int) -> float:
        """Seconds per call of `calls` calls in a row."""


class HostClock:
    """The host's monotonic clock: for functions that have done their work when they return."""

    def time(self, function: Function, calls: int) -> float:
        begun = perf_counter_ns()
        for _ in range(calls):
            function()
        return (perf_counter_ns() - begun) * 1e-9 / calls


class DeviceClock:
    """CUDA events around the calls, on CuPy's current stream: for functions that only launch.

    cupy: the module. flushed: bytes that `flush` writes, at the least four times the L2 cache. The
    host's part of a launch does not show as long as the device has something to do meanwhile: a
    flush before a single call, the calls before in a row of them.
    """

    def __init__(self, cupy: Any, flushed: int = 1 << 28) -> None:
        self.cupy = cupy
        self.rubbish = cupy.zeros(flushed, "uint8")

    @classmethod
    def of_this_process(cls) -> DeviceClock:
        """The clock of CuPy's current device. ImportError without CuPy."""
        import cupy

        l2 = int(cupy.cuda.Device().attributes["L2CacheSize"])
        return cls(cupy, max(1 << 28, 4 * l2))

    def time(self, function: Function, calls: int) -> float:
        events = self.cupy.cuda
        begin, end = events.Event(), events.Event()
        begin.record()
        for _ in range(calls):
            function()
        end.record()
        end.synchronize()
        return float(events.get_elapsed_time(begin, end)) * 1e-3 / calls

    def flush(self) -> None:
        """Fills the L2 cache with something else, without waiting: outside the timed window.

        Two passes take some hundred microseconds, in which the host prepares what follows.
        """
        for _ in range(2):
            self.rubbish += 1

    def replayed(self, function: Function, calls: int) -> Function:
        """`calls` calls as one CUDA graph that is launched on the stream in use.

        What a capture refuses (an allocation, a synchronisation, cuBLAS through CuPy) raises CuPy's
        own error. The function is called once before, so that nothing is loaded in the capture.
        """
        stream = self.cupy.cuda.Stream(non_blocking=True)
        with stream:
            function()
            stream.synchronize()
            stream.begin_capture()
            try:
                for _ in range(calls):
                    function()
            finally:
                graph = stream.end_capture()
        return graph.launch


HOST = HostClock()


# --- measuring ------------------------------------------------------------------------------------


def measure(
    functions: Mapping[str, Function],
    *,
    repeats: int = 20,
    warmup: int = 2,
    min_time: float = 1e-3,
    before: Mapping[str, Function] | None = None,
    clock: Clock = HOST,
    budget: float = math.inf,
) -> dict[str, Sample]:
    """Times every function `repeats` times, taking turns; a sample each, under its name.

    repeats: rounded up to an even number, since a round measures everything twice. warmup: calls
    of each function before it is timed. min_time: seconds that a repeat takes at
    least; a shorter function is called several times in a row, and the time divided. before: what
    is called before each repeat of a function, outside the timed window: a flush of the caches.
    budget: seconds after which no further round begins; three rounds are always made.
    """
    if repeats < 1 or warmup < 0 or min_time < 0:
        raise ValueError(f"repeats={repeats}, warmup={warmup}, min_time={min_time}")
    before = before or {}
    calls = {}
    for name, function in functions.items():
        prepare = before.get(name, _nothing)
        prepare()
        for _ in range(warmup):
            function()
        calls[name] = _calls_filling(function, min_time, clock)
    times: dict[str, list[float]] = {name: [] for name in functions}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection would hit whoever comes next
    begun = perf_counter()
    try:
        for done in range(-(-repeats // 2)):
            if done >= LEAST_ROUNDS and perf_counter() - begun > budget:
                break
            for name in (*functions, *reversed(list(functions))):
                before.get(name, _nothing)()
                times[name].append(clock.time(functions[name], calls[name]))
    finally:
        if collecting:
            gc.enable()
    return {name: Sample(np.array(values)) for name, values in times.items()}


def _nothing() -> None:
    pass


def _calls_filling(function: Function, min_time: float, clock: Clock) -> int:
    """How many calls in a row take `min_time` seconds."""
    calls = 1
    while (seconds := clock.time(function, calls)) * calls < min_time:
        calls = max(calls + 1, min(calls * 10, math.ceil(min_time / max(seconds, 1e-9))))
    return calls


# --- comparing ------------------------------------------------------------------------------------


def ratio(
    a: Sample, b: Sample, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Ratio:
    """How many times longer a takes than b, by medians, with a bootstrap interval.

    Rounds are drawn with replacement, both samples' times of a round together, and the interval is
    that of the ratios' percentiles (Efron & Tibshirani 1993, chapter 13). ValueError if the samples
    are not from the same rounds.
    """
    if a.times.size != b.times.size or not a.times.size:
        raise ValueError(f"samples of {a.times.size} and {b.times.size} repeats: no common rounds")
    drawn = np.random.default_rng(seed).integers(0, a.times.size, (resamples, a.times.size))
    return _ratio(a, b, a.times[drawn], b.times[drawn], confidence)


def ratio_of_runs(
    a: Sample, b: Sample, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Ratio:
    """`ratio` of samples measured apart, in different processes or on different days.

    Each sample's times are drawn by themselves. The interval covers the spread within each run,
    not what drifted between them. ValueError for an empty sample.
    """
    if not a.times.size or not b.times.size:
        raise ValueError("an empty sample has no ratio")
    rng = np.random.default_rng(seed)
    drawn = [s.times[rng.integers(0, s.times.size, (resamples, s.times.size))] for s in (a, b)]
    return _ratio(a, b, drawn[0], drawn[1], confidence)


def _ratio(
    a: Sample, b: Sample, drawn_a: np.ndarray, drawn_b: np.ndarray, confidence: float
) -> Ratio:
    ratios = np.median(drawn_a, axis=1) / np.median(drawn_b, axis=1)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(ratios, (tail, 100 - tail))
    return Ratio(a.median / b.median, float(low), float(high))
