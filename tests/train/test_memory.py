"""A step that does not fit into memory is done in pieces, or ends with what does fit."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.data.loader import Batch
from dlcli.engine import executor, tape
from dlcli.errors import OutOfMemoryError
from dlcli.train import jsonfile, protocol
from dlcli.train.memory import cut
from dlcli.train.progress import Progress
from dlcli.train.run import RunDir
from tests.train import small

ROOT = Path(__file__).parents[2]
SETTINGS = {"batch_size": 16, "epochs": 2, "optimizer": "sgd", "lr": 0.1}


class Plain(small.Classifier):
    """Without what depends on the company of a sample or on chance."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.norm.forward = lambda x: x
        self.dropout.p = 0.0


class Told(protocol.Quiet):
    """Keeps the warnings."""

    def __init__(self):
        self.lines = []

    def on_warning(self, line):
        self.lines.append(line)


@pytest.fixture
def room(monkeypatch):
    """`room(5)`: from now on no array with more than 5 rows of the hidden layer can be had."""

    def install(rows):
        before = executor.CpuExecutor.empty

        def empty(self, spec):
            if len(spec.shape) == 2 and spec.shape[1] == 8 and rows < spec.shape[0] < 3000:
                raise MemoryError
            return before(self, spec)

        monkeypatch.setattr(executor.CpuExecutor, "empty", empty)

    return install


@pytest.mark.parametrize(("rows", "halvings"), [(15, 1), (7, 2), (3, 3)])
def test_a_batch_that_does_not_fit_is_cut_and_gives_the_same_weights(
    tmp_path, room, rows, halvings
):
    whole = Plain()
    small.trainer(tmp_path / "whole", model=whole, **SETTINGS).fit()
    want = whole.state_dict()
    room(rows)
    told, model = Told(), Plain()
    trainer = small.trainer(tmp_path / "cut", model=model, observer=told, **SETTINGS)
    summary = trainer.fit()
    assert summary.steps == 6
    assert len(told.lines) == halvings  # once for the whole run
    assert f"cut into {2**halvings} pieces of at most {16 >> halvings}" in told.lines[-1]
    assert trainer.run.load("last").state["halvings"] == halvings
    for name, array in model.named_parameters().items():
        np.testing.assert_allclose(array.numpy(), want[name], rtol=1e-5, atol=1e-6)


def test_a_resumed_run_cuts_as_before_and_ends_with_the_same_bits(tmp_path, room):
    room(7)
    settings = {**SETTINGS, "epochs": 3, "schedule": "constant"}
    small.trainer(tmp_path / "whole", **settings).fit()
    small.trainer(tmp_path / "run", max_steps=4, **settings).fit()
    kept = RunDir.open(tmp_path / "run").load("last")
    told = Told()
    trainer = small.trainer(tmp_path / "run", resume=kept, observer=told, **settings)
    trainer.fit()
    assert told.lines == []
    of = "checkpoints/last/model.safetensors"
    assert (tmp_path / "run" / of).read_bytes() == (tmp_path / "whole" / of).read_bytes()


def test_a_state_from_before_there_were_pieces_is_read():
    state = Progress(step=3).to_json()
    del state["halvings"], state["skipped"]
    found = Progress.from_json(state, "state.json")
    assert (found.step, found.halvings, found.skipped) == (3, 0, 0)


def test_with_batch_norm_the_warning_says_what_differs(tmp_path, room):
    room(15)
    told = Told()
    small.trainer(tmp_path / "run", observer=told, **SETTINGS).fit()
    (line,) = told.lines
    assert "a step of 16 images does not fit into memory" in line
    assert "batch norm sees each piece alone" in line


def test_what_never_fits_is_exit_6_with_an_estimate_and_a_size_that_does(tmp_path, room):
    settings = {**SETTINGS, "batch_size": 32}
    model = Plain()
    before = model.state_dict()
    room(3)
    with pytest.raises(OutOfMemoryError) as caught:
        small.trainer(tmp_path / "run", model=model, **settings).fit()
    error = caught.value
    assert error.exit_code == 6
    assert "step 1: a batch of 32 images, cut into 8," in error.what
    assert "MiB" in error.why
    assert "--batch-size 2, which was tried and fits" in error.hint
    run = RunDir.open(tmp_path / "run")
    assert (run.status()["state"], run.load("last").state["step"]) == ("failed", 0)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    small.trainer(tmp_path / "small", model=Plain(), **{**settings, "batch_size": 2}).fit()


def test_a_model_of_which_one_sample_does_not_fit_is_said_to_be_too_large(tmp_path, room):
    room(0)
    with pytest.raises(OutOfMemoryError) as caught:
        small.trainer(tmp_path / "run", **SETTINGS).fit()
    assert "not even one" in caught.value.why
    assert "smaller model" in caught.value.hint


