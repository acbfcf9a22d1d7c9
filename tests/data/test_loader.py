"""The loader: every sample once, the same for any number of threads, resumable, and no leaks."""

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from dlcli.data.dataset import ArraySplit
from dlcli.data.loader import THREAD_NAME, Batch, Loader
from dlcli.data.normalize import Normalize
from dlcli.errors import DataError, UsageError

PLAIN = Normalize(np.zeros(1), np.ones(1))


def make(n: int = 53, **options) -> Loader:
    """A loader over n images whose pixels and labels say which sample they are."""
    numbers = np.arange(n)
    pixels = np.broadcast_to(numbers[:, None, None, None], (n, 3, 2, 1)).astype(np.uint8)
    return Loader(ArraySplit("train", pixels, numbers), PLAIN, options.pop("batch", 8), **options)


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(THREAD_NAME)]


def order(batches) -> list[int]:
    return [int(i) for batch in batches for i in batch.indices]


class Broken(ArraySplit):
    """Its sample 20 cannot be read."""

    def samples(self, indices):
        if 20 in indices:
            raise DataError("train/20: the image is damaged")
        return super().samples(indices)


def broken(**options) -> Loader:
    split = make().split
    return Loader(Broken("train", split.pixels, split.labels), PLAIN, 8, **options)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("options", [{"workers": 0}, {"prefetch": 0}, {}, {"workers": 3}])
def test_an_epoch_has_every_sample_exactly_once(shuffle, options):
    loader = make(shuffle=shuffle, **options)
    batches = list(loader.epoch(0))
    assert len(batches) == len(loader) == 7
    assert [len(b.y) for b in batches] == [8] * 6 + [5]
    assert sorted(order(batches)) == list(range(53))
    assert (order(batches) == list(range(53))) is not shuffle


def test_images_labels_and_indices_belong_together():
    for batch in make(shuffle=True).epoch(2):
        assert batch.x.shape == (len(batch.y), 3, 2, 1)
        assert batch.x.dtype == np.float32
        assert batch.y.dtype == batch.indices.dtype == np.int64
        np.testing.assert_array_equal(batch.y, batch.indices)
        np.testing.assert_array_equal(np.rint(batch.x[:, 0, 0, 0] * 255), batch.indices)


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_the_order_does_not_depend_on_the_number_of_threads(workers):
    reference = list(make(shuffle=True, workers=0).epoch(5))
    for ours, theirs in zip(
        make(shuffle=True, workers=workers, prefetch=3).epoch(5), reference, strict=True
    ):
        np.testing.assert_array_equal(ours.x, theirs.x)
        np.testing.assert_array_equal(ours.indices, theirs.indices)


def test_order_is_kept_when_the_first_batch_takes_longest():
    class Slow(ArraySplit):
        def samples(self, indices):
            time.sleep(0.05 if 0 in indices else 0)
            return super().samples(indices)

    split = make().split
    loader = Loader(Slow("train", split.pixels, split.labels), PLAIN, 8, workers=4, prefetch=4)
    assert order(loader.epoch(0)) == list(range(53))


def test_epochs_and_seeds_shuffle_differently_and_repeat_exactly():
    loader = make(shuffle=True, seed=1)
    assert order(loader.epoch(0)) == order(loader.epoch(0))
    assert order(loader.epoch(0)) != order(loader.epoch(1))
    assert order(loader.epoch(0)) != order(make(shuffle=True, seed=2).epoch(0))


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("start", [0, 1, 6, 7])
def test_an_epoch_taken_up_again_is_the_tail_of_the_whole(start, workers):
    loader = make(shuffle=True, workers=workers)
    tail = list(loader.epoch(4))[start:]
    again = list(loader.epoch(4, start))
    assert len(again) == 7 - start
    for ours, theirs in zip(again, tail, strict=True):
        np.testing.assert_array_equal(ours.x, theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)


@pytest.mark.parametrize("start", [-1, 8])
def test_a_start_beyond_the_epoch_is_refused_at_once(start):
    with pytest.raises(ValueError, match="of an epoch of 7"):
        make().epoch(0, start)


def test_dropping_the_short_batch_is_counted():
    loader = make(drop_last=True, shuffle=True)
    batches = list(loader.epoch(0))
    assert [len(b.y) for b in batches] == [8] * 6
    assert loader.dropped == 5
    assert make().dropped == 0


def test_a_dataset_smaller_than_a_batch_is_one_short_batch():
    (batch,) = make(3, batch=128).epoch(0)
    assert order([batch]) == [0, 1, 2]


@pytest.mark.parametrize(
    "options", [{"batch": 0}, {"workers": -1}, {"prefetch": -1}, {"batch": 54, "drop_last": True}]
)
def test_options_that_make_no_sense_are_usage_errors(options):
    with pytest.raises(UsageError):
        make(**options)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_an_error_reaches_the_consumer_when_its_batch_is_due(workers):
    batches = broken(workers=workers, prefetch=4).epoch(0)
    assert order([next(batches), next(batches)]) == list(range(16))
    with pytest.raises(DataError, match="train/20"):
        next(batches)
    assert threads() == []


def test_threads_live_as_long_as_the_iterator():
    loader = make(workers=2)
    assert threads() == []
    batches = loader.epoch(0)
    next(batches)
    assert len(threads()) == 2
    batches.close()
    assert threads() == []
    assert list(batches) == []


