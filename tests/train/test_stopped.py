"""A run that meets a NaN, a signal or kill -9 keeps what it had, and goes on from there."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.engine.tape import apply
from dlcli.errors import NonFiniteError
from dlcli.train.loop import Interrupted
from dlcli.train.run import RunDir
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("spoilt", [1, 9])
def test_a_nan_stops_before_any_update_and_names_the_samples(tmp_path, spoilt):
    model, data = small.Classifier(), small.dataset()
    model.spoil_at = spoilt
    with pytest.raises(NonFiniteError) as caught:
        small.trainer(tmp_path / "run", model=model, data=data).fit()
    assert caught.value.exit_code == 7
    assert f"step {spoilt}," in caught.value.what

    clean = small.Classifier()
    if spoilt > 1:
        small.trainer(tmp_path / "clean", model=clean, max_steps=spoilt - 1, epochs=3)
        with pytest.raises(Interrupted):
            small.trainer(tmp_path / "x", model=clean, observer=StopAt(spoilt - 1)).fit()
    for name, array in clean.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], array)

    run = RunDir.open(tmp_path / "run")
    assert run.status()["state"] == "failed"
    assert run.status()["error"] == caught.value.what
    dump = json.loads((run.path / "nan.json").read_bytes(), parse_constant=pytest.fail)
    assert (dump["step"], dump["phase"], dump["loss"]) == (spoilt - 1, "main", "nan")
    assert len(dump["batches"]) == min(spoilt, 3)
    last = dump["batches"][-1]
    assert last["ids"] == [data.splits["train"].id(i) for i in last["indices"]]
    assert len(last["ids"]) == 8

    model.spoil_at = -1  # what is saved is the state from before: it goes on as if nothing was
    resumed(tmp_path / "run").fit()
    small.trainer(tmp_path / "whole").fit()
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_gradient_that_overflows_stops_before_the_update(tmp_path):
    class Overflow(small.Classifier):
        """Logits 0 from weights 0, and so a finite loss; the weights' gradient is above 1e43."""

        def __init__(self):
            super().__init__()
            self.out = small.Linear(16, 3)

        def forward(self, x):
            return apply("scale", self.out(self.flatten(x)), by=1e6)

        def loss(self, batch):
            x = np.full_like(batch.x, 1e38)
            return super().loss(SimpleNamespace(x=x, y=batch.y))

    model = Overflow()
    before = model.state_dict()
    with pytest.raises(NonFiniteError, match="gradient"):
        small.trainer(tmp_path / "run", model=model, warmup=0).fit()
    for name in model.named_parameters():
        np.testing.assert_array_equal(model.state_dict()[name], before[name])
    assert RunDir.open(tmp_path / "run").load("last").state["step"] == 0


def start(path, epochs, seconds):
    command = [sys.executable, "-m", "tests.train.small", str(path), str(epochs), str(seconds)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_gets_a_signal_saves_and_exits_with_its_code(tmp_path, signum, code):
    with start(tmp_path / "run", 3, 0.2) as process:
        while process.stdout.readline() != "step 2\n":
            assert process.poll() is None
        process.send_signal(signum)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    run = RunDir.open(tmp_path / "run")
    saved = run.load("last").state["step"]
    assert 2 <= saved <= 4
    assert re.search(rf"step {saved} is saved", errors)
    assert run.status()["state"] == "interrupted"


def test_a_process_killed_at_random_moments_ends_with_the_same_weights(tmp_path):
    rng = np.random.default_rng(0)
    small.trainer(tmp_path / "whole", epochs=6).fit()
    path, kills = tmp_path / "run", 0
    for _ in range(2):
        with start(path, 6, 0.02) as process:
            if process.stdout.readline():
                time.sleep(rng.uniform(0.1, 0.4))
            process.kill()
            process.communicate()
            kills += process.returncode == -signal.SIGKILL
    with start(path, 6, 0) as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert kills >= 1
    assert outcome(path) == outcome(tmp_path / "whole")
