"""The emulator ends a launch that goes wrong with a report, never with its process."""

import os
import subprocess
import sys
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
FILE = Path(__file__).parent / "emulated" / "ends.cu"


def launch(kernel, grid, block, *args, order="forward", **options):
    with running_on(Emulator(order, budget=2_000_000)):
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


FAULTS = {
    "computes_for_ever": "does not end: computes",
    "waits_for_ever": "does not end",
    "traps": "the kernel trapped",
    "stops_by_builtin": "the kernel trapped",
    "asserts": "assertion failed: threadIdx.x < 9",
    "shifts_too_far": "shifts by",
    "straddles_the_end": "writes 8 bytes outside of every array",
    "warp_leaves_early": "divergent barrier: 32 of 64 threads wait here, 32 have ended",
    "trip_count_by_thread": "divergent barrier",
    "dynamic_that_nobody_wrote": "nobody has written",
}


@pytest.mark.parametrize("kernel", FAULTS)
def test_a_kernel_that_goes_wrong_is_stopped_at_its_line(kernel):
    with pytest.raises(EmulationError, match=FAULTS[kernel]) as caught:
        launch(kernel, 1, 64, np.zeros(63, np.float32), 63, shared=256)
    assert set(caught.value.places) & lines(kernel), str(caught.value)


def test_a_stack_that_overflows_is_reported_and_the_next_launch_runs():
    y = np.zeros(64, np.float32)
    with pytest.raises(EmulationError, match="more stack"):
        launch("deep_stack", 1, 64, y, 50_000)
    launch("bounded", 1, 64, y, 3)
    np.testing.assert_array_equal(y, 3)


def mappings():
    return len(Path("/proc/self/maps").read_text().splitlines())


def test_blocks_of_many_sizes_in_turn_use_the_same_stacks():
    y = np.zeros(64, np.float32)
    launch("bounded", 1, 64, y, 3)
    before = mappings()
    for threads in (1, 64, 33, 64, 2, 64):
        launch("bounded", 1, threads, y, 3)
    assert mappings() - before < 20


def in_a_new_process(code):
    """What a script prints that may use `launch` and `y`, 64 zeros."""
    begin = f"""
import resource
import numpy as np
from {Path(__file__).stem} import EmulationError, launch

y = np.zeros(64, np.float32)
"""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", begin + code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def test_a_launch_that_gets_no_stacks_is_reported():
    said = in_a_new_process("""
launch("bounded", 1, 1, y, 3)
held = [line for line in open("/proc/self/status") if line.startswith("VmSize")]
limit = int(held[0].split()[1]) * 1024 + 4 * 2**20  # 32 stacks
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    launch("bounded", 1, 64, y, 3)
except EmulationError as error:
    print(error)
""")
    assert "no memory for the stacks" in said


def test_the_first_array_of_a_process_may_be_empty():
    said = in_a_new_process('launch("bounded", 1, 1, y[:0], 0)')
    assert "writes 4 bytes outside of every array" in said  # and not that there is no memory


def test_a_null_pointer_is_called_one():
    with pytest.raises(EmulationError, match="reads 4 bytes at a null pointer") as caught:
        launch("null_pointer", 1, 64, np.zeros(64, np.float32), None)
    assert set(caught.value.places) & lines("null_pointer")


def test_part_of_a_warp_cannot_use_the_tensor_cores():
    with pytest.raises(EmulationError, match="divergent collective: 20 of 32"):
        launch("part_of_a_warp_multiplies", 1, 32, np.zeros(32, np.float32), 1)


def test_the_counter_of_a_barrier_of_the_grid_begins_at_zero():
    counter = np.zeros(1, np.uint32)
    for launched in (1, 2):
        launch("counter_not_zero", 3, 32, counter, 1, cooperative=True)
        assert counter[0] == 3 * launched
    counter[0] = 2
    with pytest.raises(EmulationError, match="counter was not zero") as caught:
        launch("counter_not_zero", 3, 32, counter, 1, cooperative=True)
    assert set(caught.value.places) & lines("counter_not_zero")


def test_matrices_of_fragments_are_loaded_from_shared_memory_alone():
    with pytest.raises(EmulationError, match="not in shared memory") as caught:
        launch("matrix_of_an_array", 1, 32, np.zeros(64, np.float32), 1)
    assert set(caught.value.places) & lines("matrix_of_an_array")


def test_a_shuffle_from_beyond_the_end_of_the_block_is_reported():
    with pytest.raises(EmulationError, match="does not exist"):
        launch("lane_that_is_not_there", 1, 48, np.zeros(48, np.float32), 1)


def test_an_index_that_misses_its_array_by_far_lands_in_no_other():
    x, y = np.zeros(1 << 20, np.float32), np.zeros(64, np.float32)
    for far in ((1 << 16) + 1, (1 << 20) + 1, (1 << 31) - 1, 1 - (1 << 31)):
        with pytest.raises(EmulationError, match="outside of every array"):
            launch("straddles_the_end", 1, 1, y, far)
        with pytest.raises(EmulationError, match="outside of every array"):
            launch("in_place", 1 << 14, 128, y, x)


REFUSED = [
    ("bounded", 1, 65, {}, "launch bounds are 64"),
    ("bounded", 1, 1025, {}, "a block of 1025 threads"),
    ("bounded", 1, (1, 1, 65), {}, "64 along z"),
    ("bounded", (1, 65536), 1, {}, "65535"),
    ("bounded", 1, 1, {"shared": 300_000}, "300000 bytes of shared memory"),
    ("bounded", 1000, 64, {"cooperative": True}, "cooperative launch of 1000 blocks"),
]


@pytest.mark.parametrize(("kernel", "grid", "block", "options", "why"), REFUSED)
def test_what_a_gpu_cannot_launch_is_refused(kernel, grid, block, options, why):
    with pytest.raises(EmulationError, match=why):
        launch(kernel, grid, block, np.zeros(64, np.float32), 1, **options)


def test_one_array_in_two_arguments_is_refused_where_restrict_promises_otherwise():
    y = np.ones(64, np.float32)
    with pytest.raises(EmulationError, match=r"arguments 1 and 2 are one array.*__restrict__"):
        launch("restricted", 1, 64, y, y)
    launch("in_place", 1, 64, y, y)
    np.testing.assert_array_equal(y, 2)
