"""The GPU as a target, on a module in CuPy's form that records what it is asked to do."""

import sys
from types import ModuleType

import numpy as np
import pytest
from dlcli_kernels import cuda, cuda_compile, raw, registry
from dlcli_kernels.cuda import PROBE, Gpu, Unavailable
from dlcli_kernels.cuda_budget import Recorder
from dlcli_kernels.raw import ARCHS, LaunchError, Source
from dlcli_kernels.registry import Variant
from dlcli_kernels.spec import Spec

from tests.kernels.fake_cupy import Array, DriverFault, RuntimeFault, fake_cupy, missing_names

needs_nvrtc = [
    pytest.mark.nvrtc,
    pytest.mark.skipif(bool(cuda_compile.problem()), reason=cuda_compile.problem()),
]
F32 = np.dtype(np.float32)
SHARING = """
extern "C" __global__ void shares(float* x) {
    __shared__ float s[4096];
    extern __shared__ float more[];
    s[threadIdx.x] = more[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = s[blockDim.x - threadIdx.x] + more[blockDim.x - threadIdx.x];
}
extern "C" __global__ void other(float* x) { x[0] = 1; }
"""


@pytest.fixture
def make(monkeypatch):
    """Puts a fake CuPy in place and opens it: `make(capability="80")`."""

    def put(**how):
        cupy = fake_cupy(**how)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        cuda.gpu.cache_clear()
        cuda.problem.cache_clear()
        return cupy

    yield put
    cuda.gpu.cache_clear()
    cuda.problem.cache_clear()


@pytest.fixture
def gpu(make):
    return Gpu(make())


@pytest.fixture
def sharing(tmp_path):
    (tmp_path / "shares.cu").write_text(SHARING)
    return Source("", "shares.cu", folder=str(tmp_path))


def launches(gpu):
    return gpu.cupy.did.launches


def test_arrays_go_to_the_device_and_come_back(gpu):
    for values in (np.arange(6, dtype=np.float32).reshape(2, 3), np.float64(3), np.zeros((0, 4))):
        there = gpu.put(values)
        assert isinstance(there, Array)
        np.testing.assert_array_equal(gpu.get(there), values)
        assert there.shape == np.shape(values)
    assert gpu.put(np.arange(12.0).reshape(3, 4).T).values.flags.c_contiguous
    assert gpu.empty(Spec((5, 7), F32)).shape == (5, 7)


def test_the_device_says_what_of_its_memory_is_free(gpu):
    assert gpu.room() == 3 << 28


def test_the_device_says_what_it_is(gpu):
    assert (gpu.arch, gpu.multiprocessors, gpu.most_shared) == ("sm_90", 132, 227 << 10)
    with gpu.ordered(gpu.orders[0]):
        assert gpu.orders == ("",)


