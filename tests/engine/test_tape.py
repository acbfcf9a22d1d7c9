"""The tape: gradients accumulate, nothing recurses, nothing is recorded that is not wanted."""

import numpy as np
import pytest

from dlcli.engine import tape
from dlcli.engine.tape import apply, backward, no_grad
from dlcli.engine.tensor import Tensor


def parameter(*values):
    return Tensor(np.array(values), requires_grad=True)


def test_a_tensor_used_twice_gets_the_sum_of_both_gradients():
    x = parameter(1.0, 2.0, 3.0)
    backward(apply("add", apply("mul", x, x), x))
    np.testing.assert_array_equal(x.grad.data, [3.0, 5.0, 7.0])


def test_gradients_accumulate_over_backward_passes_until_they_are_stale():
    x = parameter(1.0, 2.0)
    backward(apply("scale", x, by=2.0))
    backward(apply("scale", x, by=3.0))
    np.testing.assert_array_equal(x.grad.data, [5.0, 5.0])
    x.grad_is_stale = True
    backward(apply("scale", x, by=7.0))
    np.testing.assert_array_equal(x.grad.data, [7.0, 7.0])


def test_two_leaves_that_get_one_gradient_do_not_share_it():
    x, y = parameter(1.0, 2.0), parameter(3.0, 4.0)
    backward(apply("add", x, y))
    backward(apply("scale", x, by=2.0))
    np.testing.assert_array_equal(x.grad.data, [3.0, 3.0])
    np.testing.assert_array_equal(y.grad.data, [1.0, 1.0])


def test_a_hidden_tensor_used_three_times_gets_the_sum_of_its_gradients():
    x = parameter(2.0, 3.0)
    hidden = apply("scale", x, by=5.0)
    backward(apply("add", apply("mul", hidden, hidden), hidden))
    np.testing.assert_array_equal(x.grad.data, 5 * (2 * 5 * np.array([2.0, 3.0]) + 1))


def test_a_second_loss_over_what_the_first_one_consumed_is_an_error_not_a_lost_gradient():
    x = parameter(1.0, 2.0)
    hidden = apply("mul", x, x)
    first, second = apply("scale", hidden, by=2.0), apply("scale", hidden, by=3.0)
    backward(first)
    with pytest.raises(ValueError, match="no longer, on the tape"):
        backward(second)


def test_an_op_that_fails_leaves_the_tape_as_it_was():
    x = parameter(1.0, 2.0)
    y = apply("scale", x, by=3.0)
    with pytest.raises(ValueError, match="one shape"):
        apply("add", y, parameter(1.0))
    backward(y)
    np.testing.assert_array_equal(x.grad.data, [3.0, 3.0])


def test_within_no_grad_views_are_not_recorded_either_and_an_inner_end_ends_nothing():
    x = parameter(1.0, 2.0)
    with no_grad():
        with no_grad():
            assert not x.reshape(2, 1).requires_grad
        assert not x.reshape(2, 1).requires_grad
        assert not apply("scale", x, by=2.0).requires_grad
    assert not tape._tape


def test_recording_goes_on_after_an_error_within_no_grad():
    x = parameter(1.0)
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert apply("scale", x, by=1.0).requires_grad
    tape.clear()


def test_a_chain_of_twenty_thousand_ops_does_not_recurse():
    x = parameter(1.0)
    y = x
    for _ in range(20_000):
        y = apply("scale", y, by=1.0)
    backward(y)
    np.testing.assert_array_equal(x.grad.data, [1.0])


def test_no_grad_records_nothing_and_frozen_inputs_get_no_gradient():
    x, frozen = parameter(1.0, 2.0), Tensor(np.array([3.0, 4.0]))
    with no_grad():
        hidden = apply("mul", x, x)
    assert not hidden.requires_grad
    backward(apply("mul", x, frozen))
    np.testing.assert_array_equal(x.grad.data, [3.0, 4.0])
    assert frozen.grad is None


def test_backward_of_something_that_was_not_recorded_is_an_error():
    with pytest.raises(ValueError, match="does not depend"):
        backward(Tensor(np.array(1.0)))


def test_backward_consumes_the_tape_and_clear_forgets_it():
    x = parameter(1.0)
    backward(apply("mul", x, x))
    assert not tape._tape
    apply("mul", x, x)
    assert tape._tape
    tape.clear()
    assert not tape._tape


def test_a_view_shares_memory_and_passes_its_gradient_back_in_the_base_s_shape():
    x = Tensor(np.arange(6.0), requires_grad=True)
    y = x.reshape(2, -1)
    assert y.shape == (2, 3)
    assert np.shares_memory(x.data, y.data)
    backward(apply("mul", y, y))
    np.testing.assert_array_equal(x.grad.data, 2 * np.arange(6.0))


def test_outputs_that_only_backward_needs_are_not_made_without_a_gradient():
    x = Tensor(np.random.default_rng(0).standard_normal((2, 4, 4, 3)))
    x_grad = Tensor(x.data, requires_grad=True)
    settings = {"window": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}
    apply("maxpool2d", x, **settings)
    assert not tape._tape
    apply("maxpool2d", x_grad, **settings)
    (node,) = tape._tape
    assert node.outs[node.names.index("argmax")] is not None
    tape.clear()