def test_a_pass_that_was_broken_off_leaves_no_trace_in_what_is_carried(tmp_path):
    """Running statistics and random numbers are as if the batch had been cut before."""

    class Late(small.Classifier):
        """Of which the memory ends when all was computed."""

        def loss(self, batch):
            assert not tape._tape  # what was made in vain is let go of
            found = super().loss(batch)
            if self.training and len(batch.y) > 8:
                raise MemoryError
            return found

    late, early = Late(), small.Classifier()
    small.trainer(tmp_path / "late", model=late, **SETTINGS).fit()
    trainer = small.trainer(tmp_path / "early", model=early, **SETTINGS)
    trainer.stepper.pieces.halvings = 1
    trainer.fit()
    for name, array in early.state_dict().items():
        np.testing.assert_array_equal(late.state_dict()[name], array)


def test_two_phases_are_cut_and_the_first_is_not_done_twice(tmp_path, room):
    settings = {**SETTINGS, "monitor": "val_loss"}

    class Two(Plain, small.Pair):
        """The second phase alone needs the memory."""

        def phases(self):
            first, second = small.Pair.phases(self)
            second.loss = self.large
            return [first, second]

        def large(self, batch):
            if self.training and len(batch.y) > self.fits:
                raise MemoryError
            return self.loss(batch)

    found = []
    for fits in (99, 8):
        model = Two()
        model.fits = fits
        small.trainer(tmp_path / f"{fits}", model=model, **settings).fit()
        found.append(model.state_dict())
    for name, array in found[0].items():
        np.testing.assert_allclose(array, found[1][name], rtol=1e-5, atol=1e-6)


def test_pieces_hold_every_sample_once_with_its_words_and_lengths():
    x = np.arange(15).reshape(5, 3)
    batch = Batch(x, np.arange(10), np.arange(5) * 7, (np.arange(5),))
    pieces = cut(batch, 2)
    assert [len(p.x) for p in pieces] == [2, 2, 1]
    for name in ("x", "y", "indices"):
        joined = np.concatenate([getattr(p, name) for p in pieces])
        np.testing.assert_array_equal(joined, getattr(batch, name))
    assert [p.y.tolist() for p in pieces] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [p.more[0].tolist() for p in pieces] == [[0, 1], [2, 3], [4]]
    other = SimpleNamespace(x=x, y=np.arange(4), indices=np.arange(4), inputs=(x,))
    assert cut(other, 2) == [other]  # rows that are no samples


def test_a_small_file_of_a_run_takes_little_memory_to_read(tmp_path):
    path = tmp_path / "status.json"
    path.write_bytes(b"{}")
    tracemalloc.start()
    try:
        assert jsonfile.read(path) == {}
        assert tracemalloc.get_traced_memory()[1] < 4 << 20  # and not the 64 MiB that it may have
    finally:
        tracemalloc.stop()


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from dlcli.data.dataset import ArraySplit, Dataset, fingerprint
from dlcli.engine import executor
from dlcli.nn.linear import Flatten, Linear
from dlcli.train.loop import Trainer
from dlcli.train.run import RunDir
from dlcli.errors import DlcliError
from tests.train import small

class Wide(small.Classifier):
    def __init__(self):
        self.flatten = Flatten()
        self.hidden, self.out = Linear(16, 4096, act="tanh"), Linear(4096, 3)
        self.initialize(0)
        self.spoil_at, self.batches = -1, 0
    def forward(self, *inputs):
        return self.out(self.hidden(self.flatten(inputs[0])))

def data(n):
    rng, splits = np.random.default_rng(0), {}
    for name, m in (("train", n), ("val", 20), ("test", 20)):
        pixels = rng.integers(0, 255, (m, 4, 4, 1)).astype(np.uint8)
        splits[name] = ArraySplit(name, pixels, np.arange(m) % 3)
    shape = (4, 4, 1)
    prints = fingerprint(small.CLASSES, shape, splits)
    return Dataset("sides", small.CLASSES, shape, splits, {}, prints, "here")

class Said(small.protocol.Quiet):
    def on_warning(self, line):
        print(line, flush=True)

executor.configure(1)
here = Path(sys.argv[1])
warm = {"model": Wide(), "data": data(64), "batch_size": 32, "epochs": 2}
small.trainer(here / "warm", **warm).fit()  # kernels are loaded, and BLAS has its buffer
made = [
    small.trainer(
        here / f"{n}", model=Wide(), data=data(n), batch_size=n, epochs=1, observer=Said()
    )
    for n in (4096, 32768)
]
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (110 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    for trainer in made:
        print("steps", trainer.fit().steps, flush=True)
except DlcliError as error:
    print(*error.lines(), sep="\\n")
    sys.exit(error.exit_code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited on Linux alone")
def test_a_process_with_little_memory_cuts_its_batches_and_ends_with_6_where_that_is_not_enough(
    tmp_path,
):
    """A step of 4,096 images takes 64 MiB for each array of activations; 110 MiB are left."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 6, done.stdout + done.stderr
    first, _, second = done.stdout.partition("steps 1\n")
    assert "a step of 4,096 images does not fit into memory" in first
    assert "out of memory in step 1: a batch of 32,768 images, cut into 8," in second
    assert "which was tried and fits" in second
    assert "MiB" in second
