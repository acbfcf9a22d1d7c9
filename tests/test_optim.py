"""Optimisers: clipping, the halt at what is not finite, and a step that is always the same list."""

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine import executor
from dlcli.engine.tape import apply, backward
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError

LOSS = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}  # the gradient of each parameter


def parameters():
    return {name: Tensor(np.ones_like(g), requires_grad=True) for name, g in LOSS.items()}


def fill_gradients(optimizer, values, times=1):
    optimizer.zero_grad()
    for _ in range(times):
        for name, p in values.items():
            backward(apply("mul", p, Tensor(LOSS[name])))


def moved(optimizer, values, lr=1.0, times=1):
    """How far one step moves each parameter, downhill being positive."""
    before = {name: p.numpy() for name, p in values.items()}
    fill_gradients(optimizer, values, times)
    optimizer.step(lr)
    return {name: before[name] - p.numpy() for name, p in values.items()}


def test_a_step_goes_lr_times_the_gradient_downhill():
    values = parameters()
    found = moved(optim.make("sgd", values), values, lr=0.5)
    for name, g in LOSS.items():
        np.testing.assert_array_equal(found[name], 0.5 * g)


def test_the_norm_that_is_clipped_is_that_of_all_parameters_together():
    values = parameters()
    optimizer = optim.make("sgd", values, clip_norm=1.0)
    found = moved(optimizer, values)
    assert optimizer.grad_norm() == 5.0  # before clipping
    for name, g in LOSS.items():
        np.testing.assert_allclose(found[name], g / 5, rtol=1e-6)
    assert moved(optim.make("sgd", values, clip_norm=6.0), values)["b"] == 4.0


def test_clipping_by_value_comes_before_clipping_by_norm():
    values = parameters()
    found = moved(optim.make("sgd", values, clip_value=3.0, clip_norm=1.0), values)
    np.testing.assert_allclose(found["a"], [3 / 18**0.5, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found["b"], [[3 / 18**0.5]], rtol=1e-6)


def test_gradients_of_several_backward_passes_are_added_until_the_next_step_begins():
    values = parameters()
    optimizer = optim.make("sgd", values)
    np.testing.assert_array_equal(moved(optimizer, values, times=3)["b"], [[12.0]])
    np.testing.assert_array_equal(moved(optimizer, values)["b"], [[4.0]])


def test_a_parameter_without_a_gradient_in_this_step_is_not_moved_by_the_last_one_s():
    values = parameters()
    optimizer = optim.make("sgd", values)
    moved(optimizer, values)
    before = values["a"].numpy()
    optimizer.zero_grad()
    backward(apply("scale", values["b"], by=1.0))
    optimizer.step(1.0)
    np.testing.assert_array_equal(values["a"].data, before)


def test_l1_pulls_every_weight_towards_zero_by_a_constant():
    values = parameters()
    values["a"].data[...] = -2.0, 0.0
    found = moved(optim.make("sgd", values, l1=0.25), values, lr=0.5)
    np.testing.assert_array_equal(found["a"], 0.5 * (LOSS["a"] + [-0.25, 0.0]))
    np.testing.assert_array_equal(found["b"], 0.5 * (LOSS["b"] + 0.25))


TORCHS = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.8, "dampening": 0.1}),
    "nesterov": ("SGD", {"momentum": 0.8, "nesterov": True}),
    "rmsprop": ("RMSprop", {"momentum": 0.5, "centered": True, "alpha": 0.9}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "lazy-adam": ("Adam", {}),  # of what is no table
}


def penalties(name, **wanted):
    """What is wanted of weight decay and L1: nothing where the optimiser has neither."""
    return {} if optim.RULES[name].lazy else wanted


