"""Embeddings: rows of a table, their gradient, and the row of padding."""

import numpy as np
import pytest

from dlcli.engine import tape
from dlcli.engine.tensor import Tensor
from dlcli.nn import Embedding

IDS = np.array([[3, 0, 3], [1, 5, 0]])


def embedding(**options) -> Embedding:
    layer = Embedding(6, 4, **options)
    layer.initialize(0)
    return layer


def test_the_row_of_padding_is_zeros_and_the_others_are_normal():
    layer = Embedding(2000, 50, padding=7, std=0.1)
    layer.initialize(3)
    table = layer.weight.numpy()
    assert not table[7].any()
    assert abs(table.mean()) < 2e-3
    assert abs(table.std() - 0.1) < 2e-3


def test_padding_has_no_gradient_and_a_word_twice_has_both():
    layer = embedding(padding=0)
    tape.backward(layer(Tensor(IDS)))
    grad = layer.weight.grad.numpy()
    assert grad[:, 0].tolist() == [0, 1, 0, 2, 0, 1]


def test_an_id_that_is_not_in_the_table_gives_nan():
    with tape.no_grad():
        out = embedding()(Tensor(np.array([6, -1, 2]))).numpy()
    assert np.isnan(out).all(axis=1).tolist() == [True, True, False]


@pytest.mark.parametrize(("count", "size", "padding"), [(0, 3, None), (3, 0, None), (3, 3, 3)])
def test_a_table_without_rows_or_a_padding_outside_is_refused(count, size, padding):
    with pytest.raises(ValueError, match="Embedding"):
        Embedding(count, size, padding=padding)


@pytest.mark.oracle
@pytest.mark.parametrize("padding", [None, 3])
def test_outputs_and_gradients_are_those_of_pytorch(padding):
    torch = pytest.importorskip("torch")
    layer = embedding(padding=padding)
    theirs = torch.nn.Embedding(6, 4, padding_idx=padding)
    theirs.weight.data = torch.tensor(layer.weight.numpy())
    dout = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    expected = theirs(torch.tensor(IDS))
    expected.backward(torch.tensor(dout))
    out = layer(Tensor(IDS))
    tape.backward(tape.apply("mul", out, Tensor(dout)))
    np.testing.assert_array_equal(out.numpy(), expected.detach().numpy())
    np.testing.assert_allclose(layer.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-6)
