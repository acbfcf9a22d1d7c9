"""The executor: the same bits for any number of threads, and clear errors."""

import numpy as np
import pytest
from dlcli_kernels import registry
from dlcli_kernels.launch import MOST_PARTIALS, Launch
from dlcli_kernels.spec import Spec

from dlcli.engine import executor
from dlcli.engine.tape import apply, backward
from dlcli.engine.tensor import Tensor
from dlcli.errors import DeviceError
from dlcli.models import cnn


@pytest.fixture(autouse=True)
def _default_executor_afterwards():
    yield
    executor.configure()


def losses_and_gradients(threads):
    executor.configure(threads)
    model = cnn.build(cnn.Config(), (28, 28, 1), 10, seed=3)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((37, 28, 28, 1)).astype(np.float32)
    (phase,) = model.phases()

    class Batch:
        pass

    batch = Batch()
    batch.x, batch.y = x, rng.integers(0, 10, 37)
    loss, outputs = phase.loss(batch)
    backward(loss)
    grads = [p.grad.data.tobytes() for p in model.named_parameters().values()]
    return loss.data.tobytes(), outputs["logits"].data.tobytes(), grads


def test_losses_and_gradients_have_the_same_bits_for_any_number_of_threads():
    one = losses_and_gradients(1)
    assert losses_and_gradients(2) == one
    assert losses_and_gradients(5) == one


def test_an_unknown_device_is_a_device_error_and_the_executor_in_use_stays():
    before = executor.current()
    with pytest.raises(DeviceError, match="unknown device"):
        executor.configure(1, "tpu")
    assert executor.current() is before
    assert apply("add", Tensor(np.ones(2)), Tensor(np.ones(2))).numpy().tolist() == [2, 2]


def test_a_wrong_shape_is_refused_by_the_contract_before_any_kernel_runs():
    with pytest.raises(ValueError, match="do not fit together"):
        apply("matmul", Tensor(np.ones((2, 3))), Tensor(np.ones((2, 3))))


def test_a_gradient_that_is_shorter_than_its_output_is_refused_not_read_beyond_its_end():
    with pytest.raises(ValueError, match="one shape"):
        apply("act_grad", Tensor(np.ones((4, 5))), Tensor(np.ones((2, 5))), act="relu")


def test_the_memory_of_signatures_is_bounded(monkeypatch):
    monkeypatch.setattr(executor, "MOST_SIGNATURES", 3)
    for n in range(10):
        x = Tensor(np.ones(n))
        np.testing.assert_array_equal(apply("add", x, x).data, np.full(n, 2.0))
        assert len(executor.current().launches) <= 3


@pytest.mark.parametrize("size", [4, 1_000_000], ids=["one range", "many ranges"])
def test_kernels_do_not_warn_of_overflow_or_nan_on_any_thread(size):
    executor.configure(3)
    x = Tensor(np.full(size, 3e38, np.float32))
    assert np.isinf(apply("add", x, x).data).all()
    infinite = Tensor(np.full(size, np.inf, np.float32))
    assert np.isnan(apply("div", infinite, infinite).data).all()
    assert np.isnan(apply("act", Tensor(np.full(size, np.nan)), act="gelu").data).all()


@pytest.mark.parametrize("size", [4, 1_000_000], ids=["one range", "many ranges"])
def test_denormals_are_flushed_to_zero_within_an_op_and_nowhere_else(size):
    x = np.full(size, 1e-38, np.float32)
    assert (apply("scale", Tensor(x), by=0.01).data == 0).all()
    assert (x * np.float32(0.01) > 0).all()


def test_a_float64_batch_for_a_float32_layer_is_refused_by_name():
    rows, images = Tensor(np.ones((2, 3))), Tensor(np.ones((2, 8, 8, 1)))
    with pytest.raises(ValueError, match="matmul: b is float32 and a float64, but b must be"):
        apply("matmul", rows, Tensor(np.ones((3, 4), np.float32)))
    with pytest.raises(ValueError, match="conv2d_pool: w is float32 and x float64"):
        cnn.build(cnn.Config(), (8, 8, 1), 10)(images)


def test_an_operand_to_be_updated_in_place_is_never_replaced_by_a_copy():
    strided = np.zeros(8)[::2]
    with pytest.raises(ValueError, match="target is updated in place and must be contiguous"):
        apply("fill", Tensor(strided), value=1.0)
    assert (strided == 0).all()


def test_partial_sums_are_few_whatever_grain_an_op_chooses():
    x, rows, gamma = (Spec(s, np.dtype(np.float32)) for s in ((4096, 512), (4096,), (512,)))
    op, ins = registry.op("layernorm_grad"), [x, gamma, rows, rows, x]
    launch = Launch(op, registry.resolve(op, "cpu", ins, {}), ins, {})
    assert 1 < len(launch.ranges) <= MOST_PARTIALS
    assert launch.ranges[-1][1] == 4096
