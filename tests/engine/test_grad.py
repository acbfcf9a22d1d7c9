"""`tape.grad`: what it returns, what it leaves alone, and gradients of gradients of every op."""

import numpy as np
import pytest
from dlcli_kernels import registry

from dlcli.engine import tape
from dlcli.engine.tape import apply, backward, grad, no_grad
from dlcli.engine.tensor import Tensor

from .second_order import Twice


@pytest.fixture(autouse=True)
def _empty_tape():
    tape.clear()
    yield
    tape.clear()


def parameter(*values):
    return Tensor(np.array(values), requires_grad=True)


def cube(x):
    return apply("mul", apply("mul", x, x), x)


def test_gradients_come_in_the_order_of_the_inputs_and_no_leaf_keeps_one():
    x, y = parameter(2.0, 3.0), parameter(5.0, 7.0)
    dy, dx = grad(apply("mul", cube(x), y), [y, x])
    np.testing.assert_array_equal(dy.data, [8.0, 27.0])
    np.testing.assert_array_equal(dx.data, [60.0, 189.0])
    assert x.grad is None
    assert y.grad is None
    assert not tape._tape


def test_the_derivatives_of_a_cube_are_found_one_after_the_other():
    x = parameter(2.0, -3.0)
    (first,) = grad(cube(x), [x], create_graph=True)
    (second,) = grad(first, [x], create_graph=True)
    (third,) = grad(second, [x])
    np.testing.assert_array_equal(first.data, 3 * x.data**2)
    np.testing.assert_array_equal(second.data, 6 * x.data)
    np.testing.assert_array_equal(third.data, [6.0, 6.0])


def test_a_loss_may_hold_an_output_and_its_gradient():
    """d/dx Σ (x³ + (3x²)²) = 3x² + 36x³."""
    x = parameter(2.0, -1.0)
    y = cube(x)
    (slope,) = grad(y, [x], create_graph=True)
    backward(apply("add", y, apply("mul", slope, slope)))
    np.testing.assert_allclose(x.grad.data, 3 * x.data**2 + 36 * x.data**3)


def test_a_hidden_tensor_may_be_an_input_and_what_lies_before_it_too():
    x = parameter(2.0)
    hidden = apply("mul", x, x)
    by_hidden, by_x = grad(apply("mul", hidden, hidden), [hidden, x])
    np.testing.assert_array_equal(by_hidden.data, [8.0])
    np.testing.assert_array_equal(by_x.data, [32.0])


def test_an_output_is_its_own_input():
    x = parameter(2.0, 3.0)
    (one,) = grad(x, [x])
    np.testing.assert_array_equal(one.data, [1.0, 1.0])


