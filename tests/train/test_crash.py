"""A run's start and the end of an epoch, with every call to the disk failing or killing in turn.

Whatever happens, the run loads as it was before or as it is after, and goes on to the same bits.
"""

import json
import shutil

import pytest

from dlcli.errors import CheckpointError, DlcliError
from dlcli.train.run import RunDir
from tests.train import small
from tests.train.outcomes import outcome, resumed

ONE = {"epochs": 1}
SHOWN = {"config.toml", "env.json", "status.json", "metrics.jsonl", "checkpoints"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an epoch that nothing disturbed leaves."""
    path = tmp_path_factory.mktemp("whole") / "run"
    small.trainer(path, **ONE).fit()
    return outcome(path)


@pytest.fixture
def dies(faults, killed):
    """Runs `act` with the call numbered `at` failing or killing; whether it was met."""

    def run(act, at, how):
        codes = []
        with faults(at, how) as found:
            try:
                act()
            except killed:
                pass
            except DlcliError as error:
                codes.append(error.exit_code)
        assert set(codes) <= {9}
        return found.count > at

    return run


def begin(path):
    """What the start of a training does to the disk, up to its first step."""
    run = RunDir.create("small", "sides", out=path)
    with run.lock():
        run.write_config({"model": {"name": "small"}})
        run.write_env(threads=1)
        run.write_status(state="running")


def is_whole(path):
    """Whether each file that has its final name is complete."""
    for file in path.iterdir():
        if file.suffix == ".json":
            json.loads(file.read_bytes())
    return {p.name for p in path.iterdir() if not p.name.startswith(".")} <= SHOWN


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_a_run_that_dies_as_it_begins_is_no_run_or_one_that_can_go_on(tmp_path, dies, how):
    at, opened, refused = 0, 0, 0
    while dies(lambda at=at: begin(tmp_path / f"{at}"), at, how):
        path, at = tmp_path / f"{at}", at + 1
        if not path.exists():
            refused += 1
            continue
        assert is_whole(path), sorted(p.name for p in path.iterdir())
        try:
            run = RunDir.open(path)
        except CheckpointError:  # "not a run"
            refused += 1
            continue
        assert run.config() == {"model": {"name": "small"}}
        assert run.untouched()
        with run.lock():  # whoever takes it tidies up
            assert not list(path.glob(".*.tmp"))
        opened += 1
    assert refused > 3
    assert opened > 3


@pytest.mark.parametrize("how", ["fail", "kill"])
def test_the_end_of_an_epoch_is_there_or_not_whatever_call_fails_or_kills(
    tmp_path, dies, whole, how
):
    """From the last step on: the line of figures, the best, the last, the status."""
    start = tmp_path / "start"
    with pytest.raises(KeyboardInterrupt):
        small.trainer(start, observer=StopBefore(6), checkpoint_every=5, **ONE).fit()
    assert RunDir.open(start).load("last").state["step"] == 5
    at, steps, met = 0, [], True
    while met:
        path = tmp_path / f"{at}"
        shutil.copytree(start, path)
        trainer = resumed(path, checkpoint_every=5, **ONE)
        met = dies(trainer.fit, at, how)
        at += 1
        trainer.run._lock.release(force=True)  # as the system does for a dead process
        run = RunDir.open(path)
        assert is_whole(path), sorted(p.name for p in path.iterdir())
        steps.append(run.load("last", fallback=True).state["step"])
        if at % 6 == 0:
            shutil.copytree(path, tmp_path / "again")
            resumed(tmp_path / "again", checkpoint_every=5, **ONE).fit()
            assert without_every(outcome(tmp_path / "again")) == without_every(whole), at
            shutil.rmtree(tmp_path / "again")
        shutil.rmtree(path)
    assert set(steps) == {5, 6}
    if how == "kill":  # the old one up to some call, the new one from then on
        assert steps == sorted(steps)
    assert at > 50


def without_every(found):
    """Without the recipe's interval of saving, which the undisturbed run has not."""
    changed = {}
    for name, value in found.items():
        if name.endswith("state.json"):
            recipe = {k: v for k, v in value["recipe"].items() if k != "checkpoint_every"}
            value = {**value, "recipe": recipe}
        changed[name] = value
    return changed


class StopBefore(small.protocol.Quiet):
    """Raises when a step is done, as if the process ended without a signal."""

    def __init__(self, step):
        self.step = step

    def on_step(self, step, loss, lr, images):
        if step == self.step:
            raise KeyboardInterrupt
