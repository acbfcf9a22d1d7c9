"""The emulator: it means by CUDA's words what CUDA means, and reports every fault with its line."""

import re
import time
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
FOLDER = Path(__file__).parent / "emulated"
ORDERS = pytest.mark.parametrize("order", Emulator.orders)


def source(name):
    return Source("emulated.tests", name, folder=str(FOLDER))


def launch(file, kernel, grid, block, *args, order="forward", constants=None, **options):
    with running_on(Emulator(order, budget=20_000_000)) as emulator:
        source(file).kernel(kernel, **(constants or {}))(grid, block, *args, **options)
    return emulator


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def lines(file, mark):
    """The places of a file that carry a comment with the mark."""
    texts = (FOLDER / file).read_text().splitlines()
    return {
        f"{file}:{i}" for i, text in enumerate(texts, 1) if mark in text.partition("//")[2].split()
    }


# --- what kernels compute -------------------------------------------------------------------------


@ORDERS
def test_a_register_tiled_product_is_the_product(order):
    a, b, out = normal(256, 128), normal(128, 256, seed=1), np.full((256, 256), np.nan, np.float32)
    launch("sgemm.cu", "sgemm", (2, 2), 256, out, a, b, 256, 128, order=order)
    np.testing.assert_allclose(out, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-4)