@pytest.mark.oracle
@pytest.mark.parametrize("name", optim.names())
def test_settings_weight_decay_and_clipping_act_as_in_torch(name):
    torch = pytest.importorskip("torch")
    kind, theirs = TORCHS[name]
    settings = {key: value for key, value in theirs.items() if key != "nesterov"}
    values = parameters()
    decay = penalties(name, weight_decay=0.1)
    ours = optim.make(name, values, clip_norm=2.0, **decay, **settings)
    weights = [torch.tensor(p.numpy(), requires_grad=True) for p in values.values()]
    other = getattr(torch.optim, kind)(weights, lr=0.3, **decay, **theirs)
    for _ in range(4):
        moved(ours, values, lr=0.3)
        for weight, gradient in zip(weights, LOSS.values(), strict=True):
            weight.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_(weights, 2.0)
        other.step()
    for p, weight in zip(values.values(), weights, strict=True):
        np.testing.assert_allclose(p.data, weight.detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", optim.names())
def test_a_gradient_that_is_not_finite_moves_nothing_until_it_is_taken_back(name, bad):
    values = parameters()
    decay = penalties(name, weight_decay=0.1, l1=0.1)
    optimizer = optim.make(name, values, **decay, clip_norm=1.0, clip_value=2.0)
    moved(optimizer, values)
    weights = {n: p.numpy() for n, p in values.items()}
    states = optimizer.state_dict()
    assert states["step"] == 1
    for gradient in (bad, 1.0):  # it stays halted
        optimizer.zero_grad()
        backward(apply("scale", values["b"], by=gradient))
        optimizer.step(1.0)
        assert optimizer.halted()
        assert all(np.array_equal(weights[n], p.data) for n, p in values.items())
        after = optimizer.state_dict()
        assert all(np.array_equal(states[n], after[n]) for n in states)
    optimizer.resume()
    assert (moved(optimizer, values)["b"] != 0).all()
    assert not optimizer.halted()
    assert optimizer.state_dict()["step"] == 2


def test_a_loss_that_is_not_finite_halts_too():
    values = parameters()
    optimizer = optim.make("adam", values)
    optimizer.watch(Tensor(np.array(1.0)))
    assert not optimizer.halted()
    optimizer.watch(Tensor(np.array(np.nan)))
    assert optimizer.halted()
    assert not moved(optimizer, values)["b"].any()


def test_a_step_is_the_same_list_of_ops_and_attributes_halted_or_not(monkeypatch):
    values = parameters()
    optimizer = optim.make("adam", values, clip_norm=1.0, clip_value=1.0)
    run, ran = executor.CpuExecutor.run, []

    def note(self, op, arrays, attrs, optional):
        ran.append((op.name, dict(attrs)))
        return run(self, op, arrays, attrs, optional)

    monkeypatch.setattr(executor.CpuExecutor, "run", note)
    lists = []
    for factor, lr in ((1.0, 0.1), (2.0, 0.2), (np.nan, 0.3)):
        optimizer.zero_grad()
        backward(apply("mul", values["a"], Tensor(np.full(2, factor))))
        ran.clear()
        optimizer.step(lr)
        lists.append(list(ran))
    assert lists[0] == lists[1] == lists[2]
    assert [name for name, _ in lists[0]][-2:] == ["count_step", "adam_step"]


def test_the_state_goes_on_where_it_was_saved_and_another_s_is_refused():
    values, others = parameters(), parameters()
    one, other = optim.make("adam", values), optim.make("adam", others)
    moved(one, values)
    for name, p in values.items():
        others[name].data[...] = p.data
    other.load_state_dict(one.state_dict())
    first, second = moved(one, values), moved(other, others)
    assert all(np.array_equal(first[name], second[name]) for name in LOSS)
    with pytest.raises(ValueError, match="the optimiser's state has"):
        other.load_state_dict(optim.make("sgd", parameters()).state_dict())
    narrow = {n: a.astype(np.float32) for n, a in one.state_dict().items()}
    with pytest.raises(ValueError, match=r"float32, not .* float64"):
        other.load_state_dict(narrow)


@pytest.mark.parametrize("name", optim.names())
def test_the_gaps_between_parameters_stay_zero(name):
    values = parameters()
    optimizer = optim.make(name, values, **penalties(name, weight_decay=0.1, l1=0.1), clip_norm=1.0)
    for _ in range(3):
        moved(optimizer, values)
    flat = optimizer.flat
    gaps = np.ones(flat.data.size, bool)
    for part in flat.slices.values():
        gaps[part] = False
    assert gaps.any()
    for tensor in (flat.data, flat.grad, *optimizer.states.values()):
        assert not tensor.numpy()[gaps].any()


def test_names_settings_and_limits_that_are_none_are_usage_errors():
    with pytest.raises(UsageError) as error:
        optim.make("adm", parameters())
    assert "did you mean 'adam'" in error.value.hint
    with pytest.raises(UsageError, match="no setting 'momentum'"):
        optim.make("adam", parameters(), momentum=0.9)
    for limit in ({"clip_norm": 0.0}, {"clip_value": -1.0}, {"clip_norm": float("nan")}):
        with pytest.raises(UsageError, match="would stop all training"):
            optim.make("sgd", parameters(), **limit)