def test_only_what_lies_between_is_differentiated(monkeypatch):
    """A weight's gradient is not computed where that of the images is asked for."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((2, 5, 5, 3)), requires_grad=True)
    w = Tensor(rng.standard_normal((4, 3, 3, 3)), requires_grad=True)
    attrs = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    out = apply("conv2d", x, w, None, act=None, **attrs)
    ran = []
    run = tape.executor.current().run
    monkeypatch.setattr(
        tape.executor.current(), "run", lambda op, *rest: ran.append(op.name) or run(op, *rest)
    )
    grad(out, [x], create_graph=True)
    assert ran == ["fill", "conv2d_dgrad"]


def test_an_input_on_which_nothing_depends_is_an_error():
    x, y = parameter(1.0), parameter(2.0)
    with pytest.raises(ValueError, match="does not depend on input 1"):
        grad(cube(x), [x, y])


def test_within_no_grad_no_graph_can_be_created():
    x = parameter(1.0)
    y = cube(x)
    with no_grad(), pytest.raises(ValueError, match="no_grad"):
        grad(y, [x], create_graph=True)


def test_a_view_is_differentiated_twice():
    x = Tensor(np.arange(6.0), requires_grad=True)
    (slope,) = grad(cube(x.reshape(2, 3)), [x], create_graph=True)
    assert slope.shape == (6,)
    backward(slope)
    np.testing.assert_array_equal(x.grad.data, 6 * x.data)


def test_a_gradient_of_few_rows_comes_as_a_whole_table():
    table = parameter([1.0, 2.0], [3.0, 4.0], [5.0, 6.0])
    rows = apply("embedding", table, Tensor(np.array([2, 0, 2])))
    (slope,) = grad(apply("mul", rows, rows), [table])
    np.testing.assert_array_equal(slope.data, [[2.0, 4.0], [0.0, 0.0], [20.0, 24.0]])


def test_a_chain_of_five_thousand_ops_is_differentiated_twice_without_recursion():
    x = parameter(0.5)
    y = cube(x)
    for _ in range(5_000):
        y = apply("scale", y, by=1.0)
    (slope,) = grad(y, [x], create_graph=True)
    backward(slope)
    np.testing.assert_array_equal(x.grad.data, [3.0])


# --- every op -------------------------------------------------------------------------------------

ONCE = {  # ops whose gradient is made by an op without one, which the error names
    "act_grad": "act_curve",
    "additive_scores": "additive_scores_grad",
    "attention": "attention_grad",
    "batchnorm_inference": "batchnorm_inference_grad",
    "embedding": "embedding_grad",
    "gru_cell": "gru_cell_grad",
    "gru_sequence": "gru_sequence",
    "lstm_cell": "lstm_cell_grad",
    "lstm_layer": "lstm_",
    "lstm_sequence": "lstm_sequence",
    "max": "max_grad",
    "rnn_cell": "rnn_cell_grad",
    "rnn_sequence": "rnn_sequence",
    "soft_cross_entropy": "soft_cross_entropy_grad",
    "softmax_cross_entropy": "softmax_cross_entropy_grad",
}
DIFFERENTIABLE = [op for op in registry.ops().values() if op.grad]
FEW = 5  # cases of an op


def few_cases(op):
    """Some of the cases without kinks, from the first to the last, none of them large or empty."""
    smooth = [c for c in op.cases if c.smooth and max(sizes(c)) < 20_000 and min(sizes(c))]
    return smooth[:: max(1, len(smooth) // FEW)]


def sizes(case):
    return [int(np.prod(a.shape)) for a in case.args.values() if a] or [1]


@pytest.mark.parametrize(
    "op", [op for op in DIFFERENTIABLE if op.name not in ONCE], ids=lambda op: op.name
)
def test_the_gradient_of_the_gradient_of_an_op_equals_central_differences(op):
    checked = 0
    for i, case in enumerate(few_cases(op)):
        twice = Twice(op, case, seed=i)
        if twice.moved:
            assert twice.error() < 1e-6, case.label()
            checked += 1
    assert checked


@pytest.mark.parametrize("name", ONCE)
def test_an_op_without_a_second_derivative_says_which_op_has_none(name):
    op = registry.op(name)
    cases = [c for c in op.cases if c.smooth and min(sizes(c))]
    if name == "act_grad":
        cases = [c for c in cases if c.attrs["act"] == "tanh"]
    with pytest.raises(NotImplementedError, match=rf"^{ONCE[name]}\w* has no gradient"):
        Twice(op, cases[0]).error()


@pytest.mark.parametrize("name", ["layernorm", "batchnorm", "instancenorm", "conv2d_pool", "mean"])
def test_fused_ops_are_differentiated_twice_by_their_parts(name):
    assert registry.op(name).decompose is not None
    twice = Twice(registry.op(name), next(c for c in registry.op(name).cases if c.smooth))
    twice.value([twice.ins[i] for i in twice.moved], twice.c, graph=True)
    kinds = {node.op.name for node in tape._tape}
    assert f"{name}_grad" not in kinds
    assert kinds & {"sum", "maxpool2d_grad"}


def test_a_gradient_through_an_output_that_only_backward_needs_is_refused_not_forgotten():
    x = Tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
    apply("layernorm", x, None, None, eps=1e-5)
    (node,) = tape._tape
    with pytest.raises(NotImplementedError, match=r"layernorm .* through its output rstd"):
        backward(node.outs[node.names.index("rstd")])