def test_threads_end_when_the_iterator_is_exhausted_or_forgotten():
    loader = make()
    assert len(list(loader.epoch(0))) == 7
    assert threads() == []
    batches = loader.epoch(0)
    next(batches)
    del batches
    gc.collect()
    assert threads() == []


def test_no_more_batches_are_made_ahead_than_prefetch_says():
    made = []

    class Counting(ArraySplit):
        def samples(self, indices):
            made.append(int(indices[0]))
            return super().samples(indices)

    split = make().split
    loader = Loader(Counting("train", split.pixels, split.labels), PLAIN, 8, prefetch=3)
    batches = loader.epoch(0)
    next(batches)
    time.sleep(0.1)
    assert len(made) == 4
    batches.close()


def test_the_interpreter_ends_with_an_iterator_half_used():
    program = (
        "import numpy as np\n"
        "from dlcli.data.dataset import ArraySplit\n"
        "from dlcli.data.loader import Loader\n"
        "split = ArraySplit('train', np.zeros((500, 4, 4, 1), np.uint8), np.zeros(500, int))\n"
        "batches = Loader(split, lambda x: x, 2, workers=3).epoch(0)\n"
        "keep = [batches]; keep.append(keep)\n"
        "print(len(next(batches).y))\n"
    )
    path = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{program}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_two_epochs_at_once_do_not_disturb_each_other():
    loader = make(shuffle=True, workers=2)
    pairs = list(zip(loader.epoch(0), loader.epoch(1), strict=True))
    assert order(first for first, _ in pairs) == loader.order(0).tolist()
    assert order(second for _, second in pairs) == loader.order(1).tolist()


def test_a_batch_owns_its_arrays():
    first, second = (next(make(batch=53).epoch(0)) for _ in range(2))
    assert isinstance(first, Batch)
    first.x[:], first.y[:], first.indices[:] = 9, 9, 9
    assert order([second]) == order(make().epoch(0)) == list(range(53))


@pytest.mark.parametrize("options", [{"workers": 0}, {}, {"workers": 3}])
def test_what_is_waited_is_what_passes_while_a_batch_is_wanted(options, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr("dlcli.data.loader.perf_counter", lambda: next(clock))
    loader = make(**options)
    for _ in loader.epoch(0):
        next(clock)  # what the consumer does with it
        next(clock)
    assert loader.waited == len(loader)


# --- samples that are encoded once ----------------------------------------------------------------


class Alone:
    """Encodes each image by itself, and counts how many it was given."""

    alone = costly = True

    def __init__(self):
        self.encoded = 0

    def __call__(self, samples):
        self.encoded += len(samples)
        return PLAIN(samples)


def alone(n=53, **options):
    made = make(n, **options)
    how = {key: value for key, value in options.items() if key != "batch"}
    return Loader(made.split, Alone(), made.batch_size, **how)


@pytest.mark.parametrize("block", [1, 20, 4096])
@pytest.mark.parametrize("options", [{"workers": 0}, {}, {"workers": 3}, {"drop_last": True}])
@pytest.mark.parametrize("start", [0, 1, 5])
def test_batches_of_what_is_encoded_once_are_the_same(block, options, start, monkeypatch):
    monkeypatch.setattr("dlcli.data.loader.BLOCK", block)
    ours, theirs = (how(shuffle=True, **options) for how in (alone, make))
    for epoch in (0, 1):
        both = zip(ours.epoch(epoch, start), theirs.epoch(epoch, start), strict=True)
        for one, other in both:
            for name in ("x", "y", "indices"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
                assert getattr(one, name).flags.c_contiguous


def test_each_sample_is_encoded_once_and_only_when_it_is_due():
    loader = alone(shuffle=True)
    list(loader.epoch(0, 6))
    assert loader.encode.encoded == 1 + 5  # one to see what it becomes, and the last batch
    list(loader.epoch(0))
    assert loader.encode.encoded == 1 + 5 + 53  # the last ones with others of their block
    list(loader.epoch(3))
    assert loader.encode.encoded == 1 + 5 + 53


def test_what_would_not_fit_is_encoded_each_time(monkeypatch):
    monkeypatch.setattr("dlcli.data.loader.MOST_KEPT", 53 * 6 * 4 - 1)
    loader = alone()
    assert order(loader.epoch(0)) == order(loader.epoch(1)) == list(range(53))
    assert loader.encode.encoded == 2 * (1 + 53)


def test_what_is_quickly_encoded_is_not_kept(monkeypatch):
    monkeypatch.setattr(Alone, "costly", False)
    loader = alone()
    assert order(loader.epoch(0)) == order(loader.epoch(1)) == list(range(53))
    assert loader.encode.encoded == 2 * 53


def test_writing_into_a_batch_changes_no_other():
    loader = alone()
    for batch in loader.epoch(0):
        batch.x[:], batch.y[:], batch.indices[:] = 9, 9, 9
    assert order(loader.epoch(0)) == list(range(53))
    again = np.concatenate([batch.x for batch in loader.epoch(0)])
    np.testing.assert_array_equal(again, np.concatenate([b.x for b in make().epoch(0)]))
