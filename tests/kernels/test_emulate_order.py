"""The emulator knows what orders two accesses: faults are reported, correct idioms are not."""

import re
from pathlib import Path

import numpy as np
import pytest
from dlcli_kernels import emulate
from dlcli_kernels.emulate import EmulationError, Emulator
from dlcli_kernels.raw import Source, running_on

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(bool(emulate.problem()), reason=emulate.problem() or "-"),
]
FILE = Path(__file__).parent / "emulated" / "order.cu"
ORDERS = pytest.mark.parametrize("order", Emulator.orders)
INTS, FLOATS = np.int32, np.float32


def launch(kernel, grid, block, *args, order="forward", **options):
    with running_on(Emulator(order, budget=20_000_000)):
        Source("emulated.tests", FILE.name, folder=str(FILE.parent)).kernel(kernel)(
            grid, block, *args, **options
        )


def lines(mark):
    texts = FILE.read_text().splitlines()
    return {
        f"{FILE.name}:{i}"
        for i, text in enumerate(texts, 1)
        if mark in text.partition("//")[2].split()
    }


FAULTS = {  # kernel -> blocks, what is said of it
    "plain_and_atomic": (1, "race"),
    "atomic_and_read": (1, "race"),
    "blocks_atomic_and_plain": (3, "two threads write one element"),
    "same_byte": (1, "two threads write"),
    "byte_of_another": (1, "race|nobody has written"),
    "word_of_bytes": (1, "race|nobody has written"),
    "same_half_of_buffer": (1, "two threads write one element"),
    "sync_of_other_lanes": (1, "race"),
    "same_value": (1, "two threads write"),
    "flag_without_fence": (2, "race"),
    "last_block_without_fence": (3, "race"),
    "fence_of_the_block_only": (3, "race"),
    "copied_by_memcpy": (1, "race|nobody has written"),
    "a_group_too_many": (1, "waited for"),
}


@ORDERS
@pytest.mark.parametrize("kernel", FAULTS)
def test_accesses_that_nothing_orders_are_reported_at_their_lines(kernel, order):
    grid, said = FAULTS[kernel]
    y = np.zeros(64, {"same_half_of_buffer": np.uint16}.get(kernel, INTS))
    more = []
    if "last_block" in kernel or "only" in kernel:
        y, more = np.zeros(64, FLOATS), [np.zeros(1, np.uint32), np.zeros(64, FLOATS)]
    if kernel == "flag_without_fence":
        more = [np.zeros(1, INTS)]
    if kernel == "a_group_too_many":
        y, more = np.zeros(64, FLOATS), [np.zeros(64, FLOATS)]
    with pytest.raises(EmulationError) as caught:
        launch(kernel, grid, 64, y, *more, order=order, cooperative=grid > 1)
    assert re.search(said, str(caught.value))
    assert set(caught.value.places) & lines(kernel), str(caught.value)


@ORDERS
def test_neighbours_in_one_word_are_apart(order):
    y = np.zeros(64, INTS)
    launch("neighbours_in_a_word", 1, 64, y, order=order)
    other = np.arange(64) ^ 1
    np.testing.assert_array_equal(y, 3 * other + 2)
    launch("bytes_of_an_array_of_words", 1, 64, y := np.zeros(64, INTS), order=order)
    np.testing.assert_array_equal(y.view(np.uint8), np.arange(256) // 64 + 1)


@ORDERS
def test_parts_of_a_warp_meet_by_themselves(order):
    launch("halves_of_a_warp", 1, 64, y := np.zeros(64, INTS), order=order)
    np.testing.assert_array_equal(y, np.arange(64) ^ 8)
    launch("one_reads_for_others", 1, 32, y := np.zeros(32, INTS), order=order)
    np.testing.assert_array_equal(y, 10)


@ORDERS
def test_two_buffers_need_one_barrier_a_round(order):
    x, y = np.random.default_rng(0).standard_normal((5, 64), FLOATS), np.zeros(64, FLOATS)
    launch("double_buffered", 1, 64, y, x, 5, order=order)
    np.testing.assert_allclose(y, x.sum(0)[::-1], rtol=1e-5, atol=1e-5)


@ORDERS
def test_the_last_block_sees_what_all_have_written_before_their_fences(order):
    y, count, sums = np.zeros(32, FLOATS), np.zeros(1, np.uint32), np.zeros(7, FLOATS)
    for _ in range(2):  # the counter is zero again after a launch
        launch("last_block", 7, 32, y, count, sums, order=order)
        assert (y[0], count[0]) == (28, 0)
        y[:] = 0
    launch("last_block_of_all_threads", 7, 32, y, count, np.zeros(224, FLOATS), order=order)
    np.testing.assert_array_equal(y, 7)
    assert count[0] == 0


@ORDERS
def test_a_flag_with_fences_orders_blocks_and_warps(order):
    y, flags = np.zeros(5, INTS), np.zeros(5, INTS)
    launch("flags_between_blocks", 5, 1, y, flags, order=order, cooperative=True)
    np.testing.assert_array_equal(y, [5, 4, 3, 2, 1])
    launch("flag_between_warps", 1, 64, y := np.zeros(32, INTS), order=order)
    np.testing.assert_array_equal(y, 3 * np.arange(63, 31, -1))


@ORDERS
def test_shared_memory_is_used_again_as_another_type(order):
    x, y = np.arange(64, dtype=FLOATS), np.zeros(64, FLOATS)
    launch("reused_shared", 1, 64, y, x, order=order)
    np.testing.assert_array_equal(y, 2 * (63 - x))


@ORDERS
@pytest.mark.parametrize("threads", [1, 33, 100, 1024])
def test_a_scan_of_a_block_of_any_size_is_the_sum_so_far(threads, order):
    x = np.random.default_rng(threads).integers(-9, 9, threads, INTS)
    y = np.zeros(threads, INTS)
    launch("scan", 1, threads, y, x, order=order, shared=8 * threads)
    np.testing.assert_array_equal(y, x.cumsum())
