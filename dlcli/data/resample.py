"""Another sample rate for a sound: band-limited interpolation (Smith & Gossett 1984).

An output sample is a weighted mean of the input around its time. The weights are a sinc, cut off
below half of the lower of the two rates so that nothing is folded back, in a Hann window of
ZEROS zero crossings to each side. Both rates are whole numbers, so there are only `up` different
sets of weights, one for each phase between two input samples.
"""

from __future__ import annotations

import math

import numpy as np

ZEROS = 16  # zero crossings to each side: what cannot be held is 44 dB down
PASS = 0.9  # of half the lower rate is kept: the window needs the rest to fall off
CHUNK = 4096  # outputs at a time: bounds the memory


def resample(x: np.ndarray, rate: int, to: int) -> np.ndarray:
    """A sound x (n,) of `rate` samples per second with `to` instead: (⌈n · to / rate⌉,) float32.

    Output k lies at the time of input k · rate / to; beyond the ends there is silence.
    """
    if rate == to:
        return x.astype(np.float32)
    common = math.gcd(rate, to)
    up, down = to // common, rate // common
    cut = PASS * min(1.0, to / rate)  # of half the input's rate
    reach = math.ceil(ZEROS / cut)
    padded = np.concatenate([np.zeros(reach), x, np.zeros(reach + 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    count = -(-len(x) * up // down)
    out = np.empty(count, np.float32)
    for first in range(0, count, CHUNK):
        times = np.arange(first, min(first + CHUNK, count)) * down  # in units of 1 / up samples
        phases, which = np.unique(times % up, return_inverse=True)
        weights = _weights(phases / up, cut, reach)[which]
        near = windows[times // up]
        out[first : first + len(times)] = np.einsum("nt,nt->n", near, weights)
    return out


def _weights(phases: np.ndarray, cut: float, reach: int) -> np.ndarray:
    """(P, 2 · reach + 1): the weights of the inputs around each phase, 0 … 1; each row sums to 1,
    so that a constant stays what it is.
    """
    away = (np.arange(-reach, reach + 1) - phases[:, None]) * cut  # in zero crossings
    window = np.where(np.abs(away) < ZEROS, 0.5 + 0.5 * np.cos(np.pi * away / ZEROS), 0.0)
    weights: np.ndarray = np.sinc(away) * window
    return weights / weights.sum(axis=1, keepdims=True)
