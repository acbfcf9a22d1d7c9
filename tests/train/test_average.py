"""An average of the weights: what it is, that it is what is validated and kept, and that a resumed
run has the same.
"""

from contextlib import suppress

import numpy as np
import pytest

from dlcli.errors import CheckpointError
from dlcli.nn import Average as OfAGame
from dlcli.train import average, protocol
from dlcli.train.loop import Interrupted
from dlcli.train.run import RunDir
from tests.train import small
from tests.train.outcomes import StopAt, outcome, resumed

DECAY = 0.8


class Weights(protocol.Quiet):
    """The weights after each step."""

    def __init__(self):
        self.model, self.seen = None, []

    def on_step(self, step, loss, lr, images):
        self.seen.append({k: t.numpy() for k, t in self.model.named_parameters().items()})


def test_the_average_follows_by_its_decay_and_faster_at_the_beginning(tmp_path):
    model, watcher = small.Classifier(), Weights()
    watcher.model = model
    want = {k: t.numpy().astype(np.float64) for k, t in model.named_parameters().items()}
    small.trainer(tmp_path / "r", model=model, observer=watcher, ema=DECAY).fit()
    for step, weights in enumerate(watcher.seen, 1):
        decay = min(DECAY, (1 + step) / (10 + step))
        want = {k: decay * v + (1 - decay) * weights[k] for k, v in want.items()}
    kept = RunDir.open(tmp_path / "r").load("last").tensors
    for name, array in want.items():
        np.testing.assert_allclose(kept[name], array, rtol=2e-5, atol=1e-6)
        assert not np.array_equal(kept[name], watcher.seen[-1][name])


def test_a_checkpoint_keeps_what_is_trained_beside_the_average(tmp_path):
    model = small.Classifier()
    small.trainer(tmp_path / "r", model=model, ema=DECAY).fit()
    moved, weights = average.split(RunDir.open(tmp_path / "r").load("last").optimizer)
    assert all(key.startswith("main/") for key in moved)
    now = {**model.named_parameters(), **model.named_buffers()}
    statistics = {"norm.running_mean", "norm.running_var"}
    assert set(weights) == {f"weights/{k}" for k in {*model.named_parameters(), *statistics}}
    for key, array in weights.items():
        np.testing.assert_array_equal(array, now[key.removeprefix("weights/")].numpy())


def test_what_is_trained_is_the_same_with_an_average_of_it_and_without(tmp_path):
    first, second = small.Classifier(), small.Classifier()
    small.trainer(tmp_path / "a", model=first).fit()
    small.trainer(tmp_path / "b", model=second, ema=DECAY).fit()
    for name, array in first.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], array, err_msg=name)


def test_validation_is_of_the_average(tmp_path):
    """The figures of the best checkpoint are those of its weights, which are the average."""
    trainer = small.trainer(tmp_path / "r", ema=DECAY, monitor="val_loss")
    best = trainer.fit().best
    model = small.Classifier(seed=7)
    model.load_state_dict(trainer.run.load("best").tensors)
    again = small.trainer(tmp_path / "s", model=model)
    found = again.stepper.validate(again.val_loader, lambda: False).means("val_")
    assert found["val_loss"] == best["val_loss"]


@pytest.mark.parametrize("make", [small.Classifier, small.Pair])
def test_stopping_and_resuming_changes_no_bit_of_it(tmp_path, make):
    settings = {"ema": DECAY, "monitor": "val_loss", "epochs": 2}
    small.trainer(tmp_path / "whole", model=make(), **settings).fit()
    want = outcome(tmp_path / "whole")
    for step in (1, 9):
        path = tmp_path / str(step)
        with pytest.raises(Interrupted):
            small.trainer(path, model=make(), observer=StopAt(step), **settings).fit()
        resumed(path, model=make(seed=5), **settings).fit()
        assert outcome(path) == want, f"stopped after step {step}"


def test_a_checkpoint_without_an_average_or_with_one_that_is_not_asked_for_is_refused(tmp_path):
    trainer = small.trainer(tmp_path / "r", ema=DECAY, epochs=1)
    trainer.fit()
    saved = trainer.run.load("last")
    moved, weights = average.split(saved.optimizer)
    saved.optimizer = moved
    with pytest.raises(CheckpointError, match="average"):
        small.trainer(tmp_path / "r", resume=saved, ema=DECAY, epochs=2)
    with pytest.raises(CheckpointError, match="here: does not fit") as caught:
        average.NoAverage().load_state_dict(weights, "here")
    assert "the run asks for none" in caught.value.why


def test_an_average_of_a_game_s_own_is_not_averaged_again():
    own = OfAGame(small.Classifier(), 0.9)
    assert all(buffer.learned and not buffer.averaged for buffer in own.named_buffers().values())


def test_the_model_has_its_own_weights_back_after_an_error(tmp_path):
    trainer = small.trainer(tmp_path / "r", ema=DECAY)
    before = {k: id(t.data) for k, t in trainer.model.named_parameters().items()}
    with suppress(ZeroDivisionError), trainer.average.in_place():
        raise ZeroDivisionError
    assert {k: id(t.data) for k, t in trainer.model.named_parameters().items()} == before
