"""The second process of a first run: what it compiles, and that it changes nothing and ends."""

import errno
import os
import signal
import time

import numpy as np
import pytest
from dlcli_kernels import cpu_pool

from dlcli import nn, optim
from dlcli.engine import ahead, executor
from dlcli.engine.ahead import Ahead, compile_for
from dlcli.engine.tape import backward
from dlcli.engine.tensor import Tensor
from dlcli.nn import losses


class Noted(executor.CpuExecutor):
    """Runs what it is asked to, and notes it."""

    def __init__(self):
        super().__init__(1)
        self.runs = []

    def call(self, launch, outs, arrays):
        self.runs.append(launch)
        super().call(launch, outs, arrays)


def ops(launches):
    """What was launched, each once: launches of another executor are other objects."""
    return list(dict.fromkeys((run.op.name, str(run.specs), str(run.attrs)) for run in launches))


def network():
    """A step of a small network, and its weights."""
    model = nn.Sequential(nn.Linear(5, 4), nn.Activation("relu"), nn.Linear(4, 3))
    model.initialize(0)
    x, y = Tensor(np.ones((6, 5), np.float32)), Tensor(np.arange(6) % 3)
    weights = model.named_parameters()
    optimizer = optim.make("adam", weights)

    def run():
        backward(losses.cross_entropy(model(x), y))
        optimizer.step(0.1)

    return run, weights


def test_what_a_step_runs_is_compiled_from_its_end_and_nothing_moves(monkeypatch):
    step, weights = network()
    before, compiled = {k: t.numpy() for k, t in weights.items()}, []
    monkeypatch.setattr(cpu_pool, "write_down", compiled.append)
    compile_for(step)
    assert all(np.array_equal(t.numpy(), before[k]) for k, t in weights.items())
    step, weights = network()
    with executor.using(Noted()) as noted:
        step()
    noted.close()
    assert not all(np.array_equal(t.numpy(), before[k]) for k, t in weights.items())
    assert ops(compiled[::-1]) == ops(noted.runs)
    assert len(compiled) > 8


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """Begins a second process that does something with a folder; ends it after the test."""
    monkeypatch.setattr(ahead, "_of_use", lambda device: True)
    found = Ahead()

    def begin(does):
        monkeypatch.setattr(ahead, "compile_for", lambda step: does(tmp_path))
        found.begin(lambda: None)
        return found

    yield begin
    found.end()


def wait_for(path):
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"{path} was not made"
        time.sleep(0.01)


def gone(pid):
    """Whether there is no such child any more."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (-1, 0)
    except ChildProcessError:
        return True


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_the_second_process_is_begun_once_and_another_than_the_first(begun, tmp_path):
    found = begun(lambda folder: (folder / str(os.getpid())).touch())
    pid = found.pid
    wait_for(tmp_path / str(pid))
    assert pid != os.getpid()
    begun(lambda folder: (folder / "again").touch())
    assert found.pid == pid
    found.end()
    assert gone(pid)
    assert [path.name for path in tmp_path.iterdir()] == [str(pid)]


def hang(folder):
    (folder / "hangs").touch()
    signal.pause()


@needs_fork
@pytest.mark.parametrize("does", [hang, lambda folder: 1 / 0], ids=["hangs", "fails"])
def test_whatever_becomes_of_it_it_ends_with_the_training(begun, tmp_path, does, capfd):
    found = begun(does)
    if does is hang:
        wait_for(tmp_path / "hangs")
    pid = found.pid
    found.end()
    assert gone(pid)
    assert capfd.readouterr() == ("", "")


def test_without_room_for_a_process_there_is_none(begun, tmp_path, monkeypatch):
    def full():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(ahead, "_fork", full)
    found = begun(lambda folder: (folder / "here").touch())
    assert (found.begun, found.pid) == (True, 0)
    assert not list(tmp_path.iterdir())


def test_there_is_none_where_kernels_are_compiled_already_or_there_is_one_core():
    with executor.using(executor.CpuExecutor(1)) as one:
        assert not ahead._of_use(one)
    one.close()
    assert not ahead._of_use(ahead.Rehearsal())
