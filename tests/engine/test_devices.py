"""Devices: which is chosen and why, what CUDA's executor asks of its target, and the strict device
that the tests of training use.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from dlcli_kernels import raw, registry
from dlcli_kernels.spec import Spec

from dlcli.engine import device, executor
from dlcli.engine.cuda_executor import CudaExecutor
from dlcli.engine.flat import ALIGN, FlatParameters
from dlcli.engine.tape import apply, backward
from dlcli.engine.tensor import Tensor, on_device, zeros
from dlcli.errors import DeviceError
from tests.engine.strict import BOUNDARY, StrictExecutor, StrictTarget, TouchedByHost

F32 = np.dtype(np.float32)


@pytest.fixture
def cuda(monkeypatch):
    """`cuda("why")`: from here on CuPy is installed and CUDA does not work, for that reason."""

    def having(why, installed=True):
        monkeypatch.setattr(device, "has_cupy", lambda: installed)
        monkeypatch.setattr(device, "cuda_problem", lambda: why)

    return having


@pytest.fixture
def strict():
    with executor.using(StrictExecutor()) as made:
        yield made


# --- the choice -----------------------------------------------------------------------------------


def test_auto_takes_cuda_where_a_kernel_ran_and_says_nothing(cuda):
    cuda("")
    assert device.choose("auto") == device.choose("cuda") == ("cuda", "")


def test_auto_takes_the_cpu_and_says_in_a_line_why_where_cuda_is_broken(cuda):
    cuda("the driver is too old")
    chosen, note = device.choose("auto")
    assert chosen == "cpu"
    assert "the driver is too old" in note
    assert "\n" not in note


def test_auto_says_nothing_where_there_simply_is_no_cupy(cuda):
    cuda("CuPy is not installed", installed=False)
    assert device.choose("auto") == ("cpu", "")


@pytest.mark.parametrize(
    ("installed", "hint"), [(True, "dlcli doctor"), (False, "pip install 'dlcli")]
)
def test_asking_for_cuda_where_it_does_not_work_is_a_device_error_with_a_way_out(
    cuda, installed, hint
):
    cuda("no such thing", installed)
    with pytest.raises(DeviceError, match="--device cuda cannot be used") as error:
        device.choose("cuda")
    assert error.value.why == "no such thing"
    assert hint in error.value.hint


def test_the_cpu_is_chosen_without_a_look_at_cuda(monkeypatch):
    monkeypatch.setattr(device, "cuda_problem", lambda: pytest.fail("CUDA was asked"))
    assert device.choose("cpu") == ("cpu", "")


def test_the_cpu_computes_in_float32_alone():
    with pytest.raises(DeviceError, match="the CPU does not compute in tf32") as error:
        executor.configure(1, "cpu", "tf32")
    assert "float32" in error.value.hint
    with pytest.raises(DeviceError, match="unknown precision 'fp8'"):
        executor.configure(1, "cpu", "fp8")


@pytest.mark.parametrize(("arch", "fits"), [("sm_75", False), ("sm_80", True), ("sm_90a", True)])
def test_tf32_needs_tensor_cores_that_have_it(arch, fits):
    target = StrictTarget()
    target.arch = arch
    with raw.running_on(target):
        device.check_precision("float32", "cuda")
        if fits:
            device.check_precision("tf32", "cuda")
        else:
            with pytest.raises(DeviceError, match="this GPU does not compute in tf32"):
                device.check_precision("tf32", "cuda")


def test_what_doctor_shows_of_cuda_is_why_not_or_what_it_is(cuda, monkeypatch):
    cuda("no driver")
    assert device.facts()["cuda"] == {"available": False, "why": "no driver"}
    cuda("")
    gpu = SimpleNamespace(facts=lambda: {"name": "a GPU", "arch": "sm_80"})
    monkeypatch.setattr("dlcli_kernels.cuda.gpu", lambda: gpu)
    assert device.facts()["cuda"] == {"available": True, "name": "a GPU", "arch": "sm_80"}


# --- CUDA's executor ------------------------------------------------------------------------------


def test_a_configured_executor_for_cuda_is_of_the_target_in_use(cuda):
    cuda("")
    target = StrictTarget()
    before = executor._current
    executor._current = None  # or the CPU's would be closed
    try:
        with raw.running_on(target):
            made = executor.configure(2, "cuda", "tf32")
        assert executor.current() is made
    finally:
        executor._current = before
    assert isinstance(made, CudaExecutor)
    assert made.target is target
    assert made.describe() == {
        "device": "cuda",
        "threads": 2,
        "precision": "tf32",
        "arch": "sm_80",
        "multiprocessors": 1,
    }


def test_values_come_back_as_they_went_in_whatever_their_order_in_memory(strict):
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    for form in (values, np.asfortranarray(values), values[::-1, ::2], values.astype(">f4")):
        np.testing.assert_array_equal(on_device(form).numpy(), form)
    scalar = on_device(np.array(3.5))
    assert scalar.shape == ()
    assert scalar.item() == 3.5


def test_writing_copying_and_zeros_leave_every_other_array_alone(strict):
    x = zeros((2, 3))
    other = strict.copy(x.data)
    x.write(np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(x.numpy(), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(strict.get(other), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="reshape"):
        x.write(np.zeros(5))


def test_an_operand_off_the_boundary_or_not_contiguous_reaches_the_kernel_as_a_copy(strict):
    base = on_device(np.arange(32, dtype=np.float32).reshape(4, 8))
    for part in (np.s_[:, 1:5], np.s_[1:3, :], np.s_[::2, ::2], np.s_[3:, 1:]):
        view = Tensor(base.data[part])
        want = np.arange(32, dtype=np.float32).reshape(4, 8)[part] * 2
        np.testing.assert_array_equal(apply("scale", view, by=2.0).numpy(), want)


def test_an_operand_to_be_updated_in_place_is_refused_rather_than_copied(strict):
    base = on_device(np.zeros((4, 8), np.float32))
    for part in (np.s_[:, ::2], np.s_[3:, 1:]):
        with pytest.raises(ValueError, match=r"target is updated in place and must be .*16 bytes"):
            apply("fill", Tensor(base.data[part]), value=1.0)
    np.testing.assert_array_equal(base.numpy(), 0)


def test_an_op_without_a_kernel_is_a_device_error_that_names_it():
    with raw.running_on(StrictTarget()):
        made = CudaExecutor()
    nothing = registry.op("add")
    x = made.zeros(Spec((3,), np.dtype(np.float16)))
    with pytest.raises(DeviceError, match=r"no cuda kernel for add \(x: \(3,\) float16"):
        made.run(nothing, [x, x], {}, False)


def test_what_the_gpu_fails_at_is_a_device_error_in_one_line(monkeypatch):
    def fail(*_):
        raise raw.LaunchError("matmul_naive: an illegal address\nand a long story")

    with raw.running_on(StrictTarget()), executor.using(CudaExecutor()) as made:
        x = zeros((2,))
        monkeypatch.setattr(made.target, "get", fail)
        with pytest.raises(DeviceError, match="the GPU failed") as error:
            x.item()
        assert error.value.why == "matmul_naive: an illegal address"
        monkeypatch.setattr(made, "resolve", lambda *_: SimpleNamespace(run=fail, workspace=none))
        with pytest.raises(DeviceError, match="the GPU refuses add"):
            apply("add", x, x)


def none(*_):
    """No scratch."""


def test_every_parameter_in_the_flat_buffer_begins_on_the_boundary_of_an_allocation(strict):
    rng = np.random.default_rng(0)
    parameters = {
        f"p{n}": on_device(rng.standard_normal(n).astype(np.float32), requires_grad=True)
        for n in (1, 63, 64, 65, 130)
    }
    flat = FlatParameters(parameters)
    for name, p in parameters.items():
        assert flat.slices[name].start % ALIGN == 0
        assert p.data.data.ptr % BOUNDARY == p.grad.data.data.ptr % BOUNDARY == 0


def test_gradients_accumulate_and_settle_on_a_device(strict):
    x = on_device(np.array([1.0, 2.0], np.float32), requires_grad=True)
    backward(apply("scale", x, by=2.0))
    backward(apply("mul", x, x))
    np.testing.assert_array_equal(x.grad.numpy(), [4.0, 6.0])


# --- the strict device ----------------------------------------------------------------------------

TOUCHES = {
    "numpy.asarray": np.asarray,
    "numpy.array": np.array,
    "float": float,
    "int": int,
    "bool": bool,
    "len": len,
    "list": list,
    "an element": lambda a: a[0],
    "a mask": lambda a: a[np.array([True, False])],
    ".item": lambda a: a.item(),
    ".copy": lambda a: a.copy(),
    ".size": lambda a: a.size,
    ".sum": lambda a: a.sum(),
    "a number assigned": lambda a: a.__setitem__(slice(None), 1.0),
    "an array assigned": lambda a: a.__setitem__(slice(None), np.zeros(2, np.float32)),
    "a sum": lambda a: a + a,
    "a sum with NumPy": lambda a: np.ones(2, np.float32) + a,
    "a comparison": lambda a: a == a,
    "numpy.isfinite": np.isfinite,
    "numpy.sum": np.sum,
    "numpy.zeros_like": np.zeros_like,
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_the_strict_device_refuses_every_touch_of_the_host(touch):
    array = StrictTarget().empty(Spec((2,), F32))
    with pytest.raises((TouchedByHost, TypeError)):
        TOUCHES[touch](array)


# --- fused ops ------------------------------------------------------------------------------------


class WithoutFused(StrictExecutor):
    """The strict device with none of the ops that can be made of others."""

    def has_kernel(self, op):
        return op.decompose is None


def test_a_fused_op_that_a_device_has_no_kernel_for_runs_as_the_plain_ops_it_is_made_of():
    rng = np.random.default_rng(0)
    shapes = ((3, 4, 5), (3, 2), (3, 2), (8, 5), (8, 2), (8,))
    arrays = [rng.standard_normal(shape) for shape in shapes]

    def outputs_and_gradients():
        tensors = [on_device(array, requires_grad=True) for array in arrays]
        out, _, _ = apply("lstm_layer", *tensors, reverse=True)
        backward(out)
        return [out.numpy(), *[t.grad.numpy() for t in tensors]]

    want = outputs_and_gradients()
    with executor.using(WithoutFused()) as made:
        got = outputs_and_gradients()
    assert {"matmul", "lstm_sequence", "lstm_sequence_grad"} <= made.ran
    assert not {"lstm_layer", "lstm_layer_grad"} & made.ran
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_cuda_has_a_kernel_of_an_op_where_one_runs_by_default():
    made = StrictExecutor()
    for devices, has in ((("cpu",), False), (("cpu", "cuda"), True), ((), False)):
        op = SimpleNamespace(prefer={(name, "float32"): ("a_variant",) for name in devices})
        assert CudaExecutor.has_kernel(made, op) == has
