"""The executor: the same bits for any number of threads, and clear errors."""

import numpy as np
import pytest

from dlcli.engine import executor
from dlcli.engine.tape import backward
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


def test_an_unknown_device_and_a_missing_cuda_are_device_errors():
    with pytest.raises(DeviceError, match="unknown device"):
        executor.configure(1, "tpu")
    with pytest.raises(DeviceError, match="cuda") as error:
        executor.configure(1, "cuda")
    assert error.value.why


def test_a_wrong_shape_is_refused_by_the_contract_before_any_kernel_runs():
    from dlcli.engine.tape import apply

    with pytest.raises(ValueError, match="do not fit together"):
        apply("matmul", Tensor(np.ones((2, 3))), Tensor(np.ones((2, 3))))