@ORDERS
def test_shuffles_and_votes_are_those_of_cuda(order):
    x, sums, votes = normal(64), np.empty((64, 4), np.float32), np.empty(64, np.uint32)
    launch("meaning.cu", "shuffles", 1, 64, sums, votes, x, order=order)
    warps = x.astype(np.float64).reshape(2, 32)
    want = np.repeat(warps.sum(1), 32)
    np.testing.assert_allclose(sums[:, 0], want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sums[:, 1], want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sums[:, 2], warps.cumsum(1).ravel(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(sums[:, 3], x.reshape(-1, 2)[:, ::-1].ravel())
    bits = ((warps > 0) << np.arange(32, dtype=np.uint64)).sum(1)
    np.testing.assert_array_equal(votes, np.repeat(bits, 32))


@ORDERS
def test_reductions_of_a_block_are_sums_maxima_and_counts(order):
    x, out = normal(250), np.empty((3, 3), np.float32)
    launch("meaning.cu", "blocks", 3, 96, out, x, 250, order=order)
    parts = np.pad(x.astype(np.float64), (0, 38)).reshape(3, 96)
    want = np.stack([parts.sum(1), parts.max(1), (parts > 0).sum(1)], axis=1)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)


@ORDERS
def test_atomic_additions_in_both_memories_count(order):
    x = np.random.default_rng(0).integers(0, 16, 500, dtype=np.int32)
    counts = np.zeros(16, np.int32)
    launch("meaning.cu", "histogram", 2, 64, counts, x, 500, order=order)
    np.testing.assert_array_equal(counts, np.bincount(x, minlength=16))


@ORDERS
def test_asynchronous_copies_arrive_whole_or_as_zeros(order):
    x, y = normal(128), np.empty(128, np.float32)
    launch("meaning.cu", "reversed", 1, 32, y, x, order=order, shared=512)
    want = x.copy()
    want[4:8] = 0
    np.testing.assert_array_equal(y, want[::-1])


@ORDERS
def test_blocks_of_a_cooperative_launch_wait_for_each_other(order):
    y, counter = np.empty(5, np.float32), np.zeros(1, np.uint32)
    launch("meaning.cu", "ring", 5, 64, y, counter, 3, order=order, cooperative=True)
    np.testing.assert_array_equal(y, (np.arange(5) + 3) % 5)


@ORDERS
def test_tensor_core_products_are_products_of_rounded_operands(order):
    a, b, d = normal(16, 8), normal(8, 8, seed=1), np.empty((16, 8), np.float32)
    launch("meaning.cu", "product_tf32", 1, 32, d, a, b, order=order)
    np.testing.assert_allclose(d, rounded(a, 13) @ rounded(b, 13), rtol=1e-5, atol=1e-6)
    a, b = normal(16, 16, seed=2), normal(16, 8, seed=3)
    launch("meaning.cu", "product_bf16", 1, 32, d, a, b, order=order)
    np.testing.assert_allclose(d, rounded(a, 16) @ rounded(b, 16), rtol=1e-5, atol=1e-6)


def rounded(x, dropped):
    """x in float64, rounded to a mantissa that is `dropped` bits shorter than float32's."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    scale = 2.0 ** (24 - dropped)
    return np.ldexp(np.rint(mantissa * scale) / scale, exponent)


# --- what kernels do wrong ------------------------------------------------------------------------

FAULTS = {  # kernel -> what is said of it. Which of two clashing accesses is first, the order says
    "read_past_end": "reads 4 bytes outside",
    "write_past_end": "writes 4 bytes outside",
    "write_before_start": "writes 4 bytes outside",
    "write_const": "const",
    "divergent_barrier": "divergent barrier: 7",
    "two_barriers": "divergent barrier",
    "race_of_warps": "race|nobody has written",
    "race_in_warp": "race",
    "two_writers": "two threads write",
    "overwritten_too_soon": "another thread (reads|writes)",
    "unwritten_shared": "nobody has written",
    "past_shared": "outside of its array",
    "past_dynamic": "past the end of dynamic shared memory",
    "past_local": "outside of its array",
    "copy_not_waited_for": "waited for",
    "copy_without_barrier": "race|nobody has written",
    "copy_over_readers": "another thread (reads|writes)",
    "blocks_write_one_element": "two threads write one element",
    "block_reads_another_blocks": "element",
    "lanes_missing": "divergent collective",
    "divides_by_zero": "divides by zero",
    "does_not_end": "does not end",
    "grid_sync_not_cooperative": "not cooperative",
}
GRIDS = {"blocks_write_one_element": 2, "block_reads_another_blocks": 2}
BLOCKS = {"block_reads_another_blocks": 32, "past_local": 8}


@ORDERS
@pytest.mark.parametrize("kernel", FAULTS)
def test_a_fault_is_reported_at_its_line_in_every_order(kernel, order):
    y, x = np.zeros(64, np.float32), normal(64)
    with pytest.raises(EmulationError) as caught:
        launch(
            "faults.cu",
            kernel,
            GRIDS.get(kernel, 1),
            BLOCKS.get(kernel, 64),
            y,
            x,
            order=order,
            shared=256 if kernel == "past_dynamic" else 0,
        )
    message = str(caught.value)
    assert re.search(FAULTS[kernel], message)
    assert set(caught.value.places) & lines("faults.cu", kernel), message


def test_an_address_that_is_not_aligned_is_reported():
    with pytest.raises(EmulationError, match="not aligned") as caught:
        launch("faults.cu", "misaligned", 1, 64, np.zeros(64, np.float32), normal(64))
    assert set(caught.value.places) & lines("faults.cu", "misaligned:")


@ORDERS
@pytest.mark.parametrize("barrier", ["FIRST_BARRIER", "SECOND_BARRIER"])
def test_a_product_without_one_of_its_barriers_is_reported_as_a_race(barrier, order):
    a, b, out = normal(128, 64), normal(64, 128, seed=1), np.empty((128, 128), np.float32)
    with pytest.raises(EmulationError, match=r"race|nobody has written") as caught:
        launch(
            "sgemm.cu", "sgemm", 1, 256, out, a, b, 128, 64, order=order, constants={barrier: ""}
        )
    assert all(place.startswith("sgemm.cu:") for place in caught.value.places)


def test_a_launch_that_failed_leaves_the_arrays_alone_and_the_next_one_runs():
    y, x = np.zeros(64, np.float32), normal(64)
    with pytest.raises(EmulationError):
        launch("faults.cu", "write_past_end", 1, 64, y, x)
    np.testing.assert_array_equal(y, np.zeros(64))
    sums = np.empty((1, 3), np.float32)
    launch("meaning.cu", "blocks", 1, 64, sums, x, 64)
    assert sums[0, 1] == x.max()


# --- how kernels are called -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((np.zeros(3, np.float32), normal(3)), "3 parameters, 2 arguments"),
        ((np.zeros(3, np.float32), normal(3), 3.0), "argument 3 is a float32"),
        ((np.zeros(3, np.float32), normal(3), np.int64(3)), "argument 3 is a int64"),
        ((np.zeros(3, np.float64), normal(3), 3), "argument 1 is float64"),
        ((np.zeros((6, 2), np.float32).T, normal(3), 3), "argument 1 is not contiguous"),
        ((5, normal(3), 3), "argument 1 is a int32"),
        ((np.zeros(3, np.float32), normal(3), None), "argument 3 is None"),
    ],
)
def test_arguments_that_do_not_fit_the_parameters_are_refused(arguments, why):
    with pytest.raises(EmulationError, match=why):
        launch("meaning.cu", "blocks", 1, 32, *arguments)


def test_an_integer_that_does_not_fit_an_int_is_refused():
    with pytest.raises(OverflowError):
        launch("meaning.cu", "blocks", 1, 32, np.zeros(3, np.float32), normal(3), 1 << 40)


def test_a_kernel_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(EmulationError, match=r"has no .* kernel sgem: it has sgemm"):
        launch("sgemm.cu", "sgem", 1, 32)


def test_what_the_compiler_refuses_is_told_with_its_line(tmp_path):
    (tmp_path / "wrong.cu").write_text('extern "C" __global__ void f(float* y) {\n  y[0] = z;\n}\n')
    kernel = Source("emulated.tests", "wrong.cu", folder=str(tmp_path)).kernel("f")
    with pytest.raises(emulate.CompileError, match=r"wrong\.cu:2"), running_on(Emulator()):
        kernel(1, 1, np.zeros(1, np.float32))


# --- how fast it is -------------------------------------------------------------------------------


def test_a_product_of_512_by_512_is_emulated_with_every_check(capsys):
    a, b, out = normal(512, 512), normal(512, 512, seed=1), np.empty((512, 512), np.float32)
    launch("sgemm.cu", "sgemm", 1, 256, out[:128].copy(), a, b, 128, 8)  # compiled
    begun = time.process_time()
    with running_on(Emulator()):
        source("sgemm.cu").kernel("sgemm")((4, 4), 256, out, a, b, 512, 512)
    took = time.process_time() - begun
    np.testing.assert_allclose(out, a.astype(np.float64) @ b, rtol=1e-4, atol=2e-4)
    with capsys.disabled():
        print(f"\nemulated 512³ register-tiled product: {took:.2f} s")
