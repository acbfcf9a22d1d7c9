"""Losses: against plain loops, their properties and PyTorch; labels out of range, large logits."""

import math

import numpy as np
import pytest
from dlcli_kernels import check, registry
from dlcli_kernels.launch import Launch
from dlcli_kernels.spec import Spec

NAN, INF = float("nan"), float("inf")
IGNORED = -100


def run(name, *ins, optional=False, **attrs):
    """The outputs of the variant that runs by default on the CPU; not in a list if it is one."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    specs = [None if a is None else Spec.of(a) for a in ins]
    launch = Launch(op, registry.resolve(op, "cpu", specs, attrs), specs, attrs, optional=optional)
    outs = launch.allocate(lambda s: np.full(s.shape, np.nan, s.dtype))
    launch.run(outs, ins)
    outs = [o for o in outs if o is not None]
    return outs[0] if len(outs) == 1 else outs


BOTH = pytest.mark.parametrize("call", [run, check.call_references], ids=["variant", "reference"])


# --- cross-entropy --------------------------------------------------------------------------------


def by_loops(x, y, weight, smoothing):
    """−(1−ε) w[y] log p[y] − ε/K Σ w log p of each sample, in plain Python."""
    losses = []
    for row, label in zip(x.tolist(), y.tolist(), strict=True):
        total = math.fsum(math.exp(v) for v in row)
        log_p = [v - math.log(total) for v in row]
        w = [1.0] * len(row) if weight is None else weight.tolist()
        smooth = smoothing / len(row) * math.fsum(a * b for a, b in zip(w, log_p, strict=True))
        losses.append(-(1 - smoothing) * w[label] * log_p[label] - smooth)
    return losses


@BOTH
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
def test_cross_entropy_is_that_of_a_loop(call, weighted, smoothing):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    weight = rng.uniform(0.1, 2, 4) if weighted else None
    loss = call("softmax_cross_entropy", x, y, weight, label_smoothing=smoothing)
    np.testing.assert_allclose(loss, by_loops(x, y, weight, smoothing), rtol=1e-13)


@BOTH
def test_the_soft_cross_entropy_of_certain_targets_is_that_of_labels(call):
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    hard = call("softmax_cross_entropy", x, y)
    np.testing.assert_allclose(call("soft_cross_entropy", x, np.eye(4)[y]), hard, rtol=1e-13)
    smooth = call("softmax_cross_entropy", x, y, label_smoothing=0.2)
    target = 0.8 * np.eye(4)[y] + 0.2 / 4
    np.testing.assert_allclose(call("soft_cross_entropy", x, target), smooth, rtol=1e-13)


@BOTH
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_an_ignored_label_counts_nothing_and_a_label_out_of_range_is_nan(call, weighted, smoothing):
    rng = np.random.default_rng(5)
    big = np.iinfo(np.int64).max
    x, y = rng.standard_normal((7, 4)), np.array([0, IGNORED, 4, -1, big, -big - 1, 3])
    weight = rng.uniform(0.1, 2, 4) if weighted else None
    loss = call("softmax_cross_entropy", x, y, weight, label_smoothing=smoothing)
    assert np.isnan(loss).tolist() == [False, False, True, True, True, True, False]
    assert loss[1] == 0.0
    operands = (x, y, weight, np.log(np.exp(x).sum(axis=1)), np.full(7, 2.0))
    dx = call("softmax_cross_entropy_grad", *operands, label_smoothing=smoothing)
    assert np.isnan(dx).all(axis=1).tolist() == [False, False, True, True, True, True, False]
    assert not dx[1].any()
    assert dx[0].all()
    factor = call("class_weight_of", y, np.array([1.0, 2.0, 3.0, 4.0]))
    assert np.array_equal(factor, [1, 0, NAN, NAN, NAN, NAN, 4], equal_nan=True)


@BOTH
def test_a_nan_among_the_logits_of_an_ignored_sample_is_ignored_too(call):
    x = np.array([[NAN, 1.0], [INF, 0.0], [NAN, 0.0]])
    loss = call("softmax_cross_entropy", x, np.array([IGNORED, IGNORED, 0]))
    assert np.array_equal(loss, [0.0, 0.0, NAN], equal_nan=True)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_certain_and_a_wrong_prediction_with_logits_of_a_thousand(call, dtype):
    x, y = np.array([[1e3, -1e3], [1e3, -1e3]], dtype), np.array([0, 1])
    assert call("softmax_cross_entropy", x, y).tolist() == [0.0, 2e3]
    lse, dout = np.array([1e3, 1e3], dtype), np.ones(2, dtype)
    dx = call("softmax_cross_entropy_grad", x, y, None, lse, dout)
    assert dx.tolist() == [[0.0, 0.0], [1.0, -1.0]]


def test_the_gradient_of_an_unweighted_cross_entropy_sums_to_zero_over_the_classes():
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((9, 5)), rng.integers(0, 5, 9)
    _, lse = run("softmax_cross_entropy", x, y, optional=True, label_smoothing=0.1)
    dout = rng.standard_normal(9)
    dx = run("softmax_cross_entropy_grad", x, y, None, lse, dout, label_smoothing=0.1)
    assert np.abs(dx.sum(axis=1)).max() < 1e-15
    assert np.abs(dx).max() > 0.1


@pytest.mark.parametrize(
    ("x", "y", "weight", "smoothing", "message"),
    [
        ((3,), (3,), None, 0.0, "logits"),
        ((3, 0), (3,), None, 0.0, "at least one class"),
        ((3, 4), (2,), None, 0.0, "int64 labels"),
        ((3, 4), (3,), (3,), 0.0, "weights"),
        ((3, 4), (3,), None, 1.5, "smoothing"),
    ],
)
def test_operands_of_the_cross_entropy_that_do_not_fit_are_refused(
    x, y, weight, smoothing, message
):
    real, whole = np.dtype(np.float32), np.dtype(np.int64)
    specs = Spec(x, real), Spec(y, whole), Spec(weight, real) if weight else None
    with pytest.raises(ValueError, match=message):
        registry.op("softmax_cross_entropy").infer(*specs, label_smoothing=smoothing)


# --- single elements ------------------------------------------------------------------------------


def test_pointwise_losses_at_points_worked_out_by_hand():
    x, y = np.array([3.0, -1.0, 0.5]), np.array([1.0, -1.0, 1.0])
    assert run("squared_error", x, y).tolist() == [4.0, 0.0, 0.25]
    assert run("absolute_error", x, y).tolist() == [2.0, 0.0, 0.5]
    assert run("huber", x, y, delta=1.0).tolist() == [1.5, 0.0, 0.125]
    assert run("huber", x, y, delta=0.25).tolist() == [0.46875, 0.0, 0.09375]
    dout = np.array([10.0, 10.0, 10.0])
    assert run("squared_error_grad", x, y, dout).tolist() == [40.0, 0.0, -10.0]
    assert run("absolute_error_grad", x, y, dout).tolist() == [10.0, 0.0, -10.0]
    assert run("huber_grad", x, y, dout, delta=0.25).tolist() == [2.5, 0.0, -2.5]


@BOTH
def test_binary_cross_entropy_is_that_of_the_probabilities(call):
    rng = np.random.default_rng(7)
    x, y, p = rng.standard_normal((5, 3)), rng.uniform(0, 1, (5, 3)), rng.uniform(0.2, 3, 3)
    s = 1 / (1 + np.exp(-x))
    want = -p * y * np.log(s) - (1 - y) * np.log(1 - s)
    np.testing.assert_allclose(call("bce_with_logits", x, y, p), want, rtol=1e-12)
    want = -y * np.log(s) - (1 - y) * np.log(1 - s)
    np.testing.assert_allclose(call("bce_with_logits", x, y), want, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_neither_overflows_nor_loses_a_nan(call, dtype):
    x = np.array([1e4, -1e4, 1e4, -1e4, NAN], dtype)
    y = np.array([1, 0, 0, 1, 1], dtype)
    loss = call("bce_with_logits", x, y)
    assert np.array_equal(loss, np.array([0, 0, 1e4, 1e4, NAN], dtype), equal_nan=True)
    dx = call("bce_with_logits_grad", x, y, None, np.ones(5, dtype))
    assert np.array_equal(dx, np.array([0, 0, 1, -1, NAN], dtype), equal_nan=True)


@BOTH
@pytest.mark.parametrize("name", ["squared_error", "absolute_error", "huber"])
def test_a_nan_stays_in_an_error_and_its_gradient(call, name):
    attrs = {"delta": 0.5} if name == "huber" else {}
    x, y = np.array([NAN, 1.0, 1.0]), np.array([1.0, NAN, 3.0])
    assert np.isnan(call(name, x, y, **attrs)).tolist() == [True, True, False]
    dx = call(f"{name}_grad", x, y, np.ones(3), **attrs)
    assert np.isnan(dx).tolist() == [True, True, False]


def test_pointwise_operands_of_different_shapes_are_refused():
    a, b = Spec((3, 1), np.dtype(np.float32)), Spec((3,), np.dtype(np.float32))
    for name, attrs in (("squared_error", {}), ("huber", {"delta": 1.0}), ("bce_with_logits", {})):
        with pytest.raises(ValueError, match="one shape is needed"):
            registry.op(name).infer(a, b, **attrs)
    with pytest.raises(ValueError, match="pos_weight"):
        registry.op("bce_with_logits").infer(a, a, b)
    with pytest.raises(ValueError, match="must be positive"):
        registry.op("huber").infer(a, a, delta=0.0)


# --- PyTorch --------------------------------------------------------------------------------------


def gradients(name, ins, out_names, outs, dout, needed, **attrs):
    """What `grad` gives for `needed`, run on the variants."""
    op = registry.op(name)
    ins = [*ins, *[None] * (len(op.inputs) - len(ins))]
    douts = op.namespace([dout, *[None] * (len(outs) - 1)], out_names)
    return op.grad(
        run, op.namespace(ins), op.namespace(outs, out_names), douts, set(needed), **attrs
    )


@pytest.mark.oracle
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_its_gradient_and_weighted_mean_are_those_of_pytorch(weighted, smoothing):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    x, y = 3 * rng.standard_normal((11, 5)), rng.integers(0, 5, 11)
    y[[2, 7]] = IGNORED
    weight = rng.uniform(0.1, 2, 5) if weighted else None
    t, w = torch.tensor(x, requires_grad=True), None if weight is None else torch.tensor(weight)
    options = {"weight": w, "label_smoothing": smoothing}
    entropy = torch.nn.functional.cross_entropy
    want = entropy(t, torch.tensor(y), reduction="none", **options)
    loss, lse = run("softmax_cross_entropy", x, y, weight, optional=True, label_smoothing=smoothing)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=1e-12)
    dout = rng.standard_normal(11)
    want.backward(torch.tensor(dout))
    grads = gradients(
        "softmax_cross_entropy",
        [x, y, weight],
        ("out", "lse"),
        [loss, lse],
        dout,
        ["x"],
        label_smoothing=smoothing,
    )
    np.testing.assert_allclose(grads["x"], t.grad.numpy(), rtol=1e-11, atol=1e-15)
    factor = run("class_weight_of", y, np.ones(5) if weight is None else weight)
    mean = entropy(t, torch.tensor(y), **options).item()
    assert loss.sum() / factor.sum() == pytest.approx(mean, rel=1e-12)


@pytest.mark.oracle
def test_soft_cross_entropy_and_both_gradients_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    x, target = rng.standard_normal((7, 5)), rng.uniform(0, 1, (7, 5))
    tx, tt = torch.tensor(x, requires_grad=True), torch.tensor(target, requires_grad=True)
    want = torch.nn.functional.cross_entropy(tx, tt, reduction="none")
    loss = run("soft_cross_entropy", x, target)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=1e-12)
    dout = rng.standard_normal(7)
    want.backward(torch.tensor(dout))
    both = ["x", "target"]
    grads = gradients("soft_cross_entropy", [x, target], ("out",), [loss], dout, both)
    np.testing.assert_allclose(grads["x"], tx.grad.numpy(), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(grads["target"], tt.grad.numpy(), rtol=1e-11)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "theirs", "attrs"),
    [
        ("squared_error", "mse_loss", {}),
        ("absolute_error", "l1_loss", {}),
        ("huber", "huber_loss", {"delta": 0.7}),
        ("bce_with_logits", "binary_cross_entropy_with_logits", {}),
        ("bce_with_logits", "binary_cross_entropy_with_logits", {"pos_weight": (0.3, 2.0, 1.0)}),
    ],
)
def test_pointwise_losses_and_their_gradients_are_those_of_pytorch(name, theirs, attrs):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(10)
    x, y = 2 * rng.standard_normal((6, 3)), rng.uniform(0, 1, (6, 3))
    x[0] = y[0]  # the kink of the absolute error
    tx, ty = torch.tensor(x, requires_grad=True), torch.tensor(y, requires_grad=True)
    ins, options = [x, y], dict(attrs)
    if "pos_weight" in attrs:
        ins.append(np.array(attrs["pos_weight"]))
        options["pos_weight"], attrs = torch.tensor(ins[2]), {}
    want = getattr(torch.nn.functional, theirs)(tx, ty, reduction="none", **options)
    loss = run(name, *ins, **attrs)
    np.testing.assert_allclose(loss, want.detach().numpy(), rtol=1e-12)
    dout = rng.standard_normal(x.shape)
    want.backward(torch.tensor(dout))
    grads = gradients(name, ins, ("out",), [loss], dout, ["x", "y"], **attrs)
    np.testing.assert_allclose(grads["x"], tx.grad.numpy(), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(grads["y"], ty.grad.numpy(), rtol=1e-11, atol=1e-14)
