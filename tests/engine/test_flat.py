"""Flat parameter buffers: views of one array, values kept, gradients written where the optimiser
reads them.
"""

import numpy as np
import pytest

from dlcli.engine.flat import ALIGN, STORED, FlatParameters
from dlcli.engine.tape import apply, backward
from dlcli.engine.tensor import Tensor


def tensors():
    rng = np.random.default_rng(0)
    return {
        name: Tensor(rng.standard_normal(shape), requires_grad=True)
        for name, shape in {"w": (5, 7), "b": (5,), "empty": (0, 3), "one": (1,)}.items()
    }


def test_parameters_become_views_with_their_values_kept_and_aligned():
    parameters = tensors()
    before = {name: p.data.copy() for name, p in parameters.items()}
    flat = FlatParameters(parameters)
    for name, p in parameters.items():
        np.testing.assert_array_equal(p.data, before[name])
        assert np.shares_memory(p.data, flat.data.data) or not p.data.size
        assert flat.slices[name].start % ALIGN == 0
    flat.data.data[...] = 4
    assert all((p.data == 4).all() for p in parameters.values())


def test_a_gradient_lands_in_the_flat_buffer_and_the_next_step_overwrites_it():
    parameters = tensors()
    flat = FlatParameters(parameters)
    for factor in (2.0, 3.0):
        flat.zero_grad()
        backward(apply("scale", parameters["b"], by=factor))
        flat.settle()
        np.testing.assert_array_equal(flat.grad.data[flat.slices["b"]], factor)
        rest = np.delete(flat.grad.data, np.arange(*flat.slices["b"].indices(flat.grad.data.size)))
        np.testing.assert_array_equal(rest, 0)


def test_a_parameter_without_a_gradient_this_step_has_a_gradient_of_zero():
    parameters = tensors()
    flat = FlatParameters(parameters)
    backward(apply("scale", parameters["w"], by=2.0))
    flat.zero_grad()
    backward(apply("scale", parameters["b"], by=2.0))
    flat.settle()
    np.testing.assert_array_equal(parameters["w"].grad.data, 0)


def test_mixed_dtypes_and_a_parameter_given_twice_are_refused():
    one = Tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ValueError, match="one dtype"):
        FlatParameters({"a": one, "b": Tensor(np.ones(3, np.float32), requires_grad=True)})
    with pytest.raises(ValueError, match="twice"):
        FlatParameters({"a": one, "b": one})


def test_a_file_keeps_values_in_a_layout_that_does_not_follow_the_memory_s():
    flat = FlatParameters(tensors())
    packed = flat.pack(flat.data.numpy())
    assert packed.shape == (48 + STORED + 0 + STORED,)  # w: 35, b: 5, empty: 0, one: 1 elements
    np.testing.assert_array_equal(packed[:35], flat.parameters["w"].numpy().reshape(-1))
    np.testing.assert_array_equal(packed[48:53], flat.parameters["b"].numpy())
    assert packed[64] == flat.parameters["one"].item()
    np.testing.assert_array_equal(flat.unpack(packed), flat.data.numpy())
