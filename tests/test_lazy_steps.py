"""Lazy optimiser steps: of a table only the rows that were read move, and nothing else of it."""

import numpy as np
import pytest

from dlcli import optim
from dlcli.engine import executor
from dlcli.engine.tape import apply, backward
from dlcli.engine.tensor import Tensor
from dlcli.errors import UsageError
from dlcli.nn import Embedding

ROWS, SIZE, LR = 11, 3, 0.1
LAZY = ["sgd", "momentum", "nesterov", "adam", "adamw"]  # with lazy=True
FIRST, SECOND = np.array([[3, 0, 3], [7, 5, 3]]), np.array([[5, 9, 9], [2, 2, 0]])


def random(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


class Words:
    """A table of float64, a dense parameter before and one after it, and their optimiser."""

    def __init__(self, name="lazy-adam", padding=None, **settings):
        self.table = Embedding(ROWS, SIZE, padding=padding)
        self.table.initialize(0)
        self.table.astype(np.float64)
        ends = {key: Tensor(random(i, 2, 2), requires_grad=True) for i, key in enumerate("az")}
        self.parameters = {"a": ends["a"], "table": self.table.weight, "z": ends["z"]}
        self.optimizer = optim.make(name, self.parameters, **settings)

    def add(self, ids, seed, share=1.0):
        """Adds the gradient of share · Σ random · table[ids], and one of each dense parameter."""
        factors = Tensor(share * random(seed, *ids.shape, SIZE))
        backward(apply("mul", self.table(Tensor(ids)), factors))
        for key in "az":
            backward(apply("mul", self.parameters[key], Tensor(random(seed + 50, 2, 2))))

    def step(self, *batches, seed=10, **how):
        """One step on the gradients of these ids."""
        self.optimizer.zero_grad()
        for i, ids in enumerate(batches):
            self.add(ids, seed + i, **how)
        self.optimizer.step(LR)
        return self

    def weights(self):
        return {name: p.numpy() for name, p in self.parameters.items()}

    def tables(self):
        """The table, and what of the optimiser's states belongs to it."""
        part = self.optimizer.flat.slices["table"]
        states = {n: s.numpy()[part] for n, s in self.optimizer.states.items()}
        flat = {"table": self.table.weight.numpy().reshape(-1), **states}
        return {name: values.reshape(ROWS, SIZE) for name, values in flat.items()}

    def everything(self):
        arrays = {**self.weights(), **self.optimizer.state_dict()}
        return {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("name", LAZY)
def test_rows_that_were_not_read_keep_every_bit_and_all_others_move(name):
    words = Words(name, lazy=True).step(FIRST)
    before = words.tables()
    after = words.step(SECOND).tables()
    for key, values in after.items():
        changed = (values != before[key]).any(axis=1)
        assert changed.nonzero()[0].tolist() == [0, 2, 5, 9], key


@pytest.mark.oracle
def test_ten_steps_are_those_of_sparse_adam_in_pytorch():
    """Which adds eps before it corrects the bias, and Adam after: with an eps of 0 they agree."""
    torch = pytest.importorskip("torch")
    words = Words("lazy-adam", beta1=0.8, beta2=0.9, eps=1e-15)
    theirs = torch.nn.Embedding(ROWS, SIZE, sparse=True, dtype=torch.float64)
    theirs.weight.data = torch.tensor(words.table.weight.numpy())
    optimizer = torch.optim.SparseAdam(theirs.parameters(), lr=LR, betas=(0.8, 0.9), eps=1e-15)
    for step in range(10):
        ids = np.random.default_rng(step).integers(0, ROWS, (2, 3))
        words.step(ids, seed=step)
        optimizer.zero_grad()
        (theirs(torch.tensor(ids)) * torch.tensor(random(step, 2, 3, SIZE))).sum().backward()
        optimizer.step()
    got, want = words.table.weight.numpy(), theirs.weight.detach().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_plain_sgd_is_the_same_step_lazy_or_not():
    lazy, dense = Words("sgd"), Words("sgd", lazy=False)
    for ids in (FIRST, SECOND):
        lazy.step(ids)
        dense.step(ids)
    for name, values in lazy.weights().items():
        np.testing.assert_allclose(values, dense.weights()[name], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("name", LAZY)
def test_a_step_that_reads_every_row_is_the_dense_one(name):
    every = np.random.default_rng(1).permutation(np.repeat(np.arange(ROWS), 2)).reshape(2, ROWS)
    lazy, dense = Words(name, lazy=True), Words(name, lazy=False)
    for seed in (1, 2, 3):
        lazy.step(every, seed=seed)
        dense.step(every, seed=seed)
    for name, values in lazy.weights().items():
        np.testing.assert_allclose(values, dense.weights()[name], rtol=1e-12)


def test_gradients_of_several_batches_are_added_and_their_rows_are_those_of_any():
    both = np.concatenate((FIRST, SECOND))
    factors = np.concatenate((random(10, 2, 3, SIZE), random(11, 2, 3, SIZE)))
    parts, whole = Words().step(FIRST, SECOND), Words()
    whole.optimizer.zero_grad()
    backward(apply("mul", whole.table(Tensor(both)), Tensor(factors)))
    whole.optimizer.step(LR)
    for name, values in parts.tables().items():
        np.testing.assert_allclose(values, whole.tables()[name], rtol=1e-12, atol=1e-15)


def test_a_table_that_is_read_twice_in_a_pass_has_both_gradients():
    words, dense = Words("sgd"), Words("sgd", lazy=False)
    for one in (words, dense):
        once, again = one.table(Tensor(FIRST)), one.table(Tensor(SECOND))
        one.optimizer.zero_grad()
        backward(apply("mul", once, again))
        one.optimizer.step(LR)
    np.testing.assert_allclose(words.table.weight.data, dense.table.weight.data, rtol=1e-12)


@pytest.mark.parametrize("lookup_first", [True, False])
def test_a_table_that_is_also_multiplied_with_takes_the_dense_step(lookup_first):
    """Tied weights: the words' vectors are those that score them, so every row has a gradient."""
    tied, dense = Words(), Words("adam")
    for one in (tied, dense):
        for seed in (1, 2):
            one.optimizer.zero_grad()
            if lookup_first:
                one.add(FIRST, seed)
            x = Tensor(random(seed, 4, SIZE))
            backward(apply("matmul", x, one.table.weight, ta=False, tb=True, act=None))
            if not lookup_first:
                one.add(FIRST, seed)
            one.optimizer.step(LR)
    assert tied.everything() == dense.everything()


def test_a_table_that_was_computed_passes_its_whole_gradient_on():
    weight = Tensor(random(1, ROWS, SIZE), requires_grad=True)
    optimizer = optim.make("sgd", {"weight": weight})
    before = weight.numpy()
    optimizer.zero_grad()
    backward(apply("embedding", apply("scale", weight, by=3.0), Tensor(FIRST), padding=None))
    optimizer.step(1.0)
    want = np.zeros((ROWS, SIZE))
    np.add.at(want, FIRST, 3.0)
    np.testing.assert_allclose(before - weight.data, want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("limits", [{"clip_norm": 0.5}, {"clip_value": 0.3, "clip_norm": 0.5}])
def test_the_norm_that_is_clipped_has_the_rows_in_it(limits):
    lazy, dense = Words("sgd", **limits).step(FIRST), Words("sgd", lazy=False, **limits).step(FIRST)
    assert lazy.optimizer.grad_norm() == pytest.approx(dense.optimizer.grad_norm(), rel=1e-12)
    assert lazy.optimizer.grad_norm() > 0.5
    for name, values in lazy.weights().items():
        np.testing.assert_allclose(values, dense.weights()[name], rtol=1e-12)


@pytest.mark.parametrize("name", LAZY)
def test_a_nan_in_the_rows_halts_the_whole_step_before_anything_moves(name):
    words = Words(name, lazy=True, clip_norm=1.0).step(FIRST)
    before = words.everything()
    words.step(SECOND, share=np.nan)
    assert words.optimizer.halted()
    assert words.everything() == before


@pytest.mark.parametrize("name", ["momentum", "rmsprop", "adam", "adamw"])
def test_an_optimiser_with_moments_moves_every_row_that_was_ever_read_unless_it_is_lazy(name):
    words = Words(name, **({"momentum": 0.5} if name == "rmsprop" else {})).step(FIRST)
    before = words.table.weight.numpy()
    moved = (words.step(SECOND).table.weight.numpy() != before).any(axis=1)
    assert moved.nonzero()[0].tolist() == [0, 2, 3, 5, 7, 9]


@pytest.mark.parametrize("settings", [{"weight_decay": 0.1}, {"l1": 0.1}])
def test_penalties_move_every_row_and_so_make_sgd_dense(settings):
    words = Words("sgd", **settings)
    before = words.table.weight.numpy()
    assert (words.step(FIRST).table.weight.numpy() != before).all()


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("rmsprop", {"lazy": True}, "rmsprop has no lazy step"),
        ("lazy-adam", {"weight_decay": 0.1}, "no lazy step of lazy-adam"),
        ("momentum", {"lazy": True, "l1": 0.1}, "no lazy step of momentum"),
    ],
)
def test_a_lazy_step_that_there_is_none_of_is_a_usage_error(name, settings, said):
    with pytest.raises(UsageError, match=said):
        Words(name, **settings)


def test_the_row_of_padding_never_moves():
    words = Words(padding=3)
    before = words.table.weight.numpy()
    after = words.step(FIRST).step(SECOND).table.weight.numpy()
    assert before[3].tolist() == after[3].tolist() == [0.0] * SIZE
    assert (before[[0, 5, 7]] != after[[0, 5, 7]]).all()


def test_the_ops_of_a_step_are_the_same_list_whatever_was_read(monkeypatch):
    words = Words(clip_norm=1.0)
    run, ran = executor.CpuExecutor.run, []

    def note(self, op, arrays, attrs, optional):
        shapes = [None if a is None else a.shape for a in arrays]
        ran.append((op.name, shapes, dict(attrs)))
        return run(self, op, arrays, attrs, optional)

    monkeypatch.setattr(executor.CpuExecutor, "run", note)
    lists = []
    for ids in (FIRST, SECOND, np.full((2, 3), 8)):
        ran.clear()
        words.step(ids)
        lists.append(list(ran))
    assert lists[0] == lists[1] == lists[2]
    assert "adam_rows_step" in [name for name, *_ in lists[0]]


def test_two_threads_find_the_bits_of_one():
    found = []
    for threads in (1, 2):
        pool = executor.CpuExecutor(threads)
        with executor.using(pool):
            table = Tensor(random(1, 500, 16), requires_grad=True)
            optimizer = optim.make("lazy-adam", {"table": table}, clip_norm=1.0)
            for seed in (1, 2):
                ids = np.random.default_rng(seed).integers(0, 500, (40, 30))
                optimizer.zero_grad()
                out = apply("embedding", table, Tensor(ids), padding=None)
                backward(apply("mul", out, Tensor(random(seed, 40, 30, 16))))
                optimizer.step(LR)
            found.append((table.data.tobytes(), optimizer.state_dict()["m"].tobytes()))
        pool.close()
    assert found[0] == found[1]


def test_a_run_that_goes_on_from_its_saved_state_has_the_bits_of_one_that_never_stopped():
    whole = Words().step(FIRST).step(SECOND)
    first, second = Words().step(FIRST), Words()
    for name, values in first.weights().items():
        second.parameters[name].write(values)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert second.step(SECOND).everything() == whole.everything()


def test_an_optimiser_of_nothing_but_tables_takes_steps_too():
    table = Embedding(ROWS, SIZE)
    table.initialize(1)
    optimizer = optim.make("lazy-adam", {"table": table.weight}, clip_norm=1.0)
    before = table.weight.numpy()
    optimizer.zero_grad()
    backward(table(Tensor(FIRST)))
    optimizer.step(LR)
    moved = (table.weight.numpy() != before).any(axis=1)
    assert moved.nonzero()[0].tolist() == [0, 3, 5, 7]
