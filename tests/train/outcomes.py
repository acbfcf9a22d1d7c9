"""What the tests of stopped and resumed runs share: a signal at a step, and what must be equal."""

import json
import os
import signal

from dlcli.train import protocol
from dlcli.train.run import RunDir
from tests.train import small


def timeless(value):
    """`value` without what differs between two runs of one recipe."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k != "timing"}
    return value


def outcome(path):
    """All that two runs must have in common, byte for byte."""
    found = {"metrics": [timeless(record) for record in RunDir.open(path).metrics()]}
    for which in ("best", "last"):
        folder = path / "checkpoints" / which
        for name in ("model.safetensors", "optimizer.safetensors", "model.json"):
            found[f"{which}/{name}"] = (folder / name).read_bytes()
        found[f"{which}/state.json"] = timeless(json.loads((folder / "state.json").read_bytes()))
    return found


class StopAt(protocol.Quiet):
    """Sends this process a signal after a number of steps."""

    def __init__(self, step, signum=signal.SIGTERM):
        self.step, self.signum = step, signum

    def on_step(self, step, loss, lr, images):
        if step == self.step:
            os.kill(os.getpid(), self.signum)


def resumed(path, **changes):
    run = RunDir.open(path)
    return small.trainer(path, resume=run.load("last", fallback=True), **changes)