class TestLaunching:
    pytestmark = needs_nvrtc

    def test_a_kernel_is_compiled_for_the_device_and_loaded_once(self, gpu):
        with raw.running_on(gpu):
            for grid in (3, (4, 2)):
                PROBE.kernel("probe")(grid, 128, gpu.put(np.ones(9, F32)), None, np.int32(9))
        first, second = launches(gpu)
        assert (first.grid, first.block, second.grid) == ((3, 1, 1), (128, 1, 1), (4, 2, 1))
        assert (first.shared, first.cooperative) == (0, False)
        (image,) = gpu.cupy.did.loaded
        assert image.startswith(b"\x7fELF")

    def test_each_set_of_constants_is_a_kernel_of_its_own(self, gpu):
        with raw.running_on(gpu):
            for tile in (1, 2, 1):
                PROBE.kernel("probe", TILE=tile)(1, 32, gpu.put(np.ones(1, F32)), None, 1)
        assert len(gpu.cupy.did.loaded) == 2

    def test_what_it_uses_is_known(self, gpu, sharing):
        assert gpu.resources(sharing.kernel("shares")).shared == 4096 * 4

    def test_more_than_48_kb_of_shared_memory_is_asked_for_once(self, gpu, sharing):
        kernel, x = sharing.kernel("shares"), gpu.put(np.ones(64, F32))
        limit = (48 << 10) - 4096 * 4  # less what the kernel has anyway
        with raw.running_on(gpu):
            for shared in (limit, limit + 4, limit, 150_000, 150_000):
                kernel(1, 64, x, shared=shared)
        assert gpu.cupy.did.attributes == [(4711, 8, limit + 4), (4711, 8, 150_000)]
        assert [launch.shared for launch in launches(gpu)][-1] == 150_000

    def test_more_shared_memory_than_the_device_has_is_refused(self, gpu, sharing):
        with raw.running_on(gpu), pytest.raises(LaunchError, match="at most 232448"):
            sharing.kernel("shares")(1, 64, None, shared=(227 << 10) - 4096 * 4 + 1)
        assert launches(gpu) == []

    def test_blocks_that_wait_for_each_other_must_all_run_at_once(self, make):
        gpu = Gpu(make(resident=2))
        with raw.running_on(gpu):
            PROBE.kernel("probe")(264, 128, gpu.put(np.ones(1, F32)), None, 1, cooperative=True)
            assert launches(gpu)[0].cooperative
            with pytest.raises(LaunchError, match=r"265 blocks .* but 264 run at once"):
                PROBE.kernel("probe")((265, 1), 128, None, None, 1, cooperative=True)
        assert len(launches(gpu)) == 1

    def test_what_the_driver_refuses_is_named(self, make):
        gpu = Gpu(make(refuses=True))
        with raw.running_on(gpu), pytest.raises(LaunchError) as raised:
            PROBE.kernel("probe", TILE=4)(7, (32, 8), None, None, 1)
        assert str(raised.value) == (
            "cuda_probe.cu: probe[TILE=4], 7×1×1 blocks of 32×8×1 threads: "
            "CUDA_ERROR_INVALID_VALUE: invalid argument"
        )
        assert isinstance(raised.value.__cause__, DriverFault)

    def test_a_kernel_that_the_source_has_not_is_named_with_those_it_has(self, gpu, sharing):
        with raw.running_on(gpu), pytest.raises(LaunchError, match=r"no .* kernel share; it has"):
            sharing.kernel("share")(1, 1)

    def test_a_source_for_other_devices_is_refused(self, gpu):
        newer = Source(PROBE.package, PROBE.file, archs=("sm_100a", "sm_120"))
        with raw.running_on(gpu), pytest.raises(LaunchError, match="written for sm_100a, sm_120"):
            newer.kernel("probe")(1, 1, None, None, 1)

    def test_a_working_device_has_no_problem(self, make):
        make()
        assert cuda.problem() == ""
        assert raw.target() is cuda.gpu()
        assert raw.arch_in_use() == "sm_90"
        assert cuda.gpu().facts()["name"] == "Fake"
        assert cuda.gpu().facts()["driver"] == "13.2"

    @pytest.mark.parametrize(
        ("how", "why"),
        [
            ({"wrong": True}, "a kernel ran on sm_90 and gave a wrong result"),
            ({"refuses": True}, "CUDA_ERROR_INVALID_VALUE: invalid argument"),
            ({"capability": "70"}, "written for sm_80, sm_90, sm_100, not for sm_70"),
            ({"capability": "999"}, "invalid value for --gpu-architecture"),
        ],
        ids=["wrong result", "refused", "too old", "unknown to the compiler"],
    )
    def test_a_device_on_which_kernels_do_not_run_right_has_one(self, make, how, why):
        make(**how)
        assert why in cuda.problem()
        assert "\n" not in cuda.problem()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"devices": 0}, "there is no CUDA device"),
        (
            {"fault": RuntimeFault("cudaErrorInsufficientDriver: too old")},
            "CUDA does not answer: cudaErrorInsufficientDriver: too old",
        ),
    ],
    ids=["no device", "no driver"],
)
def test_without_a_device_the_reason_is_one_line(make, how, why):
    make(**how)
    assert cuda.problem() == why
    with pytest.raises(Unavailable):
        raw.target()
    assert raw.arch_in_use() == ""


def test_without_cupy_or_with_a_broken_one_that_is_the_reason(make, monkeypatch, tmp_path):
    make()
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cuda.problem() == "CuPy is not installed"
    cuda.problem.cache_clear()
    (tmp_path / "cupy.py").write_text("raise ImportError('====\\nCuPy is broken\\nreinstall')")
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert cuda.problem() == "CuPy cannot be loaded (CuPy is broken)"


def test_without_a_compiler_that_is_the_reason(make, monkeypatch):
    make()
    monkeypatch.setattr(cuda_compile, "problem", lambda: "NVRTC cannot be loaded")
    assert cuda.problem() == "NVRTC cannot be loaded"


