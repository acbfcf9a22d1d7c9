"""Steps that are not finite: they stop the run, or are skipped, counted and told."""

import json

import numpy as np
import pytest

from dlcli.errors import NonFiniteError, UsageError
from dlcli.train import protocol
from dlcli.train.recipe import Recipe
from dlcli.train.run import RunDir
from tests.train import small
from tests.train.outcomes import outcome


class Spoilt(small.Classifier):
    """Of which the loss is NaN whenever a batch holds one of some samples."""

    def __init__(self, *bad):
        super().__init__()
        self.bad = bad

    def loss(self, batch):
        if self.training and np.isin(batch.indices, self.bad).any():
            batch = type(batch)(batch.x * np.float32("nan"), batch.y, batch.indices)
        return super().loss(batch)


class Told(protocol.Quiet):
    def __init__(self):
        self.lines, self.steps = [], []

    def on_warning(self, line):
        self.lines.append(line)

    def on_step(self, step, loss, lr, images):
        self.steps.append(step)


def skipped(path):
    text = (path / "skipped.jsonl").read_text()
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def test_a_step_that_is_skipped_moves_nothing_and_is_told_counted_and_kept(tmp_path):
    model, told = Spoilt(7), Told()
    trainer = small.trainer(tmp_path / "run", model=model, observer=told, on_nan="skip:3")
    summary = trainer.fit()
    assert (summary.steps, summary.skipped) == (18, 3)  # once in each of three epochs
    assert len(told.lines) == 3
    assert "the loss became NaN or infinite: step" in told.lines[0]
    assert [f"{n} of at most 3" in line for n, line in enumerate(told.lines, 1)] == [True] * 3
    lines = skipped(tmp_path / "run")
    assert len(told.steps) == 18 - 3
    assert {line["step"] + 1 for line in lines} == set(range(1, 19)) - set(told.steps)
    for line in lines:
        (batch,) = line["batches"]
        assert 7 in batch["indices"]
        assert "train/7" in batch["ids"]
    assert [record["skipped"] for record in trainer.run.metrics()] == [1, 2, 3]
    assert all(np.isfinite(array).all() for array in model.state_dict().values())


def test_one_more_than_may_be_skipped_stops_with_7_and_the_weights_of_before(tmp_path):
    model = Spoilt(7)
    with pytest.raises(NonFiniteError) as caught:
        small.trainer(tmp_path / "run", model=model, on_nan="skip:2").fit()
    assert caught.value.exit_code == 7
    assert "2 steps were skipped before" in caught.value.hint
    run = RunDir.open(tmp_path / "run")
    dump = json.loads((run.path / "nan.json").read_bytes())
    assert run.load("last").state["step"] == dump["step"]
    assert run.load("last").state["skipped"] == 2
    assert "train/7" in dump["batches"][-1]["ids"]


def test_the_message_names_samples_of_the_batch(tmp_path):
    data, model = small.dataset(), Spoilt(*range(43))
    with pytest.raises(NonFiniteError) as caught:
        small.trainer(tmp_path / "run", model=model, data=data).fit()
    ids = json.loads((tmp_path / "run/nan.json").read_bytes())["batches"][-1]["ids"]
    assert f"its samples: {', '.join(ids[:6])} and 2 more" in caught.value.why
    assert "nan.json" in caught.value.why


@pytest.mark.parametrize("at", [2, 5, 8, 13])
def test_a_resumed_run_goes_on_counting_and_ends_with_the_same_bits(tmp_path, at):
    settings = {"on_nan": "skip:9", "schedule": "constant"}
    small.trainer(tmp_path / "whole", model=Spoilt(7, 30), **settings).fit()
    path = tmp_path / "run"
    small.trainer(path, model=Spoilt(7, 30), max_steps=at, **settings).fit()
    with (path / "skipped.jsonl").open("a") as file:
        file.write('{"of a step": "that no checkpoint knows"}\n')
    kept = RunDir.open(path).load("last")
    trainer = small.trainer(path, model=Spoilt(7, 30), resume=kept, **settings)
    trainer.fit()
    of = "checkpoints/last/model.safetensors"
    assert (path / of).read_bytes() == (tmp_path / "whole" / of).read_bytes()
    assert skipped(path) == skipped(tmp_path / "whole")
    assert trainer.progress.skipped == len(skipped(path)) > 3


def test_a_run_that_was_stopped_may_be_resumed_with_steps_to_skip(tmp_path):
    with pytest.raises(NonFiniteError):
        small.trainer(tmp_path / "run", model=Spoilt(7)).fit()
    kept = RunDir.open(tmp_path / "run").load("last")
    settings = {"resume": kept, "on_nan": "skip:3"}
    small.trainer(tmp_path / "run", model=Spoilt(7), **settings).fit()
    small.trainer(tmp_path / "whole", model=Spoilt(7), on_nan="skip:3").fit()
    of = "best/model.safetensors"
    assert outcome(tmp_path / "run")[of] == outcome(tmp_path / "whole")[of]


def test_an_epoch_of_which_every_step_is_skipped_has_no_figures_of_training(tmp_path):
    trainer = small.trainer(tmp_path / "run", model=Spoilt(*range(43)), on_nan="skip:6", epochs=1)
    summary = trainer.fit()
    (record,) = trainer.run.metrics()
    assert (summary.skipped, "loss" in record, record["skipped"]) == (6, False, 6)
    assert record["val_loss"] > 0


def test_a_step_of_which_one_phase_was_done_is_not_skipped(tmp_path):
    class Half(small.Pair):
        """The second phase alone fails."""

        def phases(self):
            first, second = super().phases()
            second.loss = lambda batch: self.loss(
                type(batch)(batch.x * np.float32("nan"), batch.y, batch.indices)
            )
            return [first, second]

    with pytest.raises(NonFiniteError, match="step 1") as caught:
        small.trainer(tmp_path / "run", model=Half(), monitor="val_loss", on_nan="skip:9").fit()
    assert "no step is skipped of which a part was done" in caught.value.hint


@pytest.mark.parametrize("value", ["skip", "skip:0", "skip:-1", "skip:1e3", "skp:3", "", 3, None])
def test_what_is_no_way_to_treat_a_nan_is_refused(value):
    with pytest.raises(UsageError, match="on_nan") as caught:
        Recipe(on_nan=value)
    assert "skip:N" in caught.value.why
