"""Cutting a part in two, stratified and seeded: each class keeps its share on both sides.

The draw is Philox's, so the same seed gives the same split on every machine and with every
version of every library. The seed of a split has nothing to do with the seed of a training run:
runs with different seeds train, choose and test on the same samples.
"""

import numpy as np
from dlcli_kernels.philox import Generator

from dlcli.errors import DataError

VAL_ONE_IN = 10  # the share of the training part that a missing validation part takes


def quotas(counts: np.ndarray, one_in: int) -> np.ndarray:
    """How many samples each class gives up, for `counts` (K,) samples per class: (K,) int64.

    Together round(n / one_in), dealt by largest remainder (ties to the lower class). Then every
    class of two or more gives at least one and every class keeps at least one, so the total may
    differ a little where classes are tiny.
    """
    counts = np.asarray(counts, dtype=np.int64)
    given, remainder = counts // one_in, counts % one_in
    missing = (2 * int(counts.sum()) + one_in) // (2 * one_in) - int(given.sum())
    given[np.argsort(-remainder, kind="stable")[: max(missing, 0)]] += 1
    return np.minimum(np.maximum(given, 1), np.maximum(counts - 1, 0))


def stratified(
    labels: np.ndarray, one_in: int, *, seed: int = 0, stream: str = "val"
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one sample in `one_in` from `labels` (n,): (rows that stay, rows taken), both ascending.

    stream: names the cut, so that two cuts with one seed are independent. DataError: no class
    has two samples, so nothing could be taken.
    """
    labels = np.asarray(labels, dtype=np.int64)
    counts = np.bincount(labels) if len(labels) else np.zeros(0, dtype=np.int64)
    taken = np.zeros(len(labels), dtype=bool)
    for label, quota in enumerate(quotas(counts, one_in)):
        rows = np.flatnonzero(labels == label)
        order = Generator(seed, f"split/{stream}", label).permutation(len(rows))
        taken[rows[order[:quota]]] = True
    if not taken.any():
        raise DataError(
            f"too few samples to set a part of them aside ({stream})",
            why=f"{len(labels)} in all, and no class has two",
        )
    return np.flatnonzero(~taken), np.flatnonzero(taken)
