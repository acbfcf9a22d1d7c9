"""Times functions side by side: interleaved A B B A, medians, and a ratio with its uncertainty.

What is measured one after the other is compared under the same conditions only if the conditions
do not drift; a processor's clock, a neighbour's load and the temperature do. So every round runs
all functions forwards and then backwards: a linear drift cancels, and the times of one round belong
together. NumPy only.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np


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


def measure(
    functions: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 20,
    warmup: int = 2,
    min_time: float = 1e-3,
) -> dict[str, Sample]:
    """Times every function `repeats` times, taking turns; a sample each, under its name.

    repeats: rounded up to an even number, since a round measures everything twice. warmup: calls
    of each function before it is timed. min_time: seconds that a repeat takes at
    least; a shorter function is called several times in a row, and the time divided.
    """
    if repeats < 1 or warmup < 0 or min_time < 0:
        raise ValueError(f"repeats={repeats}, warmup={warmup}, min_time={min_time}")
    calls = {}
    for name, function in functions.items():
        for _ in range(warmup):
            function()
        calls[name] = _calls_filling(function, min_time)
    times: dict[str, list[float]] = {name: [] for name in functions}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection would hit whoever comes next
    try:
        for _ in range(-(-repeats // 2)):
            for name in (*functions, *reversed(list(functions))):
                times[name].append(_time(functions[name], calls[name]))
    finally:
        if collecting:
            gc.enable()
    return {name: Sample(np.array(values)) for name, values in times.items()}


def _calls_filling(function: Callable[[], object], min_time: float) -> int:
    """How many calls in a row take `min_time` seconds."""
    calls = 1
    while (seconds := _time(function, calls)) * calls < min_time:
        calls = max(calls + 1, min(calls * 10, math.ceil(min_time / max(seconds, 1e-9))))
    return calls


def _time(function: Callable[[], object], calls: int) -> float:
    """Seconds per call."""
    begun = perf_counter_ns()
    for _ in range(calls):
        function()
    return (perf_counter_ns() - begun) * 1e-9 / calls


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
    ratios = np.median(a.times[drawn], axis=1) / np.median(b.times[drawn], axis=1)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(ratios, (tail, 100 - tail))
    return Ratio(a.median / b.median, float(low), float(high))
