"""Tensor maps: what the driver is told of an array, and which arrays and boxes cannot be mapped."""

import sys

import numpy as np
import pytest
from dlcli_kernels import cuda_tensor_map
from dlcli_kernels.cuda import Gpu
from dlcli_kernels.raw import TensorMap

from tests.kernels.fake_cupy import fake_cupy


@pytest.fixture
def told(monkeypatch):
    """What the driver's function was called with, in order; without libcuda it is not there."""
    driver = pytest.importorskip("cuda.bindings.driver")
    calls = []

    def encode(*arguments):
        calls.append(arguments)
        made = driver.CUtensorMap()
        made.opaque = [driver.cuuint64_t(2**63 + i) for i in range(16)]
        return driver.CUresult.CUDA_SUCCESS, made

    monkeypatch.setattr(driver, "cuTensorMapEncodeTiled", encode)
    return calls


@pytest.fixture
def gpu():
    return Gpu(fake_cupy())


def aligned(*shape, dtype=np.float16):
    """An array of the host on a boundary of 16 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 16, np.uint8)
    start = -raw.ctypes.data % 16
    return raw[start : start + size].view(dtype).reshape(shape)


def mapped(gpu, values, box, swizzle=128):
    array = gpu.put(values)
    array.values, array.data.ptr = values, values.ctypes.data
    array.shape, array.strides = values.shape, values.strides
    return gpu._parameter(TensorMap(array, box, swizzle))


def test_the_driver_is_told_extents_and_strides_innermost_first(gpu, told):
    values = aligned(512, 256)
    passed = mapped(gpu, values, (128, 64))
    (call,) = told
    kind, rank, address, extents, strides, box, steps, interleave, swizzle, l2, fill = call
    assert kind.name == "CU_TENSOR_MAP_DATA_TYPE_FLOAT16"
    assert (rank, address) == (2, values.ctypes.data)
    assert [int(e) for e in extents] == [256, 512]
    assert [int(s) for s in strides] == [512]
    assert [int(b) for b in box] == [64, 128]
    assert [int(s) for s in steps] == [1, 1]
    assert swizzle.name == "CU_TENSOR_MAP_SWIZZLE_128B"
    assert (interleave.value, fill.value) == (0, 0)
    assert l2.name == "CU_TENSOR_MAP_L2_PROMOTION_L2_128B"
    assert (passed.size, passed.nbytes) == (1, 128)  # CuPy passes one element by value
    words = np.frombuffer(passed.tobytes(), np.uint64)
    assert words.tolist() == [2**63 + i for i in range(16)]


def test_a_part_of_rows_is_mapped_with_the_stride_of_the_whole(gpu, told):
    mapped(gpu, aligned(512, 256)[:, :64], (64, 32), swizzle=64)
    assert [int(e) for e in told[0][3]] == [64, 512]
    assert [int(s) for s in told[0][4]] == [512]
    assert told[0][8].name == "CU_TENSOR_MAP_SWIZZLE_64B"


def test_bfloat16_is_known_by_its_name(gpu, told):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    mapped(gpu, aligned(64, 64, dtype=bfloat16), (64, 64))
    assert told[0][0].name == "CU_TENSOR_MAP_DATA_TYPE_BFLOAT16"


def test_the_same_array_and_box_are_encoded_once(gpu, told):
    values = aligned(128, 64)
    first = mapped(gpu, values, (64, 64))
    assert mapped(gpu, values, (64, 64)) is first
    assert len(told) == 1
    mapped(gpu, values, (32, 64))
    assert len(told) == 2


def test_maps_are_not_kept_without_end(gpu, told, monkeypatch):
    monkeypatch.setattr(cuda_tensor_map, "MOST_KEPT", 3)
    values = aligned(128, 64)
    for rows in range(1, 9):
        mapped(gpu, values, (rows, 64))
    assert len(gpu._maps._kept) <= 3


@pytest.mark.parametrize(
    ("values", "box", "swizzle", "why"),
    [
        (aligned(64), (64,), 0, "1 axes, not 2 to 5"),
        (aligned(64, 64), (64,), 0, "not an extent for each axis"),
        (aligned(64, 64, dtype=np.complex64), (8, 8), 0, "complex64 cannot be copied"),
        (aligned(64, 64), (64, 64), 16, "swizzle of 16 bytes is none of 0, 32, 64, 128"),
        (aligned(0, 64), (64, 64), 0, "is empty"),
        (aligned(65, 64).reshape(-1)[1:4097].reshape(64, 64), (8, 8), 0, "not begin on a bound"),
        (aligned(64, 128)[:, ::2], (8, 8), 0, "do not lie side by side"),
        (aligned(64, 65), (8, 8), 0, "rows do not begin"),
        (aligned(512, 64), (257, 64), 0, "is not 1 to 256"),
        (aligned(64, 64), (8, 4), 0, "no multiple of 16 bytes"),
        (aligned(64, 128), (8, 128), 128, "longer than the swizzle of 128 bytes"),
    ],
)
def test_what_cannot_be_mapped_is_refused_with_the_rule(gpu, values, box, swizzle, why):
    with pytest.raises(ValueError, match=why):
        mapped(gpu, values, box, swizzle)


def test_what_the_driver_refuses_is_an_error(gpu, told, monkeypatch):
    from cuda.bindings import driver

    refusal = lambda *arguments: (driver.CUresult.CUDA_ERROR_INVALID_VALUE, None)  # noqa: E731
    monkeypatch.setattr(driver, "cuTensorMapEncodeTiled", refusal)
    with pytest.raises(ValueError, match="CUDA_ERROR_INVALID_VALUE"):
        mapped(gpu, aligned(64, 64), (64, 64))


def test_arguments_are_of_the_types_that_the_driver_s_binding_takes(gpu):
    """Without libcuda the binding gets as far as looking for it: it has taken the arguments."""
    driver = pytest.importorskip("cuda.bindings.driver")
    assert "cuda.bindings.driver" in sys.modules
    try:
        driver.cuInit(0)
    except RuntimeError:
        with pytest.raises(RuntimeError, match="cuda"):
            mapped(gpu, aligned(64, 64), (64, 64))
    else:
        assert mapped(gpu, aligned(64, 64), (64, 64)).nbytes == 128
