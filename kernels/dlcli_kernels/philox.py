"""Philox4x32-10, a counter-based random generator: the same key and counter give the same numbers
on every device, in any order.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A block of four 32-bit
words is a function of a 128-bit counter and a 64-bit key. Here the key is made of the seed and the
name of a stream; the counter's word 0 numbers the blocks within one request, words 1–3 say which
request it is (an epoch, a sample, a step). Nothing is carried from one request to the next, so
anything can be replayed or resumed.
"""

import hashlib

import numpy as np

M0, M1 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85
MASK = 0xFFFFFFFF


def key(seed: int, stream: str) -> tuple[int, int]:
    """The two key words of `stream` under `seed`: the first 64 bits of SHA-256 of both, so that
    streams are independent.
    """
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def blocks(k: tuple[int, int], counter: tuple[int, int, int], first: int, count: int) -> np.ndarray:
    """Blocks `first … first+count-1` of the request `counter` (words 1–3): (count, 4) uint32."""
    c0 = np.arange(first, first + count, dtype=np.uint64) & np.uint64(MASK)
    c1, c2, c3 = (np.full(count, word & MASK, np.uint64) for word in counter)
    k0, k1 = k
    shift, mask = np.uint64(32), np.uint64(MASK)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(M0), c2 * np.uint64(M1)
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ np.uint64(k0),
            p1 & mask,
            (p0 >> shift) ^ c3 ^ np.uint64(k1),
            p0 & mask,
        )
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def bits(k: tuple[int, int], counter: tuple[int, int, int], n: int) -> np.ndarray:
    """The first `n` words of a request: (n,) uint32."""
    return blocks(k, counter, 0, -(-n // 4)).reshape(-1)[:n]


class Generator:
    """Draws for one request, e.g. `Generator(seed, "shuffle", epoch)`: each call continues where
    the last one stopped.

    seed: any integer. stream: a name. counter: up to three integers below 2³² that say which
    request it is.
    """

    def __init__(self, seed: int, stream: str, *counter: int) -> None:
        self.key = key(seed, stream)
        words = (*counter, 0, 0, 0)[:3]
        self.counter = (words[0], words[1], words[2])
        self.block = 0

    @classmethod
    def of(cls, words: tuple[int, int], *counter: int) -> "Generator":
        """By the key itself, as `key` made it of a seed and a stream."""
        found = cls(0, "", *counter)
        found.key = words
        return found

    def bits(self, n: int) -> np.ndarray:
        """(n,) uint32."""
        count = -(-n // 4)
        words = blocks(self.key, self.counter, self.block, count).reshape(-1)[:n]
        self.block += count
        return words

    def uniform(self, *shape: int) -> np.ndarray:
        """Float64 in [0, 1), 32 random bits each."""
        n = int(np.prod(shape, dtype=np.int64))
        return (self.bits(n) * 2.0**-32).reshape(shape)

    def normal(self, *shape: int) -> np.ndarray:
        """Float64 from N(0, 1), by Box–Muller on pairs of uniforms in (0, 1]."""
        n = int(np.prod(shape, dtype=np.int64))
        pairs = (self.bits(2 * (-(-n // 2))).astype(np.float64) + 1.0).reshape(2, -1) * 2.0**-32
        radius, angle = np.sqrt(-2.0 * np.log(pairs[0])), 2.0 * np.pi * pairs[1]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n].reshape(shape)

    def integers(self, high: int, *shape: int) -> np.ndarray:
        """Int64 in [0, high), high ≤ 2³², by multiplication (bias below high · 2⁻³²)."""
        n = int(np.prod(shape, dtype=np.int64))
        return (
            ((self.bits(n).astype(np.uint64) * np.uint64(high)) >> np.uint64(32))
            .astype(np.int64)
            .reshape(shape)
        )

    def permutation(self, n: int) -> np.ndarray:
        """A permutation of 0 … n-1 as int64: the stable order of n random 64-bit words."""
        words = self.bits(2 * n).astype(np.uint64)
        return np.argsort((words[:n] << np.uint64(32)) | words[n:], kind="stable")
