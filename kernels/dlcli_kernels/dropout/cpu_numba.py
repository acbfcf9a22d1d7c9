"""Philox in registers: the words of 64 blocks at a time into a small scratch array, then the elements that they decide.

The ten rounds are 32 × 32 → 64-bit products and exclusive ors on four independent words, which LLVM vectorises over blocks. The mask is made on
the fly, so that a forward pass without a gradient reads x and writes out, nothing else.
"""

from math import prod

import numpy as np

from ..cpu import kernel
from ..philox import M0, M1, W0, W1
from ..spec import Spec
from .op import gain, threshold

BLOCKS = 64
K_M0, K_M1, K_W0, K_W1 = np.uint64(M0), np.uint64(M1), np.uint32(W0), np.uint32(W1)
HALF = np.uint64(32)


def workspace(op, *operands, **attrs):
    """The words of `BLOCKS` blocks, word by word."""
    return Spec((4, BLOCKS), np.dtype(np.uint32)) if op == "dropout" else None


@kernel
def _blocks(w0, w1, w2, w3, rng, first):
    """Words 0–3 of blocks first … first+BLOCKS-1."""
    for b in range(w0.size):
        c0, c1, c2, c3 = np.uint32(first + b), rng[2], rng[3], rng[4]
        k0, k1 = rng[0], rng[1]
        for _ in range(10):
            p0, p1 = np.uint64(c0) * K_M0, np.uint64(c2) * K_M1
            c0, c1, c2, c3 = (
                np.uint32(p1 >> HALF) ^ c1 ^ k0,
                np.uint32(p1),
                np.uint32(p0 >> HALF) ^ c3 ^ k1,
                np.uint32(p0),
            )
            k0, k1 = np.uint32(k0 + K_W0), np.uint32(k1 + K_W1)
        w0[b], w1[b], w2[b], w3[b] = c0, c1, c2, c3


@kernel
def _dropout(out, mask, x, rng, least, by, start, words):
    """start: the index of x[0] in the whole tensor."""
    by = x.dtype.type(by)
    zero = x.dtype.type(0)
    least = np.uint64(least)
    done, n = 0, x.size
    while done < n:
        at = start + done
        block = at // 4
        skip = at - block * 4  # a range may begin within a block
        _blocks(words[0], words[1], words[2], words[3], rng, block)
        count = min(4 * BLOCKS - skip, n - done)
        for j in range(count):
            i = j + skip
            keep = np.uint64(words[i & 3, i >> 2]) >= least
            out[done + j] = x[done + j] * by if keep else zero
            if mask.size:
                mask[done + j] = keep
        done += count


EMPTY = np.empty(0, np.uint8)


def dropout(out, mask, x, rng, *, p, start=0, scratch):
    mask = EMPTY if mask is None else mask.reshape(-1)
    first = start * prod(x.shape[1:])
    _dropout(out.reshape(-1), mask, x.reshape(-1), rng, threshold(p), gain(p), first, scratch)


@kernel
def _dropout_grad(out, dout, mask, by):
    by = dout.dtype.type(by)
    zero = dout.dtype.type(0)
    for i in range(dout.size):
        out[i] = dout[i] * by if mask[i] != 0 else zero


def dropout_grad(out, dout, mask, *, p):
    _dropout_grad(out.reshape(-1), dout.reshape(-1), mask.reshape(-1), gain(p))


@kernel
def _advance(rng):
    rng[2] += np.uint32(1)
    if rng[2] == 0:
        rng[3] += np.uint32(1)


def advance(rng):
    _advance(rng)
