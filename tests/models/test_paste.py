"""Pairs of pictures with a part of another pair: where it lies, and in how many."""

import numpy as np

from dlcli.models.parts.jitter import Paste


def test_a_part_of_the_next_pair_is_pasted_at_its_own_place_into_both_pictures():
    paste = Paste(1.0)
    paste.seed(0, "paste")
    x = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1, 1) + np.zeros((4, 2, 20, 12, 3))
    for _ in range(10):
        out = paste(x)
        for i in range(4):
            rows, columns = (np.flatnonzero((out[i, 0, ..., 0] != i).any(axis=k)) for k in (1, 0))
            inside = np.zeros((20, 12), bool)
            inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
            assert len(rows) >= 20 // 4
            assert len(columns) >= 12 // 4
            want = np.where(inside, (i + 1) % 4, i)[np.newaxis, ..., np.newaxis]
            np.testing.assert_array_equal(out[i], np.broadcast_to(want, out[i].shape))


def test_as_many_pairs_as_asked_for_get_a_part_of_another():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(400, 2, 4, 4, 1)).astype(np.float32)
    for share in (0.0, 0.3):
        paste = Paste(share)
        paste.seed(0, "paste")
        changed = (paste(x) != x).reshape(400, -1).any(axis=1).mean()
        assert abs(changed - share) < 0.08
    assert paste(x).dtype == np.float32