def test_every_kind_of_argument_is_passed_as_the_kernel_has_it(gpu):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    array = gpu.put(np.ones(3, F32))
    assert gpu._parameter(array) is array
    for given, dtype in (
        (7, np.int32),
        (-(2**31), np.int32),
        (0.5, np.float32),
        (None, np.uint64),
        (np.int64(2**40), np.int64),
        (np.float64(0.1), np.float64),
        (np.uint8(3), np.uint8),
        (np.bool_(True), np.bool_),
        (np.float16(2), np.float16),
        (bfloat16(1.5), bfloat16),
    ):
        passed = gpu._parameter(given)
        assert passed.dtype == dtype
        assert passed == (0 if given is None else given)
    assert isinstance(gpu._parameter(bfloat16(1.5)), np.ndarray)  # by value, whatever its kind


@pytest.mark.parametrize(
    ("given", "error"),
    [(2**31, OverflowError), (True, TypeError), ("x", TypeError), (np.ones(3), TypeError)],
    ids=["beyond int", "bool", "text", "array of the host"],
)
def test_what_no_kernel_can_take_is_refused(gpu, given, error):
    with pytest.raises(error):
        gpu._parameter(given)


@pytest.mark.parametrize(
    ("archs", "device", "compiled_for"),
    [
        (ARCHS, "sm_80", "sm_80"),
        (ARCHS, "sm_86", "sm_86"),
        (ARCHS, "sm_90", "sm_90"),
        (ARCHS, "sm_103", "sm_103"),
        (ARCHS, "sm_120", "sm_120"),
        (ARCHS, "sm_75", ""),
        (("sm_90a",), "sm_90", "sm_90a"),
        (("sm_90a",), "sm_100", ""),
        (("sm_90a",), "sm_80", ""),
        (("sm_80", "sm_90a"), "sm_90", "sm_90a"),
        (("sm_80", "sm_90a"), "sm_100", "sm_100"),
        (("sm_100", "sm_90"), "sm_90", "sm_90"),
    ],
)
def test_a_source_is_compiled_for_the_very_device_that_it_is_written_for(
    archs, device, compiled_for
):
    assert raw.fitting(archs, device) == compiled_for


def variant_with(**contents):
    module = ModuleType("cuda_raw_fake")
    vars(module).update(contents)
    return Variant(registry.op("matmul"), "cuda_raw_fake", module)


HOPPER = Source("dlcli_kernels.cuda", "cuda_probe.cu", archs=("sm_90a",))


@pytest.mark.parametrize(
    ("contents", "runs_on"),
    [
        ({}, {"sm_80", "sm_90", "sm_100"}),
        ({"SOURCE": PROBE}, {"sm_80", "sm_90", "sm_100"}),
        ({"SOURCE": HOPPER}, {"sm_90"}),
        ({"PLAIN": PROBE, "SOURCE": HOPPER}, {"sm_90"}),
        ({"PLAIN": PROBE, "SOURCE": HOPPER, "ARCHS": ARCHS}, {"sm_80", "sm_90", "sm_100"}),
        ({"ARCHS": ("sm_90",)}, {"sm_90", "sm_100"}),
    ],
    ids=["no source", "for all", "for Hopper", "both needed", "either", "from sm_90 on"],
)
def test_a_variant_is_for_the_devices_that_its_sources_are_for(contents, runs_on):
    found, specs = variant_with(**contents), [Spec((4, 4), F32), Spec((4, 4), F32), None]
    supported = set()
    for arch in ("sm_80", "sm_90", "sm_100"):
        with raw.running_on(Recorder(arch)):
            if found.supports(specs, {}):
                supported.add(arch)
                assert raw.unfit(found.module) == ""
            else:
                assert raw.unfit(found.module).endswith(f"not for {arch}")
    assert supported == runs_on


def test_with_no_target_no_variant_is_ruled_out(make, monkeypatch):
    make()
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert raw.unfit(variant_with(SOURCE=HOPPER).module) == ""


def test_cupy_has_every_name_that_the_fake_has():
    """Runs where CuPy is installed, with a GPU or without."""
    cupy = pytest.importorskip("cupy")
    assert missing_names(fake_cupy(), cupy) == []
    for name in ("load", "get_function"):
        assert hasattr(cupy.cuda.function.Module, name)
    for name in ("id", "compute_capability"):
        assert hasattr(cupy.cuda.Device, name)
    for name in ("begin_capture", "end_capture", "__enter__"):
        assert hasattr(cupy.cuda.Stream, name)
    assert hasattr(cupy.cuda.Graph, "launch")
    assert cupy.ndarray.__weakrefoffset__  # a plan notices when an array is gone
